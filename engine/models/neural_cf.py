"""Neural collaborative filtering: a head that predicts ratings and a head that ranks, each a network of its own.

Trained by torch (`neural_training`), served by NumPy from the stored arrays (`neural_scores`). The rating head learns
the ratings; the ranking head learns to tell what a user rated from what they did not.

Source: He, Liao, Zhang, Nie, Hu, Chua 2017, "Neural Collaborative Filtering" (GMF, MLP and NeuMF, whose two halves may
be trained alone first); Rendle, Krichene, Zhang, Anderson 2020, "Neural Collaborative Filtering vs. Matrix
Factorization Revisited" (that the product needs a regularization of its own).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import SettingRefused, TrainingFailed
from engine.models.base import Epoch, TrainingFacts
from engine.models.config import Config, setting
from engine.models.neural_serving import HEADS, LEAST_SPREAD, ServedNeural
from engine.models.neural_sizes import Form, training_bytes
from engine.splits import validation

if TYPE_CHECKING:
    import pandas as pd

    from engine.models.neural_run import Run

VARIANTS = ("gmf", "mlp", "neumf")
INSTALL = "pip install 'recsys-tui[neural]', or pip install torch"


@dataclass(frozen=True)
class NeuralCFConfig(Config):
    """Settings of neural collaborative filtering."""

    variant: str = setting(
        "neumf",
        "Network of the rating head: gmf is a weighted product of vectors, mlp a perceptron, neumf both.",
        choices=VARIANTS,
    )
    ranking_variant: str = setting(
        "gmf", "The same of the ranking head, which does better and is quicker without a perceptron.", choices=VARIANTS
    )
    head: str = setting(
        "both",
        "What is learned: to predict ratings, to rank, or both, each by a network of its own.",
        choices=("both", *HEADS),
    )
    embedding_dim: int = setting(64, "Length of the vectors of users and items in each half.", low=1, high=1024)
    hidden_layers: list[int] = setting(  # noqa: RUF009  a tuple, which every configuration makes a list of its own
        (64, 32, 16), "Units of the perceptron's layers, from wide to narrow: 64,32,16.", low=1, high=4096
    )
    dropout: float = setting(0.5, "Share of hidden units left out at random while training.", low=0.0, high=0.9)
    learning_rate: float = setting(0.003, "Step of Adam at the start; it falls to a fiftieth.", low=1e-6, high=1.0)
    weight_decay: float = setting(0.01, "How much the squares of vectors cost.", low=0.0, high=100.0)
    batch_size: int = setting(0, "Ratings a step; 0 chooses by the number of ratings.", low=0, high=2**20)
    epochs: int = setting(20, "Passes over the ratings.", low=1, high=10_000)
    loss: str = setting(
        "auto",
        "Of the ranking head, over an item and its negatives; auto is softmax below half a million ratings, else bce.",
        choices=("auto", "softmax", "bce"),
    )
    negatives: int = setting(
        512, "Items that the user has not rated, drawn for each group of up to 64 of their ratings.", low=1, high=10_000
    )
    pretrain: int = setting(0, "Epochs in which the halves of neumf are trained alone, before both.", low=0, high=1000)
    early_stopping: bool = setting(
        True, "Hold out a few of the training rows and stop when they are no longer predicted better."
    )
    device: str = setting("auto", "Where to train.", choices=("auto", "cpu", "cuda"))

    def __post_init__(self) -> None:
        """Keep layers as a list, as JSON has them."""
        object.__setattr__(self, "hidden_layers", list(self.hidden_layers))


class NeuralCF(ServedNeural):
    """The model with its training."""

    name = "ncf"
    Config = NeuralCFConfig

    _run: "Run | None"

    def __init__(self, config: NeuralCFConfig | None = None, **settings: Any) -> None:
        """Take settings and refuse those that cannot go together.

        Raises:
            SettingRefused: layers that grow, or pre-training of a variant with one half.
        """
        super().__init__(config, **settings)
        _check(self.config)
        self._resume, self._run = {}, None

    def check_trainable(self) -> None:
        """Refuse before any work where torch is missing.

        Raises:
            TrainingFailed: names the command that installs it.
        """
        try:
            found = find_spec("torch") is not None
        except ValueError:  # what stands in its place is no module
            found = False
        if not found:
            raise TrainingFailed("ncf is trained by torch, which is not installed here", hint=INSTALL)

    def build_model(self) -> Any:
        """Return untrained networks as torch modules by head, for the users and items of `facts`."""
        from engine.models.neural_torch import Network, Shape

        n_users, n_items = len(self.facts.users), len(self.facts.items)
        shapes = {name: Shape(n_users, n_items, *self._shape(name)) for name in self._names()}
        return {name: Network(shape, self.config.dropout) for name, shape in shapes.items()}

    def train(self, ratings_df: "pd.DataFrame", epochs: int | None = None) -> dict[str, list[float]]:
        """Train on a DataFrame; the design's name for `fit`."""
        return self.fit(ratings_df, epochs)

    def fit_epochs(self, train: Interactions, *, valid: Interactions | None = None, seed: int = 42) -> Iterator[Epoch]:
        """Train, yielding after each epoch; in the end each head is as it was when it did best on held-out rows.

        Losses are RMSE in rating units where there is a rating head, else the ranking loss; "ranking" is always that of
        the ranking head.

        Raises:
            TrainingFailed: torch is missing, or a loss is not finite.
        """
        self.check_trainable()
        from engine.models.neural_run import Run

        self.facts = TrainingFacts.of(train)
        learned, held_out = self._parted(train, valid, seed)
        run = Run(self.config, {name: self._shape(name) for name in self._names()}, self.facts, learned, held_out, seed)
        if self.epochs_done:
            run.go_on(self._resume, self._raw)
        self._run = run
        note = run.note
        while self.epochs_done < self.config.epochs and not run.over:
            number = self.epochs_done + 1
            losses = run.epoch(number)
            self._serve(run.arrays())
            self.epochs_done = number
            losses |= self._errors(learned, valid)
            notes = "; ".join(part for part in (note, *run.notes()) if part)
            note = ""
            yield Epoch(number, self.config.epochs, losses, len(learned), notes)
        self.settle(train)
        self._run, self._resume = None, run.patience()

    def settle(self, train: Interactions) -> None:
        """Go back to where each head did best, after a run that ended before its last epoch."""
        del train
        if self._run is not None:
            self._run.take_best()
            self._serve(self._run.arrays())

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Return the parameters of the heads, and what a resumed training needs, gathered when it is asked for."""
        if self._run is not None:
            self._resume = self._run.memory()
        return super().parameters()

    def memory_bytes(self, n_users: int, n_items: int, n_ratings: int) -> int:
        """Return a forecast of the peak memory of training: torch, rows, tables with moments and copies, a step."""
        config = self.config
        variants = {"ratings": config.variant, "ranking": config.ranking_variant}
        forms = [
            Form(name == "ranking", variants[name], config.embedding_dim, tuple(config.hidden_layers))
            for name in self._names()
        ]
        return training_bytes(forms, n_users, n_items, n_ratings, batch=config.batch_size, negatives=config.negatives)

    def _parted(
        self, train: Interactions, valid: Interactions | None, seed: int
    ) -> tuple[Interactions, Interactions | None]:
        """Return rows to learn from, and rows to stop by where that is asked for."""
        if not self.config.early_stopping or not len(train):
            return train, None
        if valid is not None and len(valid):
            return train, valid
        parts = validation(train, seed, min(_HELD_OUT, _MOST_HELD_OUT / len(train)))
        return (parts.train, parts.test) if len(parts.test) else (train, None)

    def _errors(self, train: Interactions, valid: Interactions | None) -> dict[str, float]:
        """Return RMSE by name, on an evenly spaced part of the training rows, and take the noise from it."""
        if "ratings" not in self.heads:
            return {}
        found = {}
        for name, rows in {"train": train, "valid": valid}.items():
            if rows is None:
                continue
            step = max(1, len(rows) // _MEASURED) if name == "train" else 1
            users, items, given = rows.user_index[::step], rows.item_index[::step], rows.ratings[::step]
            squares = np.square(self.rate_pairs(users, items).astype(np.float64) - given)
            found[name] = float(np.sqrt(squares.mean())) if len(squares) else 0.0
            if name == "train" and len(squares):
                self.noise = max(float(squares.mean()) / self._deviation**2, LEAST_SPREAD)
        return found


def _check(config: Any) -> None:
    layers = config.hidden_layers
    if any(after > before for before, after in pairwise(layers)):
        raise SettingRefused(
            f"hidden_layers = {','.join(map(str, layers))} is refused",
            hint="each layer is at most as wide as the one before it: 64,32,16",
        )
    if config.pretrain and "neumf" not in (config.variant, config.ranking_variant):
        raise SettingRefused(
            f"pretrain = {config.pretrain} is refused", hint=f"{config.variant} has one half; only neumf has two"
        )


_HELD_OUT, _MOST_HELD_OUT = 0.05, 20_000  # share of the training rows that early stopping looks at, and how many
_MEASURED = 20_000  # training rows on which the error is measured after an epoch
