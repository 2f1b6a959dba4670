"""Errors of the engine.

    EngineError
    ├── SettingRefused    an unknown model, or a hyper-parameter that is unknown or out of its range
    ├── ResumeRefused     a checkpoint that belongs to other ratings or members
    ├── DataTooSmall      fewer than 100 ratings, or nothing to test on
    ├── DataUnsuited      what was asked needs something that the data lack, such as times
    ├── LeakRefused       test rows that were trained on, or whose future is known
    ├── UnknownItem       an item that neither the model nor the catalogue has
    ├── TrainingFailed    divergence, non-finite numbers, no memory
    ├── GateRefused       the new version did not pass the gate
    └── RunFailed         what a run in another process ended with

Every error carries one line of what happened and a `hint`: one line of what to do next.
"""


class EngineError(Exception):
    """Base of all errors of the engine: `str(error)` is what happened, `error.hint` what to do next."""

    code: str = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingRefused(EngineError):
    """A model or a hyper-parameter is unknown, or a value is outside its range."""

    code = "usage"


class ResumeRefused(EngineError):
    """The checkpoint belongs to other ratings than those in the database, or to other members of an ensemble."""

    code = "data_refused"


class DataTooSmall(EngineError):
    """There is too little data for what was asked."""

    code = "data_refused"


class DataUnsuited(EngineError):
    """What was asked for needs something that the data lack."""

    code = "data_refused"


class LeakRefused(EngineError):
    """Test rows were trained on, or their future is known; nothing was measured."""

    code = "data_refused"


class UnknownItem(EngineError):
    """The item is neither in the model nor in the catalogue."""

    code = "not_found"


class TrainingFailed(EngineError):
    """The run ended without a usable model; the active version stays."""

    code = "training_failed"


class GateRefused(EngineError):
    """The version is not better by the evidence; nothing was changed."""

    code = "gate_refused"


class RunFailed(EngineError):
    """What a run in another process ended with; it carries the code of the error there."""

    def __init__(self, message: str, *, hint: str, code: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code
