"""What `--version` says."""

import sys


def print_version() -> None:
    """Print program, schema, Python and database, one a line."""
    from recsys_tui import __version__
    from recsys_tui.render.safe import safe
    from recsys_tui.render.terminal import Terminal
    from recsys_tui.settings import SettingsError, load
    from store.migrations import SCHEMA_VERSION

    try:
        database = str(load({}).db)
    except SettingsError as error:
        database = f"unknown: {error}"
    python = ".".join(map(str, sys.version_info[:3]))
    lines = f"recsys-tui {__version__}\nschema {SCHEMA_VERSION}\npython {python}\ndatabase {safe(database)}\n"
    Terminal.of(sys.stdout).write(lines)
