"""The rules of the look, parsed once: Textual parses all of them anew for every screen that is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode

_SOURCES = (
    512  # the cache of parsed sources of Textual holds 64: with more of them it would hold none that is asked for
)


class KeptStylesheet(Stylesheet):
    """Parses a source when it is added, and all of them only where the theme has other colours."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES)
        self._stale = False
        self._only: DOMNode | None = None

    def read(self, filename: str | PurePath) -> None:
        """Read a file of rules, which are parsed when they are first asked for."""
        super().read(filename)
        self._rules_map = None

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take the colours of a theme; the same ones change nothing."""
        if variables != self._variables:
            super().set_variables(variables)
            self._stale = True

    def reparse(self) -> None:
        """Parse every source with the colours there are now, if they are others than before."""
        if self._stale:
            super().reparse()
            self._stale = False

    @contextmanager
    def only(self, root: DOMNode) -> Iterator[None]:
        """Update no other nodes meanwhile: what is added holds for these alone."""
        self._only = root
        try:
            yield
        finally:
            self._only = None

    def update(self, root: DOMNode, animate: bool = False) -> None:
        """Update the styles of a node and of all below it."""
        super().update(self._only or root, animate=animate)
