"""The other packages, in an environment of their own, each behind a script that reads arrays and prints JSON."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv-bench"
PACKAGES = ("torch==2.13.0", "implicit==0.7.3", "lenskit==2025.8.1", "scikit-surprise==1.1.5", "myfm==0.4.0")


def install() -> Path:
    """Make the environment where it is missing and return its Python."""
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / "installed"
    if not done.exists() or done.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.write_text("\n".join(PACKAGES))
    return python


def run(script: str, arrays: dict[str, np.ndarray], *arguments: str) -> Any:
    """Run a script of this folder on arrays and return what it prints as JSON."""
    python = install()
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **arrays)
        command = [str(python), str(Path(__file__).with_name(script)), file.name, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])
