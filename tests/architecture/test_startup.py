"""What starting costs: the libraries that are loaded, asked of real processes."""

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT

RUN = """
import json, sys
sys.argv = ["recsys-tui", *json.loads(sys.argv[1])]
from recsys_tui.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
NEVER_AT_START = {
    "numpy", "scipy", "pandas", "pyarrow", "numba", "torch", "textual", "sqlite_utils", "joblib", "psutil",
    "safetensors", "adbc_driver_manager", "adbc_driver_sqlite", "pymongo", "optuna", "matplotlib", "hypothesis",
}  # fmt: skip
HELP = [
    ["--help"],
    ["--version"],
    ["recommend", "--help"],
    ["train", "--help"],
    ["import", "--help"],
    ["models", "--help"],
    ["jobs", "list", "--help"],
]


def modules(code, *arguments):
    """Return the top-level modules that are loaded once the code has run."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    unwanted = NEVER_AT_START | ({"sqlite3"} if arguments[-1] == "--help" else set())
    assert modules(RUN, json.dumps(arguments)) & unwanted == set()


IMPORT = """
import json, sys
__import__(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("engine.services", NEVER_AT_START),
        ("engine.services.recommend", NEVER_AT_START - {"numpy"}),
        ("engine.services.explain", NEVER_AT_START - {"numpy"}),
        ("engine.services.realtime", NEVER_AT_START - {"numpy"}),
        ("engine.models", NEVER_AT_START),
        ("engine.metrics", NEVER_AT_START - {"numpy"}),
        ("store.database", NEVER_AT_START),
        ("store.catalog", NEVER_AT_START),
        ("store.registry", NEVER_AT_START),
        ("store.journal", NEVER_AT_START),
        ("store.vectors", NEVER_AT_START),
        ("store.migrations", NEVER_AT_START),
        ("recsys_tui.cli", NEVER_AT_START),
    ],
)
def test_importing_a_module_loads_only_what_serving_needs(module, unwanted):
    assert modules(IMPORT, module) & unwanted == set()


def test_the_runner_sees_what_is_loaded():
    assert "numpy" in modules(IMPORT, "engine.services.recommend")
    assert "typer" in modules(RUN, json.dumps(["--help"]))
