"""Checkpoints: what is written, when, and that one is always whole."""

import json
import time

import numpy as np
import pytest

from engine.errors import ResumeRefused
from engine.models.base import State
from engine.services.checkpoints import Checkpoints
from store.errors import NoPermission


def state(value: float, size: int = 10) -> State:
    return State({"vectors": np.full(size, value, np.float32)}, {"epochs_done": int(value)})


def test_a_state_is_as_it_was_when_it_was_taken(tmp_path):
    checkpoints, taken = Checkpoints(tmp_path / "job1"), state(1, 1_000_000)
    checkpoints.save(lambda: taken, "rows")
    taken.arrays["vectors"][:] = 2  # the next epoch begins at once
    checkpoints.wait()
    found = Checkpoints(tmp_path / "job1").load("rows")
    assert found is not None
    assert (found.arrays["vectors"] == 1).all()
    assert found.extra["epochs_done"] == 1


def test_a_state_that_is_dear_is_taken_more_seldom(tmp_path):
    def dear() -> State:
        time.sleep(0.03)
        return state(1)

    checkpoints = Checkpoints(tmp_path / "job1")
    assert not checkpoints.due  # a run of a moment writes none
    checkpoints.save(dear, "rows")
    checkpoints.wait()
    began = time.monotonic()
    assert not checkpoints.due
    while not checkpoints.due:
        time.sleep(0.005)
    assert 0.4 < time.monotonic() - began < 5


def test_a_run_that_goes_on_leaves_the_state_it_began_with_until_the_next_is_whole(tmp_path):
    first = Checkpoints(tmp_path / "job1")
    first.save(lambda: state(1), "rows")
    first.wait()
    for value in (2, 3):
        index = (tmp_path / "job1" / "newest.json").read_bytes()
        later = Checkpoints(tmp_path / "job1")
        later.load("rows")
        later.save(lambda value=value: state(value), "rows")
        later.wait()
        newest = (tmp_path / "job1" / "newest.json").read_bytes()
        assert json.loads(newest)["folder"] != json.loads(index)["folder"]
        (tmp_path / "job1" / "newest.json").write_bytes(index)  # as if killed just before the index was replaced
        assert Checkpoints(tmp_path / "job1").load("rows").extra["epochs_done"] == value - 1
        (tmp_path / "job1" / "newest.json").write_bytes(newest)


def test_what_cannot_be_written_is_said_once_somebody_waits(tmp_path):
    (tmp_path / "job1").write_text("a file, where a folder is needed")
    checkpoints = Checkpoints(tmp_path / "job1")
    checkpoints.save(lambda: state(1), "rows")
    with pytest.raises(NoPermission):
        checkpoints.wait()


def test_other_rows_are_refused_and_damage_counts_as_none(tmp_path):
    checkpoints = Checkpoints(tmp_path / "job1")
    checkpoints.save(lambda: state(1), "rows")
    checkpoints.wait()
    with pytest.raises(ResumeRefused):
        Checkpoints(tmp_path / "job1").load("others")
    [file] = (tmp_path / "job1").glob("*/state.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert Checkpoints(tmp_path / "job1").load("rows") is None
    checkpoints.remove()
    assert not (tmp_path / "job1").exists()
