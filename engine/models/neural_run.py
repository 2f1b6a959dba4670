"""A run of both heads: an epoch of each, early stopping of each, and what a run that goes on later must know."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import TrainingFacts
from engine.models.neural_scores import standard_deviation
from engine.models.neural_sizes import loss_of
from engine.models.neural_torch import Rows, Shape
from engine.models.neural_training import Head, Options, device_of, one_thread

_PATIENCE = 4  # epochs without a better held-out loss, after which a head stops
Raw = dict[str, NDArray[Any]]


class Run:
    """The heads while they learn.

    Attributes:
        note: what the operator must know of the device.
    """

    def __init__(
        self,
        config: Any,
        forms: dict[str, tuple[str, int, tuple[int, ...], NDArray[np.float32]]],
        facts: TrainingFacts,
        train: Interactions,
        held_out: Interactions | None,
        seed: int,
    ) -> None:
        """Put the rows on the device and make the networks.

        Args:
            config: settings of the model.
            forms: variant, width, layers and features of the network of each head.
            facts: of the training data.
            train: rows to learn from.
            held_out: rows that decide when a head stops, None for no early stopping.
            seed: of everything.
        """
        device, self.note = device_of(config.device)
        mean, deviation = facts.mean, standard_deviation(facts)
        self._heads, self._checks = {}, {}
        for place, (name, form) in enumerate(forms.items()):
            shape = Shape(train.n_users, train.n_items, *form)
            options = Options(
                loss_of(config.loss, len(train)),
                config.learning_rate,
                config.weight_decay,
                config.dropout,
                config.batch_size,
                config.negatives,
                config.epochs,
                config.pretrain,
            )
            targets = ((train.ratings - mean) / deviation).astype(np.float32)
            rows = Rows.of(train, targets, ranks=name == "ranking", device=device)
            self._heads[name] = Head(shape, options, rows, [seed, place])
        self._held_out = held_out if config.early_stopping else None
        if self._held_out is not None:
            wanted = ((self._held_out.ratings - mean) / deviation).astype(np.float32)
            self._checks = dict.fromkeys(forms, (self._held_out.user_index, self._held_out.item_index, wanted))
        self._best: dict[str, Raw] = {}
        self._last = 0.0
        self._least = dict.fromkeys(forms, np.inf)
        self._stale = dict.fromkeys(forms, 0)

    @property
    def over(self) -> bool:
        """True where no head goes on."""
        return all(self._stopped(name) for name in self._heads)

    def epoch(self, number: int) -> dict[str, float]:
        """Make an epoch of each head that goes on, and return the losses by name."""
        losses = {}
        with one_thread():
            for name, head in self._heads.items():
                if self._stopped(name):
                    continue
                losses[name] = head.epoch(number)
                arrays = head.arrays()
                if not all(np.isfinite(array).all() for array in arrays.values()):
                    raise TrainingFailed(
                        f"the {name} head holds numbers that are not finite after epoch {number}",
                        hint="lower learning_rate (--set learning_rate=…); the active version stays",
                    )
                if self._held_out is not None and not head.apart:
                    self._judge(name, head.held_out(*self._checks[name]), arrays)
        found = {"ranking": losses["ranking"]} if "ranking" in losses else {}
        if "ratings" in self._heads:
            return found
        held_out = {} if self._held_out is None else {"valid": self._last}
        return found | {"train": losses["ranking"]} | held_out

    def notes(self) -> list[str]:
        """Return what happened since the last question, what both heads say once."""
        told = list(dict.fromkeys(note for head in self._heads.values() for note in head.notes))
        for head in self._heads.values():
            head.notes.clear()
        return told

    def take_best(self) -> None:
        """Put each head back to where its held-out loss was least."""
        for name, arrays in self._best.items():
            self._heads[name].take(arrays)

    def arrays(self) -> dict[str, Raw]:
        """Return the parameters of all heads, ready to serve."""
        return {name: head.arrays(to_serve=True) for name, head in self._heads.items()}

    def patience(self) -> Raw:
        """Return by head the least held-out loss so far, -1 for none, and for how many epochs it has stood."""
        least = {name: loss if np.isfinite(loss) else -1.0 for name, loss in self._least.items()}
        return {f"{name}.patience": np.array([least[name], self._stale[name]]) for name in self._heads}

    def memory(self) -> Raw:
        """Return what a run that goes on later must know, the best parameters so far among it."""
        kept = self.patience()
        for name, head in self._heads.items():
            kept |= {f"{name}.memory.{key}": one for key, one in head.memory().items()}
            kept |= {f"{name}.now.{key}": one for key, one in head.arrays().items()}
            kept |= {f"{name}.best.{key}": one for key, one in self._best.get(name, {}).items()}
        return kept

    def go_on(self, kept: Raw, served: dict[str, Raw]) -> None:
        """Take back what `memory` gave; where that is gone begin from the parameters that are served."""
        for name, head in self._heads.items():
            head.take(_under(f"{name}.now.", kept) or served[name])
            if f"{name}.patience" in kept:
                least, stale = kept[f"{name}.patience"]
                self._least[name], self._stale[name] = float(least) if least >= 0 else np.inf, int(stale)
            if memory := _under(f"{name}.memory.", kept):
                head.remember(memory)
            if best := _under(f"{name}.best.", kept):
                self._best[name] = best

    def _stopped(self, name: str) -> bool:
        return self._stale[name] >= _PATIENCE

    def _judge(self, name: str, loss: float, arrays: Raw) -> None:
        """Remember the parameters where they are the best so far."""
        self._last = loss
        if loss < self._least[name]:
            self._least[name], self._stale[name], self._best[name] = loss, 0, arrays
        else:
            self._stale[name] += 1


def _under(prefix: str, named: Raw) -> Raw:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}
