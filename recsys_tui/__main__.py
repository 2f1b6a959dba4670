"""Entry point of `recsys-tui`."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts: answered before the command tree is built
        from recsys_tui.version import print_version

        print_version()
        return
    try:
        from recsys_tui.cli import run
    except KeyboardInterrupt:  # pressed while the modules load
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
