"""Models: the versions there are, how good they are, and which one is served."""

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.facts import version_facts
from recsys_tui.quantities import no_share, share
from recsys_tui.render import Column
from recsys_tui.render.values import to_json
from recsys_tui.screens.model_table import ACTIONS, COLUMNS, EMPTY, HELP, rows_of
from recsys_tui.screens.prompt import Prompt
from recsys_tui.screens.version_pages import VersionPages
from recsys_tui.screens.versionwords import described
from recsys_tui.widgets.frame import titled
from recsys_tui.widgets.row_table import RowTable
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services import Services
    from store.registry import ModelVersion


SHARE = "10%"
"""Of the users, for a canary, unless another share is typed."""


class Models(VersionPages):
    """Compare versions, activate one, go back to the one before."""

    NAME = "models"
    CSS_PATH = "models.tcss"
    HELP_TEXT = HELP
    ACTIONS = ACTIONS
    ASKED = "Words of model, label, state or settings; empty shows all:"
    NOTHING = EMPTY

    def body(self) -> ComposeResult:
        """Yield the versions and what is known of the one under the cursor."""
        with Vertical(id="versions-pane", classes="pane"):
            yield RowTable(COLUMNS, empty=EMPTY, key="version", id="versions")
        with Vertical(id="facts-pane", classes="pane"), VerticalScroll(id="facts-scroll"):
            yield Static(id="facts")

    def on_mount(self) -> None:
        """Take up the order of the last session."""
        table = self.query_one(RowTable)
        order = self.remembered("order", "version")
        table.order = order if order in {field.order for field in COLUMNS} else "version"
        table.reverse = self.remembered("reverse", default=True)
        titled(self.query_one("#versions-pane"), "versions")
        self.take_up_words()

    # --- showing --------------------------------------------------------------------------------------------------

    def look(self, kinds: frozenset[str]) -> None:
        """Show the versions as they are now, the cursor staying on its own."""
        if "versions" in kinds:
            self.show_rows()

    def _rows(self) -> list[dict[str, Any]]:
        table = self.query_one(RowTable)
        return rows_of(self.state.versions, self.words, table.order, reverse=table.reverse, canary=self.state.canary)

    def show_rows(self) -> None:
        """Show the versions that have all the words."""
        table = self.query_one(RowTable)
        at = table.current["version"] if table.current else getattr(self.state.active, "name", None)
        rows = self._rows()
        self.tell_count("#versions-pane", "versions", len(rows), len(self.state.versions))
        table.renew(rows, cursor=next((k for k, row in enumerate(rows) if row["version"] == at), 0))

    @on(Resize)
    def describe_anew(self) -> None:
        """Describe it for the new width, once the pane has it."""
        self.call_after_refresh(self.describe)

    @on(VirtualTable.Highlighted, "#versions")
    def describe(self) -> None:
        """Show what is known of the version under the cursor."""
        version = self.version()
        title = f"{version.name} {version.model_type}, {version.state}" if version else "no version"
        titled(self.query_one("#facts-pane"), title)
        width = self.query_one("#facts").size.width
        page = described(version, self.state.active, width) if version else shown(EMPTY, "$text-muted")
        self.query_one("#facts", Static).update(page)
        self.query_one("#facts-scroll").scroll_home(animate=False)

    def version(self) -> "ModelVersion | None":
        """Return the version under the cursor."""
        row = self.query_one(RowTable).current
        return next((v for v in self.state.versions if row and v.name == row["version"]), None)

    # --- words ----------------------------------------------------------------------------------------------------

    def selected(self) -> dict[str, str]:
        """Return the version under the cursor."""
        version = self.version()
        words = {"listing": "models list"}
        if version is None:
            return words
        names = [one.name for one in self.chosen()]
        words |= {"version": version.name, "show": f"models show {version.name}", "share": SHARE}
        return words | {"versions": " ".join(names), "pair": " ".join(reversed(names))}

    def copies(self) -> dict[str, str]:
        """Offer the version under the cursor."""
        row = self.query_one(RowTable).current
        if not row:
            return {}
        figures = "\t".join(str(row.get(column.key, "")) for column in COLUMNS)
        return {"name": row["version"], "row": figures, "JSON": to_json(version_facts(self.version()))}  # type: ignore[arg-type]

    def table(self) -> tuple[list[Column | str], list[dict[str, Any]]]:
        """Return the versions shown."""
        names = list(dict.fromkeys(name for version in self.state.versions for name in version.metrics))
        return ["version", "model_type", "state", "trained_at", "label", *names], self._rows()

    # --- what is done ---------------------------------------------------------------------------------------------

    def action_activate(self) -> None:
        """Show what the gate says, then activate."""
        from recsys_tui.screens.activate import Activate

        def ask(version: "ModelVersion") -> None:
            if version.active:
                self.toast(f"{version.name} is active already")
                return
            self.app.push_screen(
                Activate(self, version, self.state.active), lambda yes: self._activate(version) if yes else None
            )

        self.with_version(ask)

    def _activate(self, version: "ModelVersion") -> None:
        def work(services: "Services") -> Any:
            from engine.services.gate import activate
            from engine.services.lineage import whoami

            return activate(services, version, who=whoami(), why="in the terminal UI")

        self.ask("change", work, lambda _: self._done(f"{version.name} is active; b goes back"), self._failed)

    def action_canary(self) -> None:
        """Ask for a share, then try the version on it."""

        def ask(version: "ModelVersion") -> None:
            def take(text: str | None) -> None:
                if text:
                    self.ask("change", lambda services: self._begin(services, version, text), self._done, self._failed)

            question = f"Share of the users that {version.name} serves from now on; b ends it, a promotes it:"
            prompt = self.ui.dialog(Prompt, "prompt")
            self.app.push_screen(prompt.fill(f"canary {version.name}", question, SHARE, check=no_share), take)

        self.with_version(ask)

    def _begin(self, services: "Services", version: "ModelVersion", text: str) -> str:
        from engine.services.lineage import whoami

        part = share(text.strip(), "--canary")
        services.canary.begin(version, part, (), who=whoami(), why="in the terminal UI")
        return f"{version.name} serves {text} of the users; `recsys-tui monitor` compares"

    def action_rollback(self) -> None:
        """Ask, then end the canary that runs, or go back to the version before."""
        if self.state.canary is not None:
            self.confirm(
                f"End the canary v{self.state.canary}?", self._end_canary, detail="Everybody is served as before."
            )
            return

        def work(services: "Services") -> Any:
            return services.registry.resolve("previous")

        def ask(before: "ModelVersion") -> None:
            active = self.state.active
            self.confirm(
                f"Go back to {before.name} {before.model_type}?",
                self._rollback,
                detail=f"It was active before {active.name}." if active else "",
            )

        self.ask("previous", work, ask, self._failed)

    def _end_canary(self) -> None:
        def work(services: "Services") -> Any:
            from engine.services.lineage import whoami

            return services.canary.stop(who=whoami(), why="in the terminal UI")

        self.ask("change", work, lambda _: self._done("the canary has ended"), self._failed)

    def _rollback(self) -> None:
        def work(services: "Services") -> Any:
            from engine.services.lineage import whoami

            return services.registry.rollback(who=whoami(), why="in the terminal UI")

        self.ask("change", work, lambda version: self._done(f"{version.name} is active again"), self._failed)

    def action_delete(self) -> None:
        """Ask for the name, then delete."""

        def ask(version: "ModelVersion") -> None:
            if version.active:
                self.toast(f"{version.name} is active: activate another one first", severity="warning")
                return
            self.confirm(
                f"Delete {version.name} {version.model_type}, {render.size(version.bytes)}?",
                lambda: self.ask(
                    "change",
                    lambda services: services.registry.delete(version.id),
                    lambda _: self._done(f"{version.name} is deleted"),
                    self._failed,
                ),
                detail="Its files are gone then; nothing brings them back.",
                word=version.name,
            )

        self.with_version(ask)

    def action_label(self) -> None:
        """Ask for a text, then label."""

        def ask(version: "ModelVersion") -> None:
            def take(text: str | None) -> None:
                if text is not None:
                    self.ask(
                        "change",
                        lambda services: services.registry.label(version.id, text),
                        lambda _: self._done(f"{version.name} is labelled"),
                        self._failed,
                    )

            prompt = self.ui.dialog(Prompt, "prompt")
            self.app.push_screen(prompt.fill(f"label {version.name}", "A short text of your own:", version.label), take)

        self.with_version(ask)

    def _done(self, message: str) -> None:
        self.toast(message)
        self.ui.look_now()

    def _failed(self, error: Exception) -> None:
        self.toast(f"{error}; {getattr(error, 'hint', '')}", severity="error")

    # --- order and filter -----------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the version under the cursor, or take its mark away."""
        self.query_one(RowTable).toggle_mark()

    def action_clear(self) -> None:
        """Take all marks away."""
        table = self.query_one(RowTable)
        table.marks.clear()
        table.refresh()

    def action_sort(self) -> None:
        """Sort by the next column that is shown."""
        orders = [field.order for field in COLUMNS if field.order]
        table = self.query_one(RowTable)
        self._order(orders[(orders.index(table.order) + 1) % len(orders)])

    @on(VirtualTable.OrderAsked, "#versions")
    def order_by(self, message: VirtualTable.OrderAsked) -> None:
        """Sort by the column that was clicked, the other way round where it is by it already."""
        if message.row == self.query_one(RowTable).order:
            self.action_reverse()
        else:
            self._order(message.row)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        table = self.query_one(RowTable)
        table.reverse = not table.reverse
        self.remember("reverse", table.reverse)
        self.show_rows()

    def _order(self, order: str) -> None:
        table = self.query_one(RowTable)
        table.order = order
        self.remember("order", order)
        self.show_rows()
