"""Training data with a known right answer."""

from contextlib import contextmanager

import numpy as np

from engine import resources
from engine.data import Interactions, ItemFeatures, Scale


def table(users, items, ratings, *, n_users=None, n_items=None, scale=None, features=None):
    """Interactions from index arrays; ids are the indices with leading zeros, so that indices keep their meaning."""
    users, items = np.asarray(users, np.int64), np.asarray(items, np.int64)
    n_users = n_users or int(users.max(initial=0)) + 1
    n_items = n_items or int(items.max(initial=0)) + 1
    names = [f"{number:07}" for number in range(max(n_users, n_items))]
    return Interactions.build(
        names[:n_users], names[:n_items], users, items, np.asarray(ratings, np.float32), scale=scale, features=features
    )


def checkerboard(n=20):
    """Users like items of their own parity (5) and dislike the others (1); the diagonal is withheld.

    Any model of taste must give user u item u, of which it was told nothing, next to 5. Genres say the parity.
    """
    users, items = np.nonzero(~np.eye(n, dtype=bool))
    parity = np.arange(n) % 2
    genres = np.stack([parity == 0, parity == 1], axis=1).astype(np.uint8)
    features = ItemFeatures(genres, ("even", "odd"), np.full(n, 1990, np.int16))
    return table(users, items, np.where((users + items) % 2, 1.0, 5.0), features=features)


def planted(n_users=300, n_items=200, n_ratings=12_000, *, rank=3, strength=0.6, noise=0.5, seed=0, scale=None):
    """Ratings by biases, a product of factors and noise, the number a user and an item has skewed; (train, test) 9:1.

    `strength` and `noise` are standard deviations of the product and of the noise, before rounding to the scale.
    """
    scale = scale or Scale()
    rng = np.random.default_rng(seed)
    activity, fame = rng.lognormal(0, 1, n_users), rng.lognormal(0, 1.2, n_items)
    keys = np.unique(
        rng.choice(n_users, 2 * n_ratings, p=activity / activity.sum()) * n_items
        + rng.choice(n_items, 2 * n_ratings, p=fame / fame.sum())
    )
    users, items = np.divmod(np.sort(rng.permutation(keys)[:n_ratings]), n_items)
    factors = [rng.standard_normal((n, rank)) * (strength / rank**0.5) ** 0.5 for n in (n_users, n_items)]
    biases = rng.normal(0, 0.4, n_users)[users] + rng.normal(0, 0.4, n_items)[items]
    exact = (scale.low + scale.high) / 2 + biases + np.einsum("nk,nk->n", factors[0][users], factors[1][items])
    noisy = exact + rng.normal(0, noise, len(users))
    step = scale.step or 1e-3
    ratings = np.clip(scale.low + np.round((noisy - scale.low) / step) * step, scale.low, scale.high)
    everything = table(users, items, ratings, n_users=n_users, n_items=n_items, scale=scale)
    held_out = rng.random(len(everything)) < 0.1
    return everything.rows(~held_out), everything.rows(held_out)


def rmse(model, rows):
    """Root mean square error of a model's predicted ratings, spelled out."""
    errors = model.rate_pairs(rows.user_index, rows.item_index).astype(np.float64) - rows.ratings
    return float(np.sqrt(np.mean(errors**2)))


@contextmanager
def in_threads_of(count):
    """Run our own loops in so many threads, even with fewer processors, where `thread_limit` would cut the number."""
    before = resources._limit.set(count)
    try:
        yield
    finally:
        resources._limit.reset(before)
