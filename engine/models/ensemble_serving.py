"""How an ensemble answers: its members, their weights, and what is kept of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import EngineError
from engine.models.base import Model, State, Vector
from engine.models.ensemble_weights import Stacking, Table, standardized, support


@dataclass(frozen=True, eq=False)
class Member:
    """One member and its part.

    Attributes:
        label: how people call it: `v3`, or the name of its model.
        kind: its name in the table of models.
        sha256: checksum of its arrays where a registered version serves, else "": then its arrays are kept here.
        found: the model; None where it counts for nothing, or has not been put in yet.
        rating: its weights in predicted ratings, by support; ranking: its weight in the blend.
    """

    label: str
    kind: str
    sha256: str = ""
    found: Model | None = None
    rating: tuple[float, ...] = ()
    ranking: float = 0.0

    @property
    def counts(self) -> bool:
        """True where it has a part in anything."""
        return any(self.rating) or self.ranking > 0

    @property
    def model(self) -> Model:
        """The model.

        Raises:
            EngineError: it has not been put in: a version on its own, without its registry.
        """
        if self.found is None:
            raise EngineError(f"member {self.label} ({self.kind}) is not here", hint="load the ensemble by its version")
        return self.found


class ServedEnsemble(Model):
    """Answers by its members. A user's vector holds their number of ratings, then the vectors that the members have.

    Attributes:
        members: all that were tried; those that count for nothing have no model.
        fitted_loss: on the rows that the weights were found on.
    """

    folds_in_exactly = False

    members: list[Member]
    fitted_loss: float = 0.0

    def take_weights(self, stacking: Table, blend: Table) -> None:
        """Give the members their weights: of ratings (m, c), of rankings (m,)."""
        self.members = [
            replace(member, rating=tuple(row.tolist()), ranking=float(weight))
            for member, row, weight in zip(self.members, stacking, blend, strict=True)
        ]
        self._settle()

    def put(self, place: int, model: Model | None, sha256: str = "") -> None:
        """Put another model in the place of a member's, with its checksum where it is a registered version."""
        self.members = [
            replace(member, found=model, sha256=sha256) if here == place else member
            for here, member in enumerate(self.members)
        ]
        self._settle()

    def needed(self) -> list[str]:
        """Return the checksums of the registered versions that have to be put in before it can answer."""
        return [member.sha256 for member in self.members if member.counts and member.sha256 and member.found is None]

    def attach(self, sha256: str, model: Model) -> None:
        """Put a registered version in its place."""
        self.members = [
            replace(member, found=model) if member.sha256 == sha256 and member.counts else member
            for member in self.members
        ]
        self._settle()

    def weights(self) -> list[dict[str, Any]]:
        """Return for people what each member counts for."""
        return [
            {"member": member.label, "model": member.kind, "rating": list(member.rating), "ranking": member.ranking}
            for member in self.members
        ]

    # --- answers --------------------------------------------------------------------------------------------------

    def user_vector(self, user: int) -> Vector:
        """Return the number of ratings of a user and the vectors that the members hold of them."""
        known = np.array([self.facts.user_counts[user]], np.float32)
        return np.concatenate([known, *(member.model.user_vector(user) for member in self._used)])

    def cold_vector(self) -> Vector:
        """Return the vector of a user of whom no member knows anything."""
        return np.concatenate([np.zeros(1, np.float32), *(member.model.cold_vector() for member in self._used)])

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector of a user with this history: what each member makes of it."""
        known = np.array([len(items)], np.float32)
        return np.concatenate([known, *(member.model.fold_in(items, ratings) for member in self._used)])  # type: ignore[attr-defined]

    def scores(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the blend of the members' standardized scores of all items (n_items,), or of those given."""
        blend = np.zeros(len(self.facts.items), np.float32)
        for member, part in zip(self._used, self._parts(vector), strict=True):
            if member.ranking:
                blend += np.float32(member.ranking) * standardized(member.model.scores(part))
        return blend if items is None else blend[items]

    def score_vectors(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of all items for many users given by their vectors (n, d), as (n, n_items)."""
        blend = np.zeros((len(vectors), len(self.facts.items)), np.float32)
        for member, part in zip(self._used, np.split(vectors[:, 1:], self._bounds, axis=1), strict=True):
            if member.ranking:
                blend += np.float32(member.ranking) * standardized(member.model.score_vectors(part))
        return blend

    def score_users(self, users: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the scores of all items for many users with training rows, (len(users), n_items)."""
        blend = np.zeros((len(users), len(self.facts.items)), np.float32)
        for member in self._used:
            if member.ranking:
                blend += np.float32(member.ranking) * standardized(member.model.score_users(users))
        return blend

    def ratings(self, vector: Vector, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return stacked predicted ratings within the scale.

        Raises:
            EngineError: no member predicts ratings.
        """
        if not self.predicts_ratings:
            return super().ratings(vector, items)
        chosen = np.arange(len(self.facts.items)) if items is None else items
        said = [
            member.model.ratings(part, chosen)
            for member, part in zip(self._used, self._parts(vector), strict=True)
            if any(member.rating)
        ]
        return self._stacked(np.full(len(chosen), vector[0]), chosen, said)

    def rate_pairs(self, users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return predicted ratings of (user, item) pairs (n,)."""
        said = [member.model.rate_pairs(users, items) for member in self._used if any(member.rating)]
        return self._stacked(self.facts.user_counts[users], items, said)

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the item vectors of the members that have some side by side, each of length one times its weight."""
        parts = []
        for member in self._used:
            if hasattr(member.model, "item_vectors"):
                vectors = member.model.item_vectors().astype(np.float32)
                lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
                parts.append(vectors / lengths * np.float32(max(member.ranking, *member.rating, 0.0) ** 0.5))
        if not parts:
            return self.facts.features.genres.astype(np.float32)
        return np.concatenate(parts, axis=1)

    def loss(self, rows: Interactions) -> float:
        """Return the RMSE on rows, of many an evenly spread part; where no member predicts ratings the fitted loss."""
        if not self.predicts_ratings:
            return self.fitted_loss
        step = max(1, len(rows) // _MEASURED)
        users, items = rows.user_index[::step], rows.item_index[::step]
        left = self.rate_pairs(users, items).astype(np.float64) - rows.ratings[::step]
        return float(np.sqrt(np.mean(left**2))) if len(left) else 0.0

    # --- persistence ----------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the members that are kept here; registered versions are referred to by checksum."""
        named: dict[str, NDArray[Any]] = {}
        for place, member in enumerate(self.members):
            if member.found is not None and not member.sha256:
                named |= {f"member.{place}.{name}": array for name, array in member.found.state().arrays.items()}
        return named

    def state(self) -> State:
        """Return everything needed to use the ensemble and to go on training it."""
        arrays, extra = super().state()
        kept = [
            member.found.state().extra if member.found is not None and not member.sha256 else None
            for member in self.members
        ]
        described = [
            {name: getattr(member, name) for name in ("label", "kind", "sha256", "ranking")}
            | {"rating": list(member.rating), "state": state}
            for member, state in zip(self.members, kept, strict=True)
        ]
        return State(arrays, extra | {"members": described, "fitted_loss": self.fitted_loss})

    def restore(self, state: State) -> None:
        """Take back what `state` gave; registered members are put in by `attach`."""
        from engine.models import model_class

        super().restore(state)
        self.members = []
        for place, told in enumerate(state.extra["members"]):
            found, prefix = None, f"member.{place}."
            if told["state"] is not None:
                arrays = {name[len(prefix) :]: one for name, one in state.arrays.items() if name.startswith(prefix)}
                found = model_class(told["kind"])()
                found.restore(State(arrays, told["state"]))
            named = {name: told[name] for name in ("label", "kind", "sha256", "ranking")}
            self.members.append(Member(**named, found=found, rating=tuple(told["rating"])))
        self.fitted_loss = state.extra["fitted_loss"]
        self._settle()

    def set_parameters(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take nothing: `restore` makes the members."""

    # --- parts ----------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring in line what follows from the members."""
        self.predicts_ratings = any(any(member.rating) for member in self.members)
        self._used = [member for member in self.members if member.counts]
        present = [member.found for member in self._used if member.found is not None]
        lengths = [len(model.cold_vector()) for model in present] if len(present) == len(self._used) else []
        self._bounds = np.cumsum(lengths)[:-1].astype(np.int64)
        self._stacking = Stacking(np.array([member.rating for member in self._used if any(member.rating)]))

    def _parts(self, vector: Vector) -> list[Vector]:
        return np.split(vector[1:], self._bounds)

    def _stacked(
        self, known: NDArray[Any], items: NDArray[np.integer[Any]], said: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        predictions = np.stack(said, axis=1).astype(np.float64) - self.facts.mean
        basis = support(known, self.facts.item_counts[items], self._stacking.weights.shape[1] > 1)
        return self.facts.scale.clip(self.facts.mean + self._stacking.blend(predictions, basis))


_MEASURED = 20_000  # training rows on which the error is measured
