"""The import arrows of the architecture, and the measures of its files: each is a rule that a file can break."""

import ast
import sys
import tomllib
from itertools import chain

import pytest

from tests.architecture.sources import ROOT, Import, Source, imports, sources

EVERY = [(source, found) for source in sources() for found in imports(source)]

LIBRARY_FOR = {
    "torch": ["engine/models/neural_torch.py", "engine/models/neural_training.py"],
    "optuna": ["engine/services/tuning.py"],
    "pyspark": ["engine/services/spark.py"],
    "pymongo": ["store/importers/mongodb.py"],
    "bson": ["store/importers/mongodb.py"],
    "uvicorn": ["recsys_tui/api.py"],
    "starlette": ["recsys_tui/api.py"],
    "matplotlib": ["recsys_tui/plots.py"],
    "textual": [
        "recsys_tui/app.py",
        "recsys_tui/stream.py",
        "recsys_tui/stylesheet.py",
        "recsys_tui/screens",
        "recsys_tui/widgets",
    ],
    "textual_plotext": ["recsys_tui/screens", "recsys_tui/widgets"],
    "sqlite3": ["store/database.py", "store/migrations.py", "store/patience.py", "store/loading/swap.py"],
    "adbc_driver_sqlite": ["store/adbc.py"],
    "adbc_driver_manager": ["store/adbc.py"],
    "numba": ["engine"],
    "safetensors": ["store/artifacts.py"],
    "typer": ["recsys_tui/cli.py", "recsys_tui/session.py", "recsys_tui/commands"],
    "rich": ["recsys_tui/render", "recsys_tui/screens", "recsys_tui/widgets"],
}
"""Where a library may be imported at all."""

FRONT_END_MAY_USE = ("engine.services", "engine.errors", "engine.models", "engine.metrics", "engine.resources")
FRONT_END_TABLES = ("engine.models.MODELS", "engine.models.model_class", "engine.models.config")


def broken(rule):
    return [f"{source.path}:{found.line} imports {found.module}" for source, found in EVERY if rule(source, found)]


def is_core(source: Source) -> bool:
    return source.under("engine") and not source.under("engine/services")


class TestArrows:
    def test_the_engine_core_knows_neither_store_nor_services_nor_front_end(self):
        def rule(source: Source, found: Import) -> bool:
            return is_core(source) and (
                found.package in {"store", "recsys_tui"} or found.module.startswith("engine.services")
            )

        assert broken(rule) == []

    def test_the_store_knows_nothing_of_models_or_front_ends(self):
        assert broken(lambda s, f: s.under("store") and f.package in {"engine", "recsys_tui"}) == []

    def test_the_services_know_no_front_end(self):
        assert broken(lambda s, f: s.under("engine/services") and f.package == "recsys_tui") == []

    def test_the_front_end_takes_no_numerics_from_the_engine(self):
        def rule(source: Source, found: Import) -> bool:
            if not source.under("recsys_tui") or found.package != "engine":
                return False
            if found.module.startswith("engine.models"):
                return not found.module.startswith(FRONT_END_TABLES)
            return not found.module.startswith(FRONT_END_MAY_USE)

        assert broken(rule) == []

    def test_the_front_end_has_no_numerics_and_no_sql(self):
        heavy = {"numpy", "scipy", "pandas", "numba", "torch", "sqlite3", "sqlite_utils", "safetensors", "joblib"}
        assert broken(lambda s, f: s.under("recsys_tui") and f.package in heavy and not f.for_types) == []

    def test_the_ui_needs_nothing_of_the_command_line(self):
        """The list of commands for the palette apart, which is made when nobody waits."""
        command_line = ("recsys_tui.commands.", "recsys_tui.cli.", "recsys_tui.session.")
        late = {"recsys_tui/__main__.py", "recsys_tui/screens/ahead.py", "recsys_tui/screens/commands.py"}

        def rule(source: Source, found: Import) -> bool:
            inside = source.under("recsys_tui/commands", "recsys_tui/cli.py", "recsys_tui/session.py")
            needs = f"{found.module}.".startswith(command_line) and source.under("recsys_tui") and not found.for_types
            return needs and not inside and (found.at_start or source.path not in late)

        assert broken(rule) == []

    def test_tests_and_sample_data_are_not_part_of_the_program(self):
        assert broken(lambda s, f: f.package in {"tests", "pytest", "hypothesis"}) == []

    def test_the_arrows_are_seen_at_all(self):
        """The rules above would hold of an empty list too."""
        seen = {(source.path.split("/")[0], found.package) for source, found in EVERY}
        assert {("engine", "store"), ("recsys_tui", "engine"), ("recsys_tui", "store")} <= seen
        assert any(found.for_types for _, found in EVERY)
        assert any(not found.at_start and not found.for_types for _, found in EVERY)


class TestLibraries:
    @pytest.mark.parametrize("library", LIBRARY_FOR)
    def test_each_is_imported_only_where_it_belongs(self, library):
        places = LIBRARY_FOR[library]

        assert broken(lambda s, f: f.package == library and not f.for_types and not s.under(*places)) == []

    def test_slow_ones_wait_until_they_are_needed(self):
        late = {"torch", "pandas", "optuna", "pyspark", "pymongo", "sqlite_utils", "matplotlib", "scipy", "joblib"}
        mine = {"torch": "engine/models/neural_t", "pymongo": "store/importers/mongodb.py", "scipy": "engine/kernels"}

        def rule(source: Source, found: Import) -> bool:
            return found.at_start and found.package in late and not source.path.startswith(mine.get(found.package, "-"))

        assert broken(rule) == []

    def test_all_are_declared(self):
        """An import of something that pyproject.toml does not name works on this machine only."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
        names = {line.split(">")[0].split("[")[0].strip().replace("-", "_") for line in wanted}
        names |= {"bson", "llvmlite"}  # parts of pymongo and of numba
        names |= {"store", "engine", "recsys_tui", "sample_data", *sys.stdlib_module_names}
        assert broken(lambda s, f: f.package not in names) == []


DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
ALLOWED_FILES: set[str] = set()
ALLOWED_FUNCTIONS: set[str] = set()


def public(node: ast.AST, path: str):
    """Yield (place, node) of what others may use: not named _…, not inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, DOCUMENTED):
            if child.name.startswith("_"):
                continue
            yield f"{path}:{child.lineno} {child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public(child, path)
        elif isinstance(child, ast.If | ast.Try):
            yield from public(child, path)


def overrides(node: ast.AST) -> bool:
    """A method that says only `@override` has the docstring of what it overrides."""
    return any(ast.unparse(mark) in {"override", "typing.override"} for mark in getattr(node, "decorator_list", []))


class TestMeasures:
    def test_everything_public_says_what_it_is(self):
        silent = [source.path for source in sources() if source.text.strip() and not ast.get_docstring(source.tree)]
        for source in sources():
            silent += [
                place
                for place, node in public(source.tree, source.path)
                if not ast.get_docstring(node) and not overrides(node)
            ]
        assert silent == []

    def test_no_file_is_longer_than_300_lines(self):
        lengths = {source.path: source.text.count("\n") for source in sources()}
        assert {path: n for path, n in lengths.items() if n > LONGEST_FILE and path not in ALLOWED_FILES} == {}

    def test_no_function_is_longer_than_50_lines(self):
        """Counted without signature and docstring: the flags of a command are its signature, one a line."""
        long = {}
        for source in sources():
            for node in ast.walk(source.tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    body = node.body[1:] if ast.get_docstring(node) else node.body
                    lines = node.end_lineno - body[0].lineno + 1 if body else 0
                    if lines > LONGEST_FUNCTION and f"{source.path}:{node.name}" not in ALLOWED_FUNCTIONS:
                        long[f"{source.path}:{node.name}"] = lines
        assert long == {}
