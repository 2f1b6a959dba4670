"""Text of the data as Textual shows it: never read as markup, never able to touch the terminal."""

from rich.text import Text
from textual.content import Content

from recsys_tui import render


def shown(text: object, style: str = "") -> Content:
    """Return any text of the data as content for a widget: safe, and character for character where it is harmless.

    Args:
        text: from the data, a file or an error.
        style: of Textual, such as "bold" or "$text-accent".
    """
    content = Content(render.safe(str(text)))
    return content.stylize(style) if style else content


def cell(text: object, style: str = "", *, right: bool = False) -> Text:
    """Return any text of the data as the cell of a `DataTable`, on one line; figures stand at the right."""
    return Text(render.safe(str(text)), style=style, justify="right" if right else "left", no_wrap=True, end="")


def figure(value: float | None, digits: int = 4, style: str = "") -> Text:
    """Return a number as a cell: fixed decimals at the right, so that columns line up."""
    return cell(render.number(value, digits), style, right=True)
