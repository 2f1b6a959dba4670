"""Processes for tests that kill many: one interpreter loads everything once, and forks a child a round."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
_LOOP = """
import os, sys
for line in sys.stdin:
    values = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        work(values)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


class Zygote:
    """Starts children that run `work(values)`, a function that `code` defines; no thread may run before the fork."""

    def __init__(self, code: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code + _LOOP],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, *values: str | Path) -> int:
        """Start a child and return its number."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(map(str, values)) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def kill(self, child: int) -> None:
        """End the last child by SIGKILL, unless it has ended by itself, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        assert self._line().strip() == "gone"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
