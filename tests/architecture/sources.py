"""The source files of the three packages as syntax trees: what the tests of this folder walk."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("store", "engine", "recsys_tui")


class Source(NamedTuple):
    """A file: its path from the root, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    def under(self, *folders: str) -> bool:
        """Tell whether the file is one of these, or inside one of them."""
        return any(self.path == folder or self.path.startswith(f"{folder}/") for folder in folders)


class Import(NamedTuple):
    """An imported module: full name, line, whether it is imported when the file is, or by a type checker alone."""

    module: str
    line: int
    at_start: bool
    for_types: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """Return every file of the packages, or of all three."""
    paths = [path for package in packages or PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(paths) > 5
    return tuple(
        Source(str(path.relative_to(ROOT)), text, ast.parse(text)) for path in paths for text in [path.read_text()]
    )


def imports(source: Source) -> Iterator[Import]:
    """Yield every import, wherever in the file; `from store import errors` is the module store.errors."""
    for_types = {
        id(node)
        for block in ast.walk(source.tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    late = {
        id(node)
        for block in ast.walk(source.tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(block)
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path}:{node.lineno}: a relative import hides where it goes"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            typing = id(node) in for_types
            yield Import(name, node.lineno, not typing and id(node) not in late, typing)
