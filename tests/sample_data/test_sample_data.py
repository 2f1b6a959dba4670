"""The sample data: what its README promises."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parents[2] / "sample_data"


def rows(name):
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def movies():
    return rows("movies.csv")


@pytest.fixture(scope="module")
def ratings():
    """Dense indices of user and film, and the rating: three arrays of one length."""
    table = rows("ratings.csv")
    users, films = (
        np.unique([int(row[key]) for row in table], return_inverse=True)[1] for key in ("userId", "movieId")
    )
    return users, films, np.array([float(row["rating"]) for row in table])


def test_the_script_makes_these_very_files(tmp_path):
    subprocess.run([sys.executable, HERE / "make_sample.py", tmp_path], check=True)
    for name in ("movies.csv", "ratings.csv"):
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes()


def test_shape(movies, ratings):
    users, films, stars = ratings
    assert (users.max() + 1, films.max() + 1, len(movies)) == (600, 392, 400)
    assert 25_000 <= len(stars) <= 30_000
    assert set(stars) == set(np.arange(0.5, 5.5, 0.5))
    assert (HERE / "ratings.csv").stat().st_size < 700_000


def test_pairs_and_titles_are_distinct(movies, ratings):
    users, films, _ = ratings
    assert len(set(zip(users, films, strict=True))) == len(users)
    assert len({movie["title"] for movie in movies}) == len(movies)


def test_fame_and_diligence_are_skewed(ratings):
    users, films, _ = ratings
    per_film, per_user = np.sort(np.bincount(films))[::-1], np.bincount(users)
    assert per_film[:40].sum() > 0.25 * len(films)
    assert per_film[0] > 10 * per_film[-1]
    assert (per_user.min(), per_user.max()) == (5, 300)


def test_times_span_years_and_no_film_is_rated_before_its_year(movies):
    years = {movie["movieId"]: int(movie["title"][-5:-1]) for movie in movies if movie["title"][-5:-1].isdecimal()}
    day = 86_400
    times = []
    for row in rows("ratings.csv"):
        times.append(int(row["timestamp"]))
        assert times[-1] >= (years.get(row["movieId"], 1970) - 1970) * 365.2425 * day - day
    assert max(times) - min(times) > 6 * 365 * day


def test_every_genre_and_every_kind_of_title_occurs(movies):
    genres = Counter(genre for movie in movies for genre in movie["genres"].split("|"))
    assert len(genres) == 18
    assert min(genres.values()) >= 15
    titles = "\n".join(movie["title"] for movie in movies)
    for mark in ("[REC] (2007)", "[REC]² (2009)", "Foo [/bold]", "\x1b]0;", "\x07", "\x1b[2J", "\u202e", "\u200d", "ק"):
        assert mark in titles
    assert '=HYPERLINK("http://x")' in titles
    assert "'; DROP TABLE items;--" in titles
    assert max(map(len, titles.splitlines())) >= 150


def test_factors_are_there_to_be_found(ratings):
    users, films, stars = ratings
    held_out = np.random.default_rng(0).random(len(stars)) < 0.1
    biases, factors = (held_out_rmse(users, films, stars, held_out, n_factors) for n_factors in (0, 6))
    popularity = held_out_rmse(np.zeros_like(users), films, stars, held_out, 0)
    assert biases < 0.95 * popularity
    assert factors < 0.88 * biases


def held_out_rmse(users, films, stars, held_out, n_factors, *, reg=6.0, sweeps=8):
    """Fit mean + biases + factors by ALS: with a one in each vector, a bias is only one more factor."""
    rng = np.random.default_rng(1)
    mean = stars[~held_out].mean()
    sides = []
    for codes, bias in ((users, 0), (films, 1)):
        vectors = rng.normal(0, 0.3, (codes.max() + 1, n_factors + 2))
        vectors[:, 1 - bias] = 1
        rated = [np.flatnonzero((codes == code) & ~held_out) for code in range(len(vectors))]
        free = [k for k in range(n_factors + 2) if k != 1 - bias]
        sides.append((codes, vectors, rated, free, bias))
    for _ in range(sweeps):
        for (_, mine, rated, free, bias), (codes, theirs, *_) in (sides, sides[::-1]):
            for vector, at in zip(mine, rated, strict=True):
                other = theirs[codes[at]]
                known, target = other[:, free], stars[at] - mean - other[:, 1 - bias]
                vector[free] = np.linalg.solve(known.T @ known + reg * np.eye(len(free)), known.T @ target)
    (_, p, *_), (_, q, *_) = sides
    predicted = np.clip(mean + (p[users] * q[films]).sum(axis=1), 0.5, 5)
    return np.sqrt(np.mean((predicted - stars)[held_out] ** 2))
