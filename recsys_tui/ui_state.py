"""What the terminal UI remembers between sessions: a small JSON file in the XDG state folder."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from store.database import make_folder


def state_file(env: Mapping[str, str]) -> Path:
    """Return the file: `$XDG_STATE_HOME/recsys-tui/ui.json`."""
    base = Path(env.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # the specification: a relative path is invalid and ignored
        base = Path(env.get("HOME") or Path.home()) / ".local/state"
    return base / "recsys-tui" / "ui.json"


class UiState:
    """Values by name, such as `train.log_axis`. A file that cannot be read or written is no reason not to start."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = state_file(os.environ) if path is None else path
        self.notice = ""
        self._values: dict[str, Any] = self._read()
        self._saved = dict(self._values)

    def get(self, name: str, default: Any) -> Any:
        """Return a value, or the default where there is none or one of another kind."""
        value = self._values.get(name, default)
        return value if isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        """Remember a value that JSON can hold."""
        self._values[name] = value

    def forget(self, user: str) -> None:
        """Drop every value that names a person, and write the file."""
        self._values = {
            name: value
            for name, value in self._values.items()
            if value != user and not (isinstance(value, list) and user in value)
        }
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._values == self._saved:
            return
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            make_folder(self._path.parent)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._values, file)
            partial.replace(self._path)
            self._saved = dict(self._values)

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError):
            self.notice = f"{self._path} cannot be read: the screens start as they are by default"
            return {}
