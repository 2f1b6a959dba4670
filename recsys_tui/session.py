"""What every command shares: the flags --db, --json and --color, the settings, the services, one way of answering."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys_tui import render
from recsys_tui.ending import Interrupted
from recsys_tui.render import Column
from recsys_tui.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from engine.services import Services
    from store.database import Database

Format = Literal["auto", "table", "json", "ndjson", "csv", "tsv"]
Columns = list[Column | str]


class Session:
    """One invocation of a command."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self.as_json = bool(flags.get("as_json")) or flags.get("format") == "json"
        self.format: str = "json" if self.as_json else flags.get("format") or "auto"
        self._flags = {name: flags.get(name) for name in ("db", "color")}

    @property
    def given(self) -> dict[str, Any]:
        """The settings among the flags."""
        return {name: value for name, value in self._flags.items() if value is not None}

    @cached_property
    def settings(self) -> Settings:
        """Defaults, files, environment and flags put together."""
        settings = load(self.given)
        render.configure(color=settings.color, ascii=settings.ascii)
        return settings

    @cached_property
    def services(self) -> "Services":
        """The services over the database, which must exist."""
        from engine.services import Services

        return Services.open(self._db())

    @cached_property
    def created(self) -> "Services":
        """The services over the database, made where it is missing: for commands that write."""
        from engine.services import Services

        return Services.open(self._db(), create=True)

    @cached_property
    def database(self) -> "Database":
        """The database as it is, or is not yet: for an import, which makes it once its source has proved readable."""
        from store.database import Database

        return Database(self._db())

    def _db(self) -> Path:
        """Return the path of the database.

        Raises:
            SettingsError: it is a folder.
            NoPermission: the folders above it may not be looked at.
        """
        from store.errors import translate

        path = self.settings.db
        try:
            folder = path.is_dir()
        except OSError as error:
            raise translate(error, path) from error
        if folder:
            raise SettingsError(f"the database {path} is a folder", f"name a file in it: --db {path / 'recsys.db'}")
        return path

    # --- answering ------------------------------------------------------------------------------------------------

    def document(self, facts: Mapping[str, Any], *, title: str = "", shown: Mapping[str, Any] | None = None) -> None:
        """Answer with one object: JSON, or names and values (`shown` on a terminal, where people want other words)."""
        self.settings  # noqa: B018  colour and ASCII are set up by reading it
        if self.as_json:
            render.emit_document(facts)
        else:
            render.panel(title, facts if shown is None or not sys.stdout.isatty() else shown)

    def rows(self, rows: Iterable[Any], columns: Sequence[Column | str], *, empty: str = "nothing to show") -> None:
        """Answer with a list in the format asked for."""
        self.settings  # noqa: B018  colour and ASCII are set up by reading it
        render.emit(rows, columns, self.format, empty=empty)

    def say(self, text: str) -> None:
        """Tell people something on stderr; silent under --json, where programs listen."""
        if not self.as_json:
            render.say(text)

    @property
    def as_table(self) -> bool:
        """True where rows become a table for a person."""
        return self.format == "table" or (self.format == "auto" and sys.stdout.isatty())

    def gap(self) -> None:
        """Set what follows apart from what stands above it."""
        if not self.as_json:
            render.Terminal.of(sys.stdout).write("\n")

    @property
    def on_terminal(self) -> bool:
        """True where a person watches stderr."""
        return sys.stderr.isatty() and not self.as_json


_DB = Annotated[Path | None, typer.Option("--db", help="Database file. Default: RECSYS_DB, else the XDG data folder.")]
_JSON = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_COLOR = Annotated[Literal["auto", "always", "never"] | None, typer.Option("--color", help="Colour the output.")]
_FORMAT = Annotated[Format, typer.Option("--format", help="How to write the list.")]


def group(app: typer.Typer, name: str, about: str) -> typer.Typer:
    """Return the group of commands of this name, made where it is first asked for; its page begins with `about`."""
    for made in app.registered_groups:
        if made.name == name and made.typer_instance is not None:
            return made.typer_instance
    fresh = typer.Typer(rich_markup_mode=None, help=about, no_args_is_help=True)
    app.add_typer(fresh, name=name)
    return fresh


_NAMES_ALONE: ContextVar[bool] = ContextVar("names_alone", default=False)


@contextmanager
def names_alone(yes: bool) -> Iterator[None]:
    """Register commands without their arguments: enough to list them, in half the time."""
    before = _NAMES_ALONE.set(yes)
    try:
        yield
    finally:
        _NAMES_ALONE.reset(before)


def command(
    app: typer.Typer, name: str, *, lists: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function of (session, …) as a command that takes the shared flags too.

    Args:
        app: the group it belongs to.
        name: as typed.
        lists: the command answers with rows and takes --format.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared: dict[str, tuple[Any, Any]] = {"db": (_DB, None), "as_json": (_JSON, False), "color": (_COLOR, None)}
        if lists:
            shared["format"] = (_FORMAT, "auto")
        own = list(inspect.signature(function).parameters.values())[1:]

        @functools.wraps(function)
        def invoke(ctx: typer.Context, **values: Any) -> None:
            flags = {key: values.pop(key) for key in shared}
            before = ctx.find_root().obj or {}
            session = Session(before | {key: value for key, value in flags.items() if value})
            try:
                function(session, **values)
            except KeyboardInterrupt as error:
                raise Interrupted(str(error)) from error

        kinds = inspect.Parameter
        extra = [
            kinds(key, kinds.KEYWORD_ONLY, default=default, annotation=kind) for key, (kind, default) in shared.items()
        ]
        named = [parameter.replace(kind=kinds.KEYWORD_ONLY) for parameter in own]
        context = kinds("ctx", kinds.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        taken = [context] if _NAMES_ALONE.get() else [context, *named, *extra]
        invoke.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
        invoke.__annotations__ = {p.name: p.annotation for p in taken}
        app.command(name)(invoke)
        return function

    return register
