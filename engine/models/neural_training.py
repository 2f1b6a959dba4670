"""Epochs of neural collaborative filtering: two heads, each with its loss, its optimizer and its own early stopping.

    ratings   L = mean over rows of (y - score)² + λ (squares of the vectors in it),    y = (r - mean) / deviation
    ranking   L = mean over rows of -log softmax(scores of the row's item and k others)[that item] + λ (…), or
              L = mean of softplus(-score of the item) + Σ softplus(scores of the others) + λ (…)

The others are drawn anew in each epoch from what the user has not rated. All randomness of an epoch comes from
(seed, epoch, head), so that no generator has to be kept for a run that goes on later.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from engine.errors import TrainingFailed
from engine.models.neural_sizes import GROUP, batch_of
from engine.models.neural_torch import HALVES, Network, Rows, Shape, ranking_loss

_LONGEST = 5.0  # of the gradient of all parameters together; a longer one is cut to this
_WARM = 100  # steps in which the learning rate rises to what was asked for
_LAST_RATE = 0.02  # share of it that is left in the end, after half a cosine
_SPARSE_FROM = 8  # a table with so many times the rows of a batch gets gradients of the touched rows alone
_MOMENTS = (0.9, 0.99)
_CHECKED = 256  # rows a batch where nothing is learned


@dataclass(frozen=True)
class Options:
    """What one head is trained with; see `NeuralCFConfig` for what each means."""

    loss: str
    learning_rate: float
    weight_decay: float
    dropout: float
    batch_size: int
    negatives: int
    epochs: int
    pretrain: int


class Head:
    """A network that learns, one epoch at a time."""

    def __init__(self, shape: Shape, options: Options, rows: Rows, seed: list[int]) -> None:
        """Make the network; equal seeds make equal ones."""
        self.options, self.rows, self._seed = options, rows, seed
        n = len(rows.users)
        self.batch = batch_of(options.batch_size, n)
        self._unit = GROUP if rows.negatives else 1
        pairs = max(1, self.batch // self._unit) * (self._unit + (options.negatives if rows.negatives else 0))
        sparse = (shape.n_users > _SPARSE_FROM * self.batch, shape.n_items > _SPARSE_FROM * pairs)
        self._device = rows.users.device
        with _seeded([*seed, 0], self._device):
            self.network = Network(shape, options.dropout, sparse=sparse).to(self._device)
        by_row = {
            f"{side}_{part}"
            for side, is_sparse in zip(("user", "item"), sparse, strict=True)
            if is_sparse
            for part in ("bias", "gmf", "mlp")
        }
        named = dict(self.network.named_parameters())
        dense = [one for name, one in named.items() if name not in by_row]
        rate = options.learning_rate
        self._optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(dense, rate, betas=_MOMENTS, fused=True)]
        if by_row & named.keys():
            touched = [one for name, one in named.items() if name in by_row]
            self._optimizers.append(torch.optim.SparseAdam(touched, rate, betas=_MOMENTS))
        self.steps, self.apart = 0, False
        self.notes: list[str] = []
        if options.batch_size > n:
            self.notes.append(
                f"batch_size {options.batch_size:,} is more than the {n:,} ratings: a step takes them all"
            )

    # --- an epoch -------------------------------------------------------------------------------------------------

    def epoch(self, number: int) -> float:
        """Go over all rows once, in a new order, and return the mean loss.

        Where a batch does not fit in memory it is halved, here and from now on.

        Raises:
            TrainingFailed: the loss is not finite, or not even one row fits.
        """
        self.network.train()
        self.apart = number <= self.options.pretrain and self.network.shape.variant == "neumf"
        if number == self.options.pretrain + 1:
            self._join()
        with _seeded([*self._seed, number], self._device):
            units = self.rows.in_groups() if self.rows.negatives else self.rows.one_by_one()
            n, done, total = len(units), 0, torch.zeros((), device=self._device)
            while done < n:
                some = units[done : done + max(1, self.batch // self._unit)]
                self._set_rate((number - 1 + done / n) / self.options.epochs)
                try:
                    total += self._step(some) * len(some)
                except (torch.OutOfMemoryError, MemoryError):
                    self._halve()
                    continue
                done += len(some)
        self.network.eval()
        loss = float(total) / max(n, 1)
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss of epoch {number} is not finite",
                hint="lower learning_rate (--set learning_rate=…); the active version stays",
            )
        return loss

    def _step(self, units: Tensor) -> Tensor:
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        with _half_precision(self._device):
            loss = self.loss(units)
        loss.backward()  # type: ignore[no-untyped-call]
        self._clip()
        for optimizer in self._optimizers:
            optimizer.step()
        self.steps += 1
        return loss.detach()

    def loss(self, units: Tensor) -> Tensor:
        """Return the loss of some rows (B, 1), or of some groups of rows (G, m) padded with -1.

        While the halves are trained alone it is the sum of the losses that each has without the other.
        """
        if self.apart:
            return self._loss_of(units, HALVES[:1]) + self._loss_of(units, HALVES[1:])
        return self._loss_of(units, HALVES)

    def _loss_of(self, units: Tensor, halves: tuple[str, ...]) -> Tensor:
        """Return the loss of some halves; a head that ranks draws the negatives of each group here."""
        users, items = self.rows.users[units[:, 0]], self.rows.items[units.clamp(min=0)]
        decay = self.options.weight_decay
        if self.rows.negatives is None:
            scores, squares = self.network(users, items, halves)
            loss: Tensor = F.mse_loss(scores[:, 0], self.rows.targets[units[:, 0]]) + decay * squares
            return loss
        others, lacking = self.rows.negatives.draw(users, self.options.negatives)
        scores, squares = self.network(users, torch.cat([items, others], 1), halves)
        counts = (units >= 0) & ~lacking.unsqueeze(1)
        loss = ranking_loss(scores, counts, self.options.loss) + decay * squares
        return loss  # noqa: RET504  typed above

    @torch.no_grad()
    def _join(self) -> None:
        """Go from two halves that each predict alone to both together: half of each, as in the paper with α = ½."""
        if self.options.pretrain and self.network.shape.variant == "neumf":
            self.network.gmf_out.mul_(0.5)
            self.network.mlp_out.mul_(0.5)

    def _clip(self) -> None:
        """Cut the gradient of all parameters to its longest."""
        gradients = [one.grad for one in self.network.parameters() if one.grad is not None]
        values = [one.coalesce().values() if one.is_sparse else one for one in gradients]
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in values]))
        if float(length) > _LONGEST:
            for one in gradients:
                one.mul_(_LONGEST / length)

    def _set_rate(self, share: float) -> None:
        """Set the learning rate: a short rise, then half a cosine over the run."""
        falling = _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.options.learning_rate * min(1.0, (self.steps + 1) / _WARM) * falling

    def _halve(self) -> None:
        if self.batch == 1:
            raise TrainingFailed(
                "out of memory with a batch of one rating", hint="use a smaller network: --set embedding_dim=16"
            )
        self.batch //= 2
        self.network.zero_grad()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self.notes.append(f"out of memory: goes on with batches of {self.batch}")

    # --- measuring ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def held_out(self, users: NDArray[np.int32], items: NDArray[np.int32], targets: NDArray[np.float32]) -> float:
        """Return how bad the head is on rows (n,) that are not trained on: by it is decided when to stop.

        For ratings the mean square error; for ranking 1 - NDCG of each row's item among 100 others, the same each time:
        the loss rises long before the order gets worse.
        """
        totals = []
        with _seeded([*self._seed, 0], self._device):
            for start in range(0, len(users), _CHECKED):
                span = slice(start, start + _CHECKED)
                who, what = (torch.from_numpy(side[span].copy()).to(self._device) for side in (users, items))
                if self.rows.negatives is None:
                    wanted = torch.from_numpy(targets[span].copy()).to(self._device)
                    totals.append(F.mse_loss(self.network(who, what[:, None])[0][:, 0], wanted, reduction="sum"))
                    continue
                others, lacking = self.rows.negatives.draw(who, 100)
                scores, _ = self.network(who, torch.cat([what[:, None], others], 1))
                above = (scores[:, 1:] >= scores[:, :1]).sum(1).masked_fill(lacking, 0)
                totals.append((1 - 1 / torch.log2(2.0 + above)).sum())
        return float(torch.stack(totals).sum()) / len(users)

    # --- state ----------------------------------------------------------------------------------------------------

    def arrays(self, *, to_serve: bool = False) -> dict[str, NDArray[Any]]:
        """Return copies of all parameters by name; of halves that are trained alone half each counts in what serves."""
        named = {name: one.detach().float().cpu().numpy().copy() for name, one in self.network.named_parameters()}
        for name in ("gmf_out", "mlp_out") if to_serve and self.apart else ():
            named[name] *= np.float32(0.5)
        return named

    @torch.no_grad()
    def take(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take parameters back."""
        for name, one in self.network.named_parameters():
            one.copy_(torch.from_numpy(np.asarray(arrays[name])).reshape(one.shape))

    def memory(self) -> dict[str, NDArray[Any]]:
        """Return what the optimizers remember, by parameter."""
        named: dict[str, NDArray[Any]] = {"steps": np.array([self.steps, self.batch])}
        for name, one in self.network.named_parameters():
            for key, value in self._kept(one).items():
                named[f"{key}.{name}"] = np.array(float(value)) if key == "step" else value.cpu().numpy().copy()
        return named

    def remember(self, named: dict[str, NDArray[Any]]) -> None:
        """Take back what `memory` gave."""
        self.steps, self.batch = (int(number) for number in named["steps"])
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                for one in group["params"]:
                    name = next(key for key, value in self.network.named_parameters() if value is one)
                    kept = {key: named[f"{key}.{name}"] for key in _KEPT if f"{key}.{name}" in named}
                    optimizer.state[one] = {
                        key: _step_of(optimizer, value) if key == "step" else torch.tensor(value, device=self._device)
                        for key, value in kept.items()
                    }

    def _kept(self, parameter: Tensor) -> dict[str, Any]:
        for optimizer in self._optimizers:
            if parameter in optimizer.state:
                return {key: value for key, value in optimizer.state[parameter].items() if key in _KEPT}
        return {}


def device_of(asked: str) -> tuple[torch.device, str]:
    """Return the device to train on, and a sentence where it is not the one that was asked for."""
    if asked == "cuda" and not torch.cuda.is_available():
        return torch.device("cpu"), "no CUDA device can be used here: trains on the CPU"
    chosen = "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(chosen), ""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: the order of its sums must not depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _seeded(seed: list[int], device: torch.device) -> Iterator[None]:
    """Make torch's generator begin anew, and leave the caller's as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng(seed).integers(2**62)))
        yield


def _half_precision(device: torch.device) -> Any:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _step_of(optimizer: torch.optim.Optimizer, value: NDArray[Any]) -> Any:
    """Return a step count as the optimizer keeps it."""
    return int(value) if isinstance(optimizer, torch.optim.SparseAdam) else torch.tensor(float(value))


_KEPT = ("step", "exp_avg", "exp_avg_sq")
