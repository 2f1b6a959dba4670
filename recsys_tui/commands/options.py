"""Options that several commands share."""

from typing import Annotated

import typer

User = Annotated[str, typer.Argument(help="User id, exactly as in the data.")]
Item = Annotated[str, typer.Argument(help="Item id, exactly as in the data.")]
Version = Annotated[str, typer.Option("--version", help="v<n>, active, latest, best or previous.")]
VersionName = Annotated[str, typer.Argument(metavar="VERSION", help="v<n>, active, latest, best or previous.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Rows in a page.")]
After = Annotated[str, typer.Option("--after", help="Begin after this id: the last one of the page before.")]
Guards = Annotated[
    list[str], typer.Option("--guard", metavar="METRIC:-1%", help="How much worse another metric may become; repeat.")
]
