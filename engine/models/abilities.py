"""What some models can do and others cannot: small protocols, asked with `isinstance`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.models.base import Model

Vector = NDArray[np.float32]
"""What a model knows of one user, (d,): factors, a genre profile, or nothing, as the model needs."""


class Contributions(NamedTuple):
    """A score taken apart: baseline + sum(amounts) = score.

    Attributes:
        baseline: what the item gets without any of the user's ratings.
        items: int (k,), the rated items, dense indices.
        amounts: float64 (k,), what each of those ratings adds.
        score: the score that is explained.
        method: "additive" where the parts sum to the score exactly, "removal" where each is what the score loses.
    """

    baseline: float
    items: NDArray[np.integer[Any]]
    amounts: NDArray[np.float64]
    score: float
    method: str

    @classmethod
    def additive(
        cls,
        baselines: NDArray[np.floating[Any]],
        items: NDArray[np.integer[Any]],
        amounts: NDArray[np.floating[Any]],
    ) -> "list[Contributions]":
        """Return the parts of m scores, from baselines (m,) and amounts (k, m) that sum to them."""
        exact = amounts.astype(np.float64, copy=False)
        scores = (baselines + exact.sum(axis=0)).tolist()
        return [
            cls(baseline, items, exact[:, place], scores[place], "additive")
            for place, baseline in enumerate(baselines.tolist())
        ]


@runtime_checkable
class FoldsIn(Protocol):
    """A model that can make a user's vector from ratings alone, all else fixed."""

    def fold_in(self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]]) -> Vector:
        """Return the vector (d,) of a user with this history; an empty one gives the cold vector.

        Args:
            items: (k,), dense indices, oldest first, equally old ones by index: what came last may say most of what
                comes next.
            ratings: (k,), theirs.
        """
        ...


@runtime_checkable
class FoldsInMany(Protocol):
    """A model that folds many histories in by one compiled loop, where such loops are loaded."""

    def fold_in_many(
        self, histories: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.floating[Any]]]]
    ) -> NDArray[np.float32]:
        """Return the vectors (n, d) of n users, each as `FoldsIn.fold_in` does it but for the rounding of float32.

        Args:
            histories: items and ratings of each, as there.
        """
        ...


@runtime_checkable
class RefitsItems(Protocol):
    """A model in which one item can follow its ratings, all users fixed."""

    def refitted(
        self,
        item: int,
        vectors: NDArray[np.float32],
        ratings: NDArray[np.floating[Any]],
        trained: Any = None,
    ) -> "Model":
        """Return a copy of the model with this item brought up to date by ratings (k,) of users with vectors (k, d).

        The item starts from what it is in `trained`, a model of the same kind, or here.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A model that can take a score apart by the user's own ratings."""

    def contributions(
        self, items: NDArray[np.integer[Any]], ratings: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
    ) -> list[Contributions]:
        """Return, for each of the items `targets`, what each rating of the history adds to its score.

        Args:
            items: (k,), the history, dense indices, in the order of `FoldsIn.fold_in`.
            ratings: (k,), its ratings.
            targets: (m,), dense indices; what is common to them is solved for once.
        """
        ...


@runtime_checkable
class HasItemVectors(Protocol):
    """A model in which items have vectors, so that likeness of items has a meaning."""

    def item_vectors(self) -> NDArray[np.float32]:
        """Return (n_items, d); likeness is the cosine between rows."""
        ...


@runtime_checkable
class Uncertain(Protocol):
    """A model that says how far a predicted rating can be off."""

    def spread(self, n_ratings: int, items: NDArray[np.integer[Any]] | None = None) -> NDArray[np.float32]:
        """Return the predictive standard deviation of ratings of items by a user of whom `n_ratings` are known."""
        ...

    def interval(
        self, scores: NDArray[np.floating[Any]], n_ratings: int, items: NDArray[np.integer[Any]], level: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds (n,), (n,) around scores (n,) that hold the ratings of items with probability `level`."""
        ...


@runtime_checkable
class Combines(Protocol):
    """A model that answers by others, which it refers to and does not hold."""

    def needed(self) -> list[str]:
        """Return the checksums of the versions that have to be put in before it can answer."""
        ...

    def attach(self, sha256: str, model: "Model") -> None:
        """Put a version in its place."""
        ...
