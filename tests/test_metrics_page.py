"""The page of the metrics says what the program says."""

from pathlib import Path

import pytest

from engine.metrics import METRICS

PAGE = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("name", METRICS)
def test_holds_the_definition(name):
    part = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    found = METRICS[name]
    for text in (found.sentence, f"`{found.formula}`", f"better: {found.aim}", found.empty_case, found.source):
        assert text in part


def test_names_no_metric_that_there_is_not():
    assert [line.removeprefix("### ") for line in PAGE.splitlines() if line.startswith("### ")] == list(METRICS)
