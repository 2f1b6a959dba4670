"""A place with a list that is narrowed to words, and in which `n` and `N` go on to the next row that has them."""

from recsys_tui.screens.base import Place
from recsys_tui.screens.prompt import Prompt
from recsys_tui.widgets.frame import titled
from recsys_tui.widgets.row_table import RowTable


class Filtering(Place):
    """What `/` and Esc do; a place says what is looked through and shows it."""

    ASKED = "Words of any column; empty shows all:"
    NOTHING = ""
    """What stands in the list where there is nothing at all."""

    words = ""

    def show_rows(self) -> None:
        """Show the rows that have all the words."""
        raise NotImplementedError

    def take_up_words(self) -> None:
        """Narrow the list to the words of the last session."""
        self.words = self.query_one(RowTable).words = self.remembered("filter", "")

    def action_filter(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self.narrow(words)

        words = self.words or self.query_one(RowTable).words
        self.app.push_screen(self.ui.dialog(Prompt, "prompt").fill("filter", self.ASKED, words), take)

    def narrow(self, words: str) -> None:
        """Show only rows with these words; `n` and `N` look for them afterwards too, in all rows."""
        self.words = words.strip()
        self.query_one(RowTable).words = self.words
        self.remember("filter", self.words)
        self.show_rows()

    def clear(self) -> bool:
        """Show all rows again; return False where they are shown already."""
        if not self.words:
            return False
        self.words = ""
        self.remember("filter", "")
        self.show_rows()
        return True

    def tell_count(self, pane: str, what: str, shown: int, of: int) -> None:
        """Say above the list how many rows are shown, and what they were narrowed to."""
        table = self.query_one(RowTable)
        table.empty = f"nothing matches {self.words}: esc shows all, / changes it" if self.words else self.NOTHING
        title = f"{what} {shown} of {of}" if self.words else f"{what} {of}"
        titled(self.query_one(pane), title, f"/{self.words}  esc shows all" if self.words else "")
