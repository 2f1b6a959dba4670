"""What models say before training that they will need, against what a process then needed."""

from pathlib import Path

import pytest

from tests.benchmarks import trial

LARGE, SMALL = (6_000, 4_000, 300_000), (2_000, 3_000, 30_000)
SETTINGS = [
    ("mf", {"epochs": 3}, LARGE),
    ("ials", {"epochs": 2, "solver": "cg"}, LARGE),
    ("ncf", {"epochs": 1}, SMALL),  # most of it is torch
]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be measured here")
@pytest.mark.parametrize(("name", "settings", "sizes"), SETTINGS)
def test_the_forecast_is_near_the_peak(name, settings, sizes):
    with trial.skewed(*sizes) as path:
        one = trial.run(path, name, settings)
    assert 0.8 * one["peak"] < one["forecast"] < 1.25 * one["peak"]
