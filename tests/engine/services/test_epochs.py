"""The time of a run, shared between its fits."""

import pytest

from engine.services.epochs import BESIDE, fit_seconds


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
