"""The loop of a training run: an event an epoch, a checkpoint between two, a limit in time."""

import time
from collections.abc import Generator
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.data import Interactions
from engine.errors import TrainingFailed
from engine.models.base import Epoch, Model
from engine.services.checkpoints import Checkpoints
from engine.services.curve import HeldOutCurve
from engine.services.request import Progress, TrainingRequest

BESIDE = 0.1
"""Share of the time that is left to a run which is kept for measuring and saving."""

_LEAST = 1e-3  # seconds
_NOTICED = 1.0  # seconds of compiling that a person would wonder about


def fit_seconds(limit: float, spent: float, rows: int, later: int = 0) -> float:
    """Return how many seconds the epochs of a fit may take, 0 for no limit.

    Args:
        limit: seconds for the whole run, 0 for no limit.
        spent: seconds of it that are gone.
        rows: how many rows the fit is of.
        later: of how many rows another fit is that comes after it; each gets time by its rows.
    """
    return max((limit - spent) * (1 - BESIDE) * rows / (rows + later), _LEAST) if limit else 0.0


def train_epochs(
    model: Model,
    train: Interactions,
    request: TrainingRequest,
    checkpoints: Checkpoints | None,
    curve: HeldOutCurve | None = None,
    *,
    seconds: float = 0.0,
) -> Generator[Progress, None, None]:
    """Train, yielding an event an epoch with its speed; go on from a checkpoint where there is one.

    No epoch is begun that would not end within `seconds`, unless they are 0. `curve` adds to the event of an epoch what
    the model makes of some held-out rows: it is shown, and decides nothing.
    """
    from engine.jit import Compiling

    rows = train.fingerprint() if checkpoints is not None else ""
    if checkpoints is not None and (state := checkpoints.load(rows)) is not None:
        model.restore(state)
        yield Progress("note", {"text": f"goes on after epoch {model.epochs_done}"})
    began = last = time.monotonic()
    apart = 0.0  # seconds that do not count
    with Compiling() as compiling:
        for epoch in model.fit_epochs(train, seed=request.seed):
            took = time.monotonic() - last
            if (compiled := compiling.taken()) >= _NOTICED:
                text = f"{compiled:.0f} s of this epoch went into compiling, once on a machine"
                yield Progress("note", {"text": text, "compiling": round(compiled, 2)})
            data = _epoch_data(epoch, took)
            data["held_out"] = curve.after(model, took) if curve is not None else {}
            try:
                yield Progress("epoch", data)
            except GeneratorExit:  # cancelled here: a resumed run goes on from this epoch, not from an earlier one
                if checkpoints is not None:
                    checkpoints.save(model.state, rows)
                    checkpoints.wait()
                raise
            if checkpoints is not None and checkpoints.due:
                checkpoints.save(model.state, rows)
            apart += max(compiled, epoch.once) if request.once_apart else 0.0  # the one may be in the other
            another = max(took - compiled - epoch.once, 0.0)  # what is done once may be compiled first
            another_ends = time.monotonic() - began - apart + another <= seconds
            if seconds and epoch.number < epoch.of and not another_ends:
                model.settle(train)
                text = f"time limit of {request.time_limit:.3g} s: ended after epoch {epoch.number}"
                yield Progress("note", {"text": text})
                break
            last = time.monotonic()


def _epoch_data(epoch: Epoch, seconds: float) -> dict[str, Any]:
    if not all(np.isfinite(loss) for loss in epoch.losses.values()):
        raise TrainingFailed(
            f"the loss is not finite in epoch {epoch.number}",
            hint="lower the learning rate (--set learning_rate=…) or regularize more; the active version stays",
        )
    speed = epoch.ratings / seconds if seconds > 0 else 0.0
    told = {name: value for name, value in asdict(epoch).items() if name != "once"}
    return told | {"seconds": round(seconds, 4), "ratings_per_second": round(speed)}
