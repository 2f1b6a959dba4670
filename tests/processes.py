"""Other processes for tests: real interpreters running a few lines of code, which can be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def start(code: str, *arguments: str | Path | int, user: int | None = None) -> subprocess.Popen[str]:
    """Start an interpreter on `code`, with `sys.argv[1:]` as given; its stdout and stdin are pipes."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user,
    )


def finish(process: subprocess.Popen[str], *, expect: int = 0, timeout: float = 60.0) -> str:
    """Wait for the end, check the exit code and return stdout."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == expect, f"ended with {process.returncode}\n{out}\n{err}"
    return out


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Read stdout up to a line, which the process prints once it is where the test wants it."""
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line!r}:\n{process.communicate()[1]}")


def kill(process: subprocess.Popen[str]) -> None:
    """End the process by SIGKILL and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
