"""The recording of the main job: what a terminal showed becomes pictures, and the one in the docs tells all of it."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[3] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def recording():
    spec = importlib.util.spec_from_file_location("recording", DOCS / "recording.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frames(svg):
    """Return the pictures of a recording as text."""
    root = ET.fromstring(svg)
    rows = {f"#{g.get('id')}": "".join(g.itertext()) for g in root.find(f"{SVG}defs")}
    strip = next(g for g in root.iter(f"{SVG}g") if g.get("id") == "strip")
    return ["\n".join(rows[use.get("href")] for use in frame) for frame in strip]


def test_pictures_keep_text_and_time_and_rows_are_kept_once(recording, terminal, tmp_path):
    code = "print('one <b>&  two\\n\\x1b[41mred\\x1b[0m'); input(); print('\\x1b[1;1Hthree'); input()"
    one = terminal(tmp_path / "none.db", code=code, size=(recording.COLUMNS, recording.ROWS))
    show = recording.Recorder(one)
    show.see("red", 1.0)
    show.keep(0.5)
    show.press("\r")
    show.see("three", 2.0)
    svg = show.svg()
    first, second = frames(svg)
    assert "one <b>& \u00a0two" in first
    assert "red" in first
    assert "three" in second
    assert [shot.seconds for shot in show.shots] == [1.5, 2.0]
    assert svg.count(">red<") == 1
    assert len(re.findall("translateX", svg)) == 2


def test_the_one_in_the_docs_tells_the_whole_job():
    svg = (DOCS / "recording.svg").read_text(encoding="utf-8")
    told = frames(svg)
    places = ["density", "train mf --detach", r"epoch [2-9]/", "is done", "active v1", "adds", r"\[5\]", "taken back"]
    at = [next(k for k, text in enumerate(told) if re.search(part, text)) for part in places]
    assert at == sorted(at)
    assert len(svg.encode()) < 300_000
    assert "/home" not in svg
    assert "/tmp" not in svg
