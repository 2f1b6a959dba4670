"""`ncf` at the size of MovieLens-1M: seconds of an epoch of each head on one thread, and how well it ranks and rates.

Who rated what is planted (see `bench_ials`); the rating head learns planted ratings.

The rival is RecBole's NeuMF: the same pairs, batch, widths, layers, dropout and loss, four negatives a rating, one
thread. Ours draws 256 for each group of up to 64 ratings of a user, which share them; RecBole draws four a rating.

LibRecommender's NCF (whose halves share one table, so that it does less) asks for a TensorFlow that does not go with
the NumPy of the other rivals. `rivals/librecommender_ncf.py` measures it from an environment of its own, whose Python
`LIBRECO_PYTHON` names: LibRecommender 1.5.2, tensorflow-cpu and tf_keras 2.19, torch, gensim. Without one it is left
out.
"""

import os
import time
from pathlib import Path

import numpy as np

from engine.data import Interactions, Scale
from engine.models.neural_cf import NeuralCF
from engine.models.neural_sizes import GROUP
from engine.ranking import top_k_all
from tests.benchmarks import rivals
from tests.benchmarks.bench_ials import SIZES, chosen
from tests.benchmarks.figures import Figure
from tests.data import planted, rmse

_COMPARED = 2000  # users whose ratings the rivals learn too: an epoch of all takes them a minute and more


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
    found["ncf, an epoch of the ranking head, 1 M ratings"] = Figure(seconds, "s", note="gmf, bce, one thread")
    found["ncf, NDCG@10 of planted choices"] = Figure(ndcg, "", higher=True)
    return found | _beside_others(pairs.rows(pairs.user_index < _COMPARED))


def _beside_others(pairs: Interactions) -> dict[str, Figure]:
    """Return an epoch of neumf with binary cross-entropy beside that of others."""
    data = {"users": pairs.user_index, "items": pairs.item_index}
    form = {"batch": 4096, "negatives": 4, "width": 64, "layers": [64, 32, 16], "dropout": 0.5}
    data |= {name: np.array(value) for name, value in form.items()}
    shared = {"negatives": form["negatives"] * GROUP, "batch_size": form["batch"], "embedding_dim": form["width"]}
    shared |= {"hidden_layers": form["layers"], "dropout": form["dropout"]}
    _, ours = _trained(pairs, head="ranking", ranking_variant="neumf", loss="bce", epochs=2, **shared)
    theirs = {"RecBole": rivals.run("recbole_neumf.py", data)}
    if python := os.environ.get("LIBRECO_PYTHON"):
        theirs["LibRecommender"] = rivals.run("librecommender_ncf.py", data, python=Path(python))
    of = f"{len(pairs) / 1e6:.2f} M ratings, batch {form['batch']}, {form['negatives']} negatives a rating, one thread"
    return {
        f"an epoch of neumf beside {name}, {of}": Figure(ours, "s", one["epoch"], name, times=2.0)
        for name, one in theirs.items()
    }


def _trained(rows: Interactions, **settings: object) -> tuple[NeuralCF, float]:
    """Train, and return the seconds of an epoch, the first left out."""
    model = NeuralCF(early_stopping=False, **settings)
    ticks = [time.perf_counter() for _ in model.fit_epochs(rows)]
    return model, float(np.mean(np.diff(ticks)))
