"""What diversity and novelty cost in NDCG@10, and what they give, on MovieLens latest-small, last rating held out."""

import os
from pathlib import Path

import numpy as np

from engine.data import Interactions
from engine.diversity import Wish, divergence, genre_shares, rerank
from engine.models import model_class
from engine.models.base import Model
from engine.ranking import top_k
from engine.services import Services
from engine.splits import split
from store.importers.pipeline import import_source
from tests.benchmarks.figures import Figure

K = 10
WISHES = [
    ("score alone", Wish()),
    *((f"diversity {share:g} by likeness", Wish(share)) for share in (0.1, 0.3, 0.5, 0.8)),
    *((f"diversity {share:g} by genres", Wish(share, way="genres")) for share in (0.1, 0.3, 0.5, 0.8)),
    *((f"novelty {share:g}", Wish(novelty=share)) for share in (0.1, 0.3, 0.5)),
    ("diversity 0.3 by likeness, novelty 0.1", Wish(0.3, 0.1)),
]


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return NDCG@10 by model and wish; the note has likeness within the list, distance from the taste, novelty."""
    folder = Path(os.environ.get("RECSYS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "ml-latest-small"
    found = {}
    for name in ("ials",) if quick else ("ials", "ease"):
        parts = split(_data(folder), "last", test=0.2, seed=42)
        model = model_class(name)()
        for _ in model.fit_epochs(parts.train):
            pass
        users = np.flatnonzero(parts.test.user_counts)[:: 5 if quick else 1]
        plain = None
        for words, wish in WISHES:
            row = measure(model, parts.train, parts.test, users, wish)
            plain = plain or row["ndcg"]
            note = ", ".join(f"{key} {value:.3f}" for key, value in row.items() if key != "ndcg")
            found[f"{name}, {words}"] = Figure(
                row["ndcg"], "NDCG@10", higher=True, note=f"{note}; {row['ndcg'] / plain - 1:+.1%}"
            )
    return found


def measure(model: Model, train: Interactions, test: Interactions, users: np.ndarray, wish: Wish) -> dict[str, float]:
    """Return means over users of NDCG@10, cosine of genres within the list, divergence from the taste, bits of novelty.

    `coverage` is the share of the catalogue that is in somebody's list.
    """
    genres = model.facts.features.genres.astype(np.float64)
    unit = genres / np.maximum(np.linalg.norm(genres, axis=1, keepdims=True), 1e-12)
    shares = genres / np.maximum(genres.sum(axis=1, keepdims=True), 1)
    rare = -np.log2((model.facts.item_counts + 1) / (len(model.facts.users) + 1))
    rows, listed = [], set()
    for user in users.tolist():
        history = train.history(user)
        scores = model.scores(model.user_vector(user))
        best = top_k(scores, wish.candidates(K), exclude=history[0])
        made = rerank(model, scores, best, K, wish, history)
        hits = np.isin(made, test.history(user)[0])
        gain = float((hits / np.log2(np.arange(2, K + 2))).sum())
        likeness = unit[made] @ unit[made].T
        inside = float((likeness.sum() - np.trace(likeness)) / (K * (K - 1)))
        taste = genre_shares(model, *history)
        far = float(divergence(taste, shares[made].mean(axis=0))) if taste is not None else 0.0
        rows.append((gain, inside, far, float(rare[made].mean())))
        listed |= set(made.tolist())
    gain, inside, far, novelty = np.mean(rows, axis=0).tolist()
    named = {"ndcg": gain, "genres alike": inside, "far from taste": far, "novelty": novelty}
    return named | {"coverage": len(listed) / len(model.facts.items)}


def _data(folder: Path) -> Interactions:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bench-diversity-") as place:
        services = Services.open(Path(place) / "films.db", create=True)
        import_source(services.database, str(folder))
        return services.training.load_data()
