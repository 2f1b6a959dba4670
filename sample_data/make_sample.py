"""Make the sample data: `python sample_data/make_sample.py` writes `movies.csv` and `ratings.csv` beside this file.

Nothing in it is real. Users have tastes drawn from a few groups, films have genres and a style of their own, and a
rating is what the two make of each other, plus habits, drift and chance. README.md says what is planted.
"""

import csv
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from titles import COMPANIONS, GENRES, HOSTILE, invented

SEED = 20240229
N_USERS, N_FILMS, N_UNRELEASED = 600, 400, 8
N_STYLES = 3  # axes of taste that no genre shows: what a matrix factorization can learn and a content model cannot
YEAR_SECONDS = 31_556_952
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2018, 2025))

LIKES = (
    ("Action Adventure Sci-Fi War", "Romance Musical Documentary"),
    ("Romance Musical Comedy Drama", "Horror War Western"),
    ("Horror Thriller Mystery Sci-Fi", "Children Musical Animation"),
    ("Animation Children Fantasy Adventure", "Film-Noir Crime Horror"),
    ("Film-Noir Documentary Drama Mystery", "Action Children Fantasy"),
    ("Western Crime War Thriller", "Animation Fantasy Romance"),
)
"""The groups of taste: the genres each likes and those it does not."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Films:
    """The catalogue, one row a film: ids ascend, `year` is 0 where the title has none."""

    ids: NDArray[np.int64]
    titles: list[str]
    years: NDArray[np.int64]
    genres: list[str]
    taste: Array  # (n, groups + styles)
    quality: Array
    fame: Array


@dataclass(frozen=True)
class Users:
    """Who rates: tastes at the beginning and at the end, habits, and when they were here."""

    before: Array  # (n, groups + styles)
    after: Array
    bias: Array
    step: Array  # a quarter give whole stars only
    n_ratings: NDArray[np.int64]
    joined: Array
    stayed: Array


def make_films(rng: np.random.Generator) -> Films:
    """Draw the catalogue; the hostile titles are spread over the better-known half, so that lists show them."""
    words, taken = Random(SEED), dict[str, int]()
    years = np.minimum(2024 - rng.gamma(1.6, 11, N_FILMS).astype(np.int64), 2024)
    years[-N_UNRELEASED:] = 2025
    primary = rng.choice(len(GENRES), N_FILMS, p=_shares(len(GENRES), 0.55, rng))
    genres = [_genres(GENRES[k], words) for k in primary]
    titles = [
        f"{invented(words, GENRES[k], year, taken)} ({year})" for k, year in zip(primary, years.tolist(), strict=True)
    ]
    fame = 1 / (np.arange(N_FILMS) + 6.0) ** 0.85
    for k, (title, year, kinds) in enumerate(HOSTILE):
        place = 4 + 11 * k
        titles[place], years[place], genres[place] = f"{title} ({year})" if year else title, year or 0, kinds
    order = rng.permutation(N_FILMS)
    quality = rng.normal(0, 0.38, N_FILMS) + 0.12 * np.log(fame / fame.mean()) + 0.004 * (2010 - years) * (years > 0)
    taste = np.hstack([_genre_taste(genres), rng.normal(0, 1, (N_FILMS, N_STYLES))])
    return Films(
        ids=np.sort(rng.choice(np.arange(1, 2000), N_FILMS, replace=False)),
        titles=[titles[k] for k in order],
        years=years[order],
        genres=[genres[k] for k in order],
        taste=taste[order],
        quality=quality[order],
        fame=fame[order],
    )


def make_users(rng: np.random.Generator) -> Users:
    """Draw the users: most belong to one group; a quarter move to another over the years."""
    groups = rng.dirichlet(np.full(len(LIKES), 0.25), N_USERS)
    later = np.where(rng.random((N_USERS, 1)) < 0.25, rng.dirichlet(np.full(len(LIKES), 0.25), N_USERS), groups)
    styles = rng.normal(0, 1, (N_USERS, N_STYLES))
    joined = FIRST + rng.beta(1, 1.4, N_USERS) * (LAST - FIRST)
    return Users(
        before=np.hstack([groups, styles]),
        after=np.hstack([0.5 * (groups + later), styles]),
        bias=rng.normal(0, 0.36, N_USERS),
        step=np.where(rng.random(N_USERS) < 0.25, 1.0, 0.5),
        n_ratings=np.clip(rng.lognormal(3.42, 0.92, N_USERS), 5, 300).astype(np.int64),
        joined=joined,
        stayed=np.minimum(rng.exponential(0.8, N_USERS) * YEAR_SECONDS, LAST - joined),
    )


def rate(user: int, users: Users, films: Films, rng: np.random.Generator) -> list[tuple[int, int, float, int]]:
    """Return one user's rows: they watch what is out, known and to their taste, and like most of it."""
    times = _sessions(users.joined[user], users.stayed[user], int(users.n_ratings[user]), rng)
    weight = np.array([1.1] * len(LIKES) + [0.42] * N_STYLES)
    first, last = (films.taste * weight @ taste[user] for taste in (users.before, users.after))
    age = (times[len(times) // 2] / YEAR_SECONDS + 1970) - films.years  # at the middle of the user's stay
    appeal = np.log(films.fame) + 0.7 * last + 0.25 * (age < 3)
    appeal[films.years > 2024] = -np.inf
    chosen = np.argsort(-(appeal + rng.gumbel(size=N_FILMS)))[: len(times)]
    rows = []
    for film, time in zip(rng.permutation(chosen), times, strict=True):
        moved = (time - FIRST) / (LAST - FIRST)
        taste = first[film] * (1 - moved) + last[film] * moved
        score = 3.25 + users.bias[user] + films.quality[film] + taste - 0.2 * moved + rng.normal(0, 0.6)
        stars = float(np.clip(round(score / users.step[user]) * users.step[user], 0.5, 5))
        released = (int(films.years[film]) - 1970) * YEAR_SECONDS
        rows.append((user + 1, int(film), stars, max(int(time), released)))
    return rows


def _sessions(joined: float, stayed: float, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return n ascending times in a few evenings, a rating every minute or so."""
    evenings = np.sort(joined + rng.beta(0.7, 1.3, 1 + n // 12) * stayed)
    starts = np.sort(rng.choice(evenings, n))
    return np.sort(np.minimum(starts + rng.exponential(1500, n), LAST - 1)).astype(np.int64)


def _shares(n: int, exponent: float, rng: np.random.Generator) -> Array:
    """Return the shares of a power law over n things in random order."""
    shares: Array = 1 / np.arange(1, n + 1) ** exponent
    return rng.permutation(shares / shares.sum())


def _genres(primary: str, words: Random) -> str:
    """Return one to three genres in the order of the alphabet."""
    companions = words.sample(COMPANIONS[primary], words.choice((0, 1, 1, 2)))
    return "|".join(sorted({primary, *companions}))


def _genre_taste(genres: list[str]) -> Array:
    """Return how much each group likes each film by its genres, (films, groups)."""
    signs = [dict.fromkeys(good.split(), 1.0) | dict.fromkeys(bad.split(), -1.0) for good, bad in LIKES]
    return np.array([[np.mean([sign.get(g, 0.0) for g in kinds.split("|")]) for sign in signs] for kinds in genres])


def main(folder: Path) -> None:
    """Write both files into the folder."""
    rng = np.random.default_rng(SEED)
    films, users = make_films(rng), make_users(rng)
    rows = [row for user in range(N_USERS) for row in sorted(rate(user, users, films, rng))]
    with (folder / "movies.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("movieId", "title", "genres"))
        writer.writerows(zip(films.ids.tolist(), films.titles, films.genres, strict=True))
    with (folder / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("userId", "movieId", "rating", "timestamp"))
        writer.writerows((user, films.ids[film], rating, time) for user, film, rating, time in rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
