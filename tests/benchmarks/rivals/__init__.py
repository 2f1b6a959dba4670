"""The other packages, in an environment of their own, each behind a script that reads arrays and prints JSON."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[3]
ENVIRONMENT = Path(os.environ.get("RECSYS_BENCH_VENV", ROOT / ".venv-bench"))
PACKAGES = (
    "implicit==0.7.3",
    "lenskit==2025.8.1",
    "scikit-surprise==1.1.5",
    "myfm==0.4.0",
    "setuptools==80.9.0",  # the last to bring pkg_resources, which myFM imports
)
ALONE = (
    "rectools==0.19.0",
    "attrs==23.2.0",
    "typeguard==4.6.1",
    "recbole==1.2.1",
    "colorama==0.4.6",
    "colorlog==6.12.0",
    "narwhals==2.29.0",
    "pyyaml==6.0.4",
    "scikit-learn==1.9.1",
    "texttable==1.7.2",
    "thop==0.1.1.post2209072238",
    "tensorboard==2.21.0",
    "absl-py==2.5.1",
    "grpcio==1.85.3",
    "markdown==3.11.3",
    "protobuf==7.36.2",
    "werkzeug==3.1.9",
)
"""Installed without what they ask for: RecTools' metrics run with the NumPy of the others, though it asks for an older
one, and it would put another build over `implicit`; RecBole asks for packages that its trainer does not import."""


def install() -> Path:
    """Return the Python of the environment, which is made where it is missing.

    `RECSYS_BENCH_VENV` names another one, which is taken as it is; so is one that a link leads to: others use it too,
    and making it anew would empty it under them.
    """
    python = ENVIRONMENT / "bin" / "python"
    done, wanted = ENVIRONMENT / "installed", "\n".join(PACKAGES + ALONE)
    if "RECSYS_BENCH_VENV" in os.environ or ENVIRONMENT.is_symlink() or (done.exists() and done.read_text() == wanted):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "torch==2.13.0"], check=True)  # first: LensKit would take another one
    subprocess.run([*pip, *PACKAGES], check=True)
    subprocess.run([*pip, "--no-deps", *ALONE], check=True)
    done.write_text(wanted)
    return python


def versions() -> dict[str, str]:
    """Return the versions of all packages of the environment."""
    code = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([str(install()), "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run(script: str, arrays: dict[str, np.ndarray], *arguments: str, python: Path | None = None) -> Any:
    """Run a script of this folder on arrays, by `python` where that is given, and return what it prints as JSON."""
    python = python or install()
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **arrays)
        command = [str(python), str(Path(__file__).with_name(script)), file.name, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
