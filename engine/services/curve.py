"""A curve of held-out rows beside the losses of a run: for people who watch it, and for nothing else.

No run is stopped, no setting and no version is chosen by it: those rows measure the version in the end, and what is
chosen by them would look better than it is.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import EngineError
from engine.metrics import Evidence, metric
from engine.models.base import Model
from engine.ranking import score_batches, top_k_seen
from engine.splits import Split

SHARE = 0.05
"""Of the time of the epochs, which measuring may take."""
FREE_SECONDS = 0.2
"""Over a whole run: those that end within seconds have a curve too, and nobody waits for it."""
_MOST_USERS, _LEAST_USERS = 500, 50
_MOST_SCORES = 1_000_000  # of all items for all users drawn
_PROBE_USERS = 8
_BYTES = 32 * 2**20  # of scores at once


class HeldOutCurve:
    """The RMSE of a model that predicts ratings, else its NDCG@10, on the held-out rows of some users, by epoch.

    Epochs are passed over so that measuring takes at most `SHARE` of the time that training takes, `FREE_SECONDS` over
    the whole run apart.

    Args:
        parts: what is trained on, and what is held out.

    Attributes:
        name: what is measured, "" before the first measurement.
        spent: seconds that measuring took so far.
    """

    def __init__(self, parts: Split) -> None:
        self.name = ""
        self.spent = 0.0
        self._train, self._rows = parts.train, parts.test
        self._seed: int = parts.protocol["seed"]
        self._trained = 0.0
        self._cost = 0.0  # seconds of a measurement, by the cheapest so far: the others met something else that ran

    def after(self, model: Model, seconds: float) -> dict[str, float]:
        """Return the figure by its name after an epoch that took so many seconds; nothing where it is passed over."""
        self._trained += seconds
        began = time.monotonic()
        try:
            value = self._measured(model)
        except (EngineError, MemoryError):  # a figure that nothing depends on ends no run
            value = None
        self.spent += time.monotonic() - began
        return {} if value is None or not np.isfinite(value) else {self.name: round(value, 6)}

    def _measured(self, model: Model) -> float | None:
        """Measure where the time for it is there, else return None."""
        if not self.name:
            self._begin(model)
        if self.spent + self._cost > FREE_SECONDS + SHARE * self._trained:
            return None
        before = time.monotonic()
        value = self._figure(model, self._rows)
        self._cost = min(self._cost, time.monotonic() - before)
        return value

    def _begin(self, model: Model) -> None:
        """Decide what is measured and draw the users; learn from a few of them how long it will take."""
        self.name = "rmse" if model.predicts_ratings else "ndcg@10"
        fitting = _MOST_USERS if model.predicts_ratings else _MOST_SCORES // self._rows.n_items
        most = min(max(fitting, _LEAST_USERS), _MOST_USERS)
        users = np.flatnonzero((self._rows.user_counts > 0) & (self._train.user_counts > 0))
        drawn = np.random.default_rng([self._seed, 3]).permutation(users)[:most]
        self._rows = _of_users(self._rows, drawn)
        few = _of_users(self._rows, drawn[:_PROBE_USERS])
        self._figure(model, few)  # the first time compiles
        before = time.monotonic()
        self._figure(model, few)
        self._cost = (time.monotonic() - before) * len(drawn) / max(min(len(drawn), _PROBE_USERS), 1)

    def _figure(self, model: Model, rows: Interactions) -> float | None:
        """Measure on some rows, nearly as `evaluate` does."""
        if not len(rows):
            return None
        if self.name == "rmse":
            off = model.glimpse(rows.user_index, rows.item_index) - rows.ratings.astype(np.float64)
            return float(np.sqrt(np.mean(off**2)))
        users, wanted = np.flatnonzero(rows.user_counts), metric(self.name)
        found = [
            top_k_seen(scores, wanted.k, batch, self._train)[0] for batch, scores in score_batches(model, users, _BYTES)
        ]
        evidence = Evidence.of_lists(users, np.concatenate(found), self._train, rows)
        totals, weights = wanted.terms(wanted.values(evidence), evidence.relevant)
        return float(wanted.mean(totals.sum(), weights.sum()))


def _of_users(rows: Interactions, users: NDArray[np.integer[Any]]) -> Interactions:
    chosen = np.zeros(rows.n_users, np.bool_)
    chosen[users] = True
    return rows.rows(chosen[rows.user_index])
