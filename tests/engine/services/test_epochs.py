"""The time of a run, shared between its fits."""

import time

import pytest

from engine.models.base import Epoch
from engine.models.popularity import Popularity
from engine.services.epochs import BESIDE, fit_seconds, train_epochs
from engine.services.request import TrainingRequest
from tests.data import planted


def test_the_fits_of_a_run_end_within_its_limit():
    first = fit_seconds(120, 2, 720_000, 900_000)
    second = fit_seconds(120, 2 + first + 4, 900_000)
    assert 100 < 2 + first + 4 + second < 120
    assert second > first


def test_one_fit_gets_all_but_what_measuring_takes():
    assert fit_seconds(100, 10, 5) == pytest.approx(90 * (1 - BESIDE))


def test_no_limit_is_none_and_a_limit_that_is_over_is_not():
    assert fit_seconds(0, 5, 100) == 0
    assert 0 < fit_seconds(1, 5, 100) < 0.01


class Slow(Popularity):
    """Takes long for its first epoch, of which it says that most does not come again."""

    def fit_epochs(self, train, *, valid=None, seed=42):
        [epoch] = super().fit_epochs(train, valid=valid, seed=seed)
        for number in range(1, 6):
            time.sleep(0.3 if number == 1 else 0.01)
            yield Epoch(number, 5, epoch.losses, epoch.ratings, once=0.29 if number == 1 else 0.0)


def test_what_is_done_once_is_not_expected_of_the_next_epoch():
    events = list(train_epochs(Slow(), planted()[0], TrainingRequest("popularity"), None, seconds=0.5))
    assert [event.data["number"] for event in events if event.kind == "epoch"] == [1, 2, 3, 4, 5]
    assert "once" not in events[0].data


def test_a_limit_ends_before_the_epoch_that_would_not():
    events = list(train_epochs(Slow(), planted()[0], TrainingRequest("popularity"), None, seconds=0.2))
    assert [event.kind for event in events] == ["epoch", "note"]
    assert "time limit" in events[1].data["text"]


@pytest.mark.parametrize(("apart", "epochs"), [(False, 1), (True, 5)])
def test_what_is_done_once_counts_towards_a_limit_unless_it_is_apart(apart, epochs):
    request = TrainingRequest("popularity", once_apart=apart)
    events = list(train_epochs(Slow(), planted()[0], request, None, seconds=0.2))
    assert sum(event.kind == "epoch" for event in events) == epochs


@pytest.mark.parametrize(("apart", "epochs"), [(False, 1), (True, 5)])
def test_compiling_counts_towards_a_limit_unless_it_is_apart(monkeypatch, apart, epochs):
    taken = iter([10.0, 0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr("engine.jit.Compiling.taken", lambda _: next(taken))
    clock = iter([0.0, 10.1, 10.1, *[10.2] * 40])  # began; after the first epoch, and when it is told
    monkeypatch.setattr("engine.services.epochs.time.monotonic", lambda: next(clock))
    request = TrainingRequest("popularity", once_apart=apart)
    events = list(train_epochs(Slow(), planted()[0], request, None, seconds=1.0))
    assert sum(event.kind == "epoch" for event in events) == epochs
