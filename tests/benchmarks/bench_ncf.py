"""`ncf` at the size of MovieLens-1M: seconds of an epoch of each head on one thread, and how well it ranks and rates.

Who rated what is planted (see `bench_ials`); the rating head learns planted ratings.
"""

import time

import numpy as np

from engine.data import Interactions, Scale
from engine.models.neural_cf import NeuralCF
from engine.ranking import top_k_all
from tests.benchmarks.bench_ials import SIZES, chosen
from tests.benchmarks.figures import Figure
from tests.data import planted, rmse


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Figures of some epochs of both heads."""
    epochs = 2 if quick else 10
    train, test = planted(6040, 3706, 1_000_209, rank=20, strength=0.5, noise=0.75, scale=Scale(1, 5, 1))
    model, seconds = _trained(train, head="ratings", epochs=epochs)
    found = {
        "ncf, an epoch of the rating head, 0.9 M ratings": Figure(seconds, "s", note="neumf, one thread"),
        "ncf, RMSE on planted ratings": Figure(rmse(model, test), ""),
    }
    arrays = chosen(*SIZES["1 M"])
    ids = [[f"{number:07}" for number in range(n)] for n in arrays["shape"]]
    pairs = Interactions.build(*ids, arrays["users"], arrays["items"], np.ones(len(arrays["users"]), np.float32))
    model, seconds = _trained(pairs, head="ranking", epochs=epochs)
    lists = np.concatenate([items for _, items, _ in top_k_all(model, arrays["test_users"], 10, pairs)])
    hits = lists == arrays["test_items"][:, None]
    ndcg = float((hits / np.log2(np.arange(10) + 2)).sum(axis=1).mean())
    found["ncf, an epoch of the ranking head, 1 M ratings"] = Figure(seconds, "s", note="gmf, softmax, one thread")
    found["ncf, NDCG@10 of planted choices"] = Figure(ndcg, "", higher=True)
    return found


def _trained(rows: Interactions, **settings: object) -> tuple[NeuralCF, float]:
    """Train, and return the seconds of an epoch, the first left out."""
    model = NeuralCF(early_stopping=False, **settings)
    ticks = [time.perf_counter() for _ in model.fit_epochs(rows)]
    return model, float(np.mean(np.diff(ticks)))
