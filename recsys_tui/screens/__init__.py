"""The places of the terminal UI. A new one is one file and one line; it is imported when it is first shown."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys_tui.screens.base import Place

SCREENS = {
    "train": "recsys_tui.screens.train:Train",
    "models": "recsys_tui.screens.models:Models",
    "users": "recsys_tui.screens.users:Users",
    "rate": "recsys_tui.screens.rate:Rate",
    "data": "recsys_tui.screens.data:Data",
    "jobs": "recsys_tui.screens.jobs:Jobs",
}
"""Place and its class; those of `recsys_tui.actions.PLACES` that are missing here are not offered."""


def screen_class(name: str) -> "type[Place]":
    """Return the class of a place by its name in the table."""
    module, _, attribute = SCREENS[name].partition(":")
    found: type[Place] = getattr(import_module(module), attribute)
    return found
