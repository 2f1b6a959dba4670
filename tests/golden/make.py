"""Write one parcel for each model, trained on invented ratings, and what each version answers."""

import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from engine.services import Services
from engine.services.transfer import export_version
from store.importers.pipeline import import_source

SETTINGS = {
    "popularity": {},
    "content": {},
    "mf": {"n_factors": 3, "epochs": 3},
    "bayesian-mf": {"n_factors": 2, "epochs": 4, "burn_in": 0.5},
    "ials": {"n_factors": 3, "epochs": 2},
    "ease": {},
}
USERS, ITEMS = 20, 15


def ratings(folder: Path) -> Path:
    """Write a small folder of ratings and titles, with ids that are not plain numbers."""
    rng = np.random.default_rng(1)
    genres = ("Drama", "Comedy", "War|Drama")
    items = [f"{item:03},Film {item} ({1980 + item}),{genres[item % 3]}" for item in range(ITEMS)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(items) + "\n")
    lines = [
        f"ü{user},{item:03},{rng.integers(1, 11) / 2},{10**9 + user * 100 + item}"
        for user in range(USERS)
        for item in sorted(rng.permutation(ITEMS)[:9].tolist())
    ]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    return folder


def answers(services: Services, version: str) -> dict[str, object]:
    """Return what a version says: scores of all items for some users, ratings, and a list folded in from a history."""
    model = services.manager.snapshot(version).model
    users = np.arange(0, USERS, 5)
    found: dict[str, object] = {"scores": model.score_users(users).astype(float).round(6).tolist()}
    if model.predicts_ratings:
        pairs = np.repeat(users, 3), np.tile(np.array([0, 7, 14]), len(users))
        found["ratings"] = model.rate_pairs(*pairs).astype(float).round(6).tolist()
    vector = model.fold_in(np.array([1, 4, 9]), np.array([5.0, 1.0, 3.5], np.float32))
    found["folded in"] = model.scores(vector).astype(float).round(6).tolist()
    return found


def main(target: Path) -> None:
    """Write parcels and answers into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        services = Services.open(Path(folder) / "golden.db", create=True)
        with closing(services.database):
            import_source(services.database, str(ratings(Path(folder))))
            for model, settings in SETTINGS.items():
                name = services.training.train_model(model, settings, threads=1)
                export_version(services.registry, services.registry.resolve(name), target / f"{model}.tar")
                expected[model] = answers(services, name)
    (target / "answers.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
