"""The command line: its root, and what is said where it makes no sense."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import typer

from recsys_tui import render
from recsys_tui.commands.root import Root, modules, nearest
from recsys_tui.ending import Interrupted, ended
from recsys_tui.session import Session, names_alone
from store.secrets import redacted

_ABOUT = """Recommendations in a terminal: import ratings, train, compare, activate, explain. Offline, one SQLite file.

    \b
    recsys-tui import ratings.csv            a file or folder of ratings
    recsys-tui train mf --activate           train, measure, serve
    recsys-tui recommend 42 -n 10 --explain  the best ten for user 42, and why
    recsys-tui demo                          all of it, on sample data
    """


def tree(arguments: Sequence[str] | None = None) -> typer.Typer:
    """Return the command tree: all of it, or the part in which this command line will be found.

    Building all of it takes longer than most commands do, so a command that is named is built alone, and for the page
    that lists them they are built without their arguments.
    """
    return _tree(tuple(modules(arguments)), listed=list(arguments or ()) == ["--help"])


@cache
def _tree(names: tuple[str, ...], *, listed: bool) -> typer.Typer:
    app = typer.Typer(
        name="recsys-tui",
        cls=Root,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=False,
        suggest_commands=False,  # the hint of the error does
        help=_ABOUT,
    )
    app.callback(invoke_without_command=True)(root)
    with names_alone(listed):
        for name in names:
            import_module(f"recsys_tui.commands.{name}").register(app)
    return app


def root(
    ctx: typer.Context,
    *,
    db: Annotated[Path | None, typer.Option("--db", help="Database file, for every command.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    color: Annotated[Literal["auto", "always", "never"] | None, typer.Option("--color", help="Colour.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print program, schema, Python and database.")] = False,
) -> None:
    """Take the flags that may stand before the command."""
    given = {"db": db, "as_json": as_json, "color": color}
    ctx.obj = {name: value for name, value in given.items() if value}
    if version:
        from recsys_tui.version import print_version

        print_version()
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        from recsys_tui.opening import begin, usable

        if usable():
            raise typer.Exit(begin(Session(ctx.obj).given))
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    as_json = "--json" in arguments
    return ended(lambda: _answered(arguments, as_json=as_json), as_json=as_json)


def _answered(arguments: list[str], *, as_json: bool) -> int:
    """Run a command line; what makes no sense to the parser is reported here."""
    try:
        return int(tree(arguments)(arguments, prog_name="recsys-tui", standalone_mode=False) or 0)
    except click.ClickException as error:
        return _refused(error, as_json=as_json)
    except click.Abort as error:
        raise Interrupted(str(error)) from error


def _refused(error: click.ClickException, *, as_json: bool) -> int:
    """Report a command line that makes no sense."""
    context: Any = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        typer.echo(context.get_help())
        return 2
    path = context.command_path if context is not None else "recsys-tui"
    hint = f"`{path} --help` shows how"
    message = error.format_message().rstrip(".")
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        message = f"{path} needs a command"
    elif near := list(nearest(error)):
        hint = f"did you mean {' or '.join(near)}? {hint}"
    elif isinstance(error, click.NoSuchOption) and error.option_name.lstrip("-")[:1].isdecimal():
        message, hint = f"{error.option_name} was taken for an option", f"write -- before it: {path} … -- ARGUMENTS"
    render.error(redacted(message), hint, as_json=as_json, code="usage")
    return 2
