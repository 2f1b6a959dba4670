"""Entry point of `recsys-tui`."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts: answered before the command tree is built
        from recsys_tui.version import print_version

        print_version()
        return
    try:
        code = _opened(sys.argv[1:])
        if code is None:
            from recsys_tui.cli import run

            code = run(sys.argv[1:])
    except KeyboardInterrupt:  # pressed while the modules load
        code = 130
    sys.exit(code)


def _opened(arguments: list[str]) -> int | None:
    """Open the terminal UI where that is all that is asked for, without building the command tree, and return its code.

    A tenth of the time to the first content would go into that.
    """
    if arguments and arguments[0] != "tui":
        return None
    from recsys_tui.opening import begin, plainly_asked, usable

    asked = plainly_asked(arguments)
    if asked is None or not usable():
        return None
    from pathlib import Path

    from recsys_tui.ending import ended

    given = {"db": Path(asked.pop("db"))} if "db" in asked else {}
    return ended(lambda: begin(given, **asked))


if __name__ == "__main__":
    main()
