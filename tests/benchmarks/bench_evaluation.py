"""Times of building, splitting, ranking and evaluating at the size of MovieLens-1M; run it as a script.

The model is a product of random factors, so that what is timed is the evaluator and one matrix product.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.data import Interactions, ItemFeatures
from engine.evaluation import evaluate
from engine.models.base import Epoch, Model, TrainingFacts
from engine.models.config import Config
from engine.ranking import top_k, top_k_all
from engine.splits import SPLITS, split
from tests.benchmarks.figures import Figure

N_USERS, N_ITEMS, N_RATINGS, N_FACTORS = 6040, 3706, 994_000, 64


class Dot(Model):
    """Random factors of users and items."""

    name = "dot"
    Config = Config

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        rng = np.random.default_rng(seed)
        self.facts = TrainingFacts.of(train)
        self.user_factors = rng.standard_normal((train.n_users, N_FACTORS)).astype(np.float32)
        self.item_factors = rng.standard_normal((train.n_items, N_FACTORS)).astype(np.float32) * 0.1
        yield Epoch(1, 1)

    def user_vector(self, user):
        return self.user_factors[user]

    def scores(self, vector, items=None):
        return (self.item_factors if items is None else self.item_factors[items]) @ vector

    def score_users(self, users):
        return self.user_factors[users] @ self.item_factors.T

    def rate_pairs(self, users, items):
        products = np.einsum("nd,nd->n", self.user_factors[users], self.item_factors[items])
        return self.facts.scale.clip(products + 3)

    def parameters(self):
        return {}

    def set_parameters(self, arrays):
        pass


def rows(n_users: int, n_items: int, n: int) -> tuple[Any, ...]:
    """Draw distinct pairs with a long tail of items, sorted by user as a database returns them."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, n_users, 2 * n)
    items = np.minimum(rng.exponential(n_items / 6, 2 * n).astype(np.int64), n_items - 1)
    keys = np.unique(users * n_items + items)
    keys = keys[np.sort(rng.permutation(len(keys))[:n])]
    return keys // n_items, keys % n_items, rng.integers(1, 11, len(keys)) / 2, rng.integers(0, 1 << 30, len(keys))


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Return the shortest of some runs in seconds, after one that may compile."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def build(n_users: int, n_items: int, n: int) -> Callable[[], Interactions]:
    """Return the building of such data."""
    ids = [[str(number) for number in range(count)] for count in (n_users, n_items)]
    genres = (np.random.default_rng(1).random((n_items, 18)) < 0.12).astype(np.uint8)
    features = ItemFeatures(genres, tuple(map(str, range(18))), np.zeros(n_items, np.int16))
    columns = rows(n_users, n_items, n)
    return lambda: Interactions.build(*ids, *columns, features=features)


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return the time of evaluating all users by all metrics, and of what it consists of."""
    times = 2 if quick else 5
    data = build(N_USERS, N_ITEMS, N_RATINGS)
    parts = split(data(), "random")
    model = Dot()
    list(model.fit_epochs(parts.train))
    users = np.arange(N_USERS)
    return {
        "evaluation of 6,040 users, all metrics": Figure(
            best(lambda: evaluate(model, parts.train, parts.test), times), goal=1.0
        ),
        "top 10 of them all, scores included": Figure(
            best(lambda: list(top_k_all(model, users, 10, parts.train)), times)
        ),
        "building the matrix of 1 M rows": Figure(best(data, times)),
    }


def main() -> None:
    """Print a line a figure."""
    large = build(30_000, 20_000, 5_000_000)
    print(f"build, 5 M rows                        {best(large, 2):8.3f} s")
    data = build(N_USERS, N_ITEMS, N_RATINGS)()
    for how in SPLITS:
        print(f"split {how:<12} {len(data) / 1e6:.2f} M rows          {best(lambda how=how: split(data, how)):8.3f} s")
    parts = split(data, "random")
    model = Dot()
    list(model.fit_epochs(parts.train))
    users = np.arange(N_USERS)
    scores = model.score_users(users[:1])[0]
    seen = parts.train.history(0)[0]
    one = best(lambda: [top_k(scores, 10, exclude=seen) for _ in range(1000)])
    print(f"top 10 of one user                     {one * 1e3:8.1f} µs")
    streamed = best(lambda: list(top_k_all(model, users, 10, parts.train)))
    print(f"top 10 of all users, scores included   {streamed:8.3f} s")
    print(f"evaluate, all metrics                  {best(lambda: evaluate(model, parts.train, parts.test)):8.3f} s")


if __name__ == "__main__":
    main()
