"""Models: the versions there are, how good they are, and which one is served."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from recsys_tui import render
from recsys_tui.actions import Action
from recsys_tui.commands.versions import version_facts
from recsys_tui.render import Column
from recsys_tui.render.formats import to_json
from recsys_tui.screens.base import Place
from recsys_tui.screens.prompt import Prompt
from recsys_tui.screens.runs import short_minute
from recsys_tui.screens.sheet import Sheet
from recsys_tui.screens.versionwords import compared, described, lineage, trail
from recsys_tui.widgets.columns import Field
from recsys_tui.widgets.text import shown
from recsys_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from engine.services import Services
    from store.registry import ModelVersion

EMPTY = "no versions yet: 1 Train makes one"
COLUMNS = (
    Field("version", "version", width=9, order="version"),
    Field("model_type", "model", width=12, order="model_type"),
    Field("served", "state", width=11, order="state"),
    Field("ndcg@10", "ndcg@10", width=9, align="right", order="ndcg@10"),
    Field("rmse", "rmse", width=8, align="right", order="rmse"),
    Field("coverage", "coverage", width=8, align="right", digits=3, spare=True, order="coverage"),
    Field("trained_at", "trained", width=11, show=short_minute, order="trained_at", spare=True),
    Field("label", "label", width=5, grows=True),
)
_MARKS = {"active": "● active", "canary": "◐ canary", "candidate": "  candidate", "retired": "  retired"}


class Models(Place):
    """Compare versions, activate one, go back to the one before."""

    NAME = "models"
    HELP_TEXT = (
        "Every training makes a version. Its figures were measured on ratings held out, with 95% intervals. One "
        "version is active: it answers everybody. Mark two or more with space and compare them with c: the verdict is "
        "by the difference on the same users. a shows what the gate says before anything is activated; b goes back."
    )
    ACTIONS = (
        Action("models.activate", "a", "Activate", "Serve this version; shows the gate's reasoning first.",
               "models activate {version}", writes=True),
        Action("models.compare", "c", "Compare", "Compare the marked versions, or this one with the active.",
               "compare {versions}"),
        Action("models.mark", "space", "Mark", "Mark this version for a comparison.", "models show {version}"),
        Action("models.rollback", "b", "Back", "Go back to the version that was active before.", "models rollback",
               writes=True),
        Action("models.filter", "slash", "Filter", "Show only versions with these words.", "models list"),
        Action("models.sort", "s", "Sort", "Sort by the next column.", "models list"),
        Action("models.reverse", "S", "Reverse", "Sort the other way round.", "models list", footer=False),
        Action("models.lineage", "i", "Lineage", "Where this version comes from and what became of it.",
               "models lineage {version}", footer=False),
        Action("models.trail", "A", "Audit", "Every change of what is served: when, who, why.",
               "models lineage {version}", footer=False),
        Action("models.verify", "v", "Verify", "Check every file of this version by its checksum.",
               "models verify {version}", footer=False),
        Action("models.label", "n", "Label", "Give this version a short text of your own.",
               "models label {version} {text}", writes=True, footer=False),
        Action("models.delete", "D", "Delete", "Delete this version and its files; its name must be typed.",
               "models delete {version}", writes=True, footer=False),
        Action("models.clear", "C", "Unmark", "Take all marks away.", "models list", footer=False),
    )  # fmt: skip

    def body(self) -> ComposeResult:
        """Yield the versions and what is known of the one under the cursor."""
        with Vertical(id="versions-pane", classes="pane"):
            yield VirtualTable(COLUMNS, empty=EMPTY, key="version", id="versions")
        with Vertical(id="facts-pane", classes="pane"), VerticalScroll(id="facts-scroll"):
            yield Static(id="facts")

    def on_mount(self) -> None:
        """Take up the order of the last session."""
        table = self.query_one(VirtualTable)
        order = self.remembered("order", "version")
        table.order = order if order in {field.order for field in COLUMNS} else "version"
        table.reverse = self.remembered("reverse", default=True)
        self._words = self.remembered("filter", "")
        table.focus()

    # --- showing --------------------------------------------------------------------------------------------------

    def look(self, kinds: frozenset[str]) -> None:
        """Show the versions as they are now, the cursor staying on its own."""
        if "versions" in kinds:
            self._show()

    def _rows(self) -> list[dict[str, Any]]:
        """Return the versions that the filter lets through, in the order chosen; those without a figure come last."""
        words = self._words.casefold().split()
        rows = [version_facts(version) for version in self.state.versions]
        rows = [row | row["metrics"] | {"served": _MARKS.get(row["state"], row["state"])} for row in rows]
        rows = [row for row in rows if all(word in _searched(row) for word in words)]
        table = self.query_one(VirtualTable)
        key = table.order
        known = [row for row in rows if row.get(key) is not None]
        known.sort(key=lambda row: _sortable(key, row[key]), reverse=table.reverse)
        return known + [row for row in rows if row.get(key) is None]

    def _show(self) -> None:
        table = self.query_one(VirtualTable)
        at = table.current["version"] if table.current else getattr(self.state.active, "name", None)
        rows = self._rows()
        table.empty = f"nothing matches {self._words}: / changes the filter" if self._words else EMPTY
        table.show(rows, cursor=next((k for k, row in enumerate(rows) if row["version"] == at), 0))
        pane = self.query_one("#versions-pane", Vertical)
        count = len(self.state.versions)
        pane.border_title = f"versions {len(rows)} of {count}" if self._words else f"versions {count}"
        pane.border_subtitle = f"/{render.safe(self._words)}" if self._words else ""

    @on(VirtualTable.Highlighted, "#versions")
    def describe(self) -> None:
        """Show what is known of the version under the cursor."""
        version = self._version()
        pane = self.query_one("#facts-pane", Vertical)
        pane.border_title = (
            f"{version.name} {render.safe(version.model_type)}, {version.state}" if version else "no version"
        )
        page = described(version, self.state.active) if version else shown(EMPTY, "$text-muted")
        self.query_one("#facts", Static).update(page)
        self.query_one("#facts-scroll").scroll_home(animate=False)

    def _version(self) -> "ModelVersion | None":
        row = self.query_one(VirtualTable).current
        return next((v for v in self.state.versions if row and v.name == row["version"]), None)

    def _chosen(self) -> list["ModelVersion"]:
        """Return what is to be compared: the marked versions, newest first; else the one here with the active one."""
        marks = self.query_one(VirtualTable).marks
        found = [version for version in self.state.versions if version.name in marks]
        if len(found) < 2:
            pair = [self._version(), *found, *([] if found else [self.state.active])]
            found = list({version.name: version for version in pair if version is not None}.values())
        return found

    # --- words ----------------------------------------------------------------------------------------------------

    def selected(self) -> dict[str, str]:
        """Return the version under the cursor."""
        version = self._version()
        words = {"listing": "models list"}
        if version is None:
            return words
        names = " ".join(one.name for one in self._chosen())
        return words | {"version": version.name, "show": f"models show {version.name}", "versions": names}

    def copies(self) -> dict[str, str]:
        """Offer the version under the cursor."""
        row = self.query_one(VirtualTable).current
        if not row:
            return {}
        figures = "\t".join(str(row.get(column.key, "")) for column in COLUMNS)
        return {"name": row["version"], "row": figures, "JSON": to_json(version_facts(self._version()))}  # type: ignore[arg-type]

    def table(self) -> tuple[list[Column | str], list[dict[str, Any]]]:
        """Return the versions shown."""
        names = list(dict.fromkeys(name for version in self.state.versions for name in version.metrics))
        return ["version", "model_type", "state", "trained_at", "label", *names], self._rows()

    # --- what is done ---------------------------------------------------------------------------------------------

    def _with_version(self, then: Callable[["ModelVersion"], None]) -> None:
        """Do something with the version under the cursor, or say that there is none."""
        version = self._version()
        if version is None:
            self.toast("no version is selected", severity="warning")
        else:
            then(version)

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

        self._with_version(ask)

    def _activate(self, version: "ModelVersion") -> None:
        def work(services: "Services") -> Any:
            from engine.services.gate import activate
            from engine.services.lineage import whoami

            return activate(services, version, who=whoami(), why="in the terminal UI")

        self.ask("change", work, lambda _: self._done(f"{version.name} is active; b goes back"), self._failed)

    def action_rollback(self) -> None:
        """Ask, then go back to the version before."""

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

        self._with_version(ask)

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

            self.app.push_screen(Prompt(f"label {version.name}", "A short text of your own:", version.label), take)

        self._with_version(ask)

    def _done(self, message: str) -> None:
        self.toast(message)
        self.ui.look_now()

    def _failed(self, error: Exception) -> None:
        self.toast(f"{error}; {getattr(error, 'hint', '')}", severity="error")

    def _sheet(self, sheet: Sheet, work: Callable[["Services"], Any], page: Callable[[Any], Any]) -> None:
        """Open a page and fill it with what `work` finds."""
        self.app.push_screen(sheet)
        self.ask("sheet", work, lambda found: sheet.fill(page(found)), sheet.fail)

    def action_compare(self) -> None:
        """Compare the marked versions, or the one here with the active one."""
        versions = self._chosen()
        if len(versions) < 2:
            self.toast("mark two versions with space, then compare", severity="warning")
            return
        names = [version.name for version in versions]
        self._sheet(
            Sheet(f"compare {', '.join(names)}", f"compare {' '.join(names)}", "compares on the same users …"),
            lambda services: services.comparison.compare(names),
            lambda found: compared(found, versions),
        )

    def action_lineage(self) -> None:
        """Show where the version comes from."""

        def show(version: "ModelVersion") -> None:
            def work(services: "Services") -> Any:
                from engine.services.lineage import family

                return family(services.registry, version)

            self._sheet(Sheet(f"lineage of {version.name}", f"models lineage {version.name}"), work, lineage)

        self._with_version(show)

    def action_trail(self) -> None:
        """Show every change of what is served."""
        self._sheet(Sheet("audit trail", "models lineage active"), lambda services: services.registry.audit(), trail)

    def action_verify(self) -> None:
        """Check the files of the version."""

        def show(version: "ModelVersion") -> None:
            self._sheet(
                Sheet(f"verify {version.name}", f"models verify {version.name}", "reads every byte …"),
                lambda services: services.registry.verify(version.id),
                lambda problems: (
                    shown("\n".join(problems), "$text-error")
                    if problems
                    else shown(f"✓ every file of {version.name} is as it was written")
                ),
            )

        self._with_version(show)

    # --- order and filter -----------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the version under the cursor, or take its mark away."""
        self.query_one(VirtualTable).toggle_mark()

    def action_clear(self) -> None:
        """Take all marks away."""
        table = self.query_one(VirtualTable)
        table.marks.clear()
        table.refresh()

    def action_sort(self) -> None:
        """Sort by the next column that is shown."""
        orders = [field.order for field in COLUMNS if field.order]
        table = self.query_one(VirtualTable)
        self._order(orders[(orders.index(table.order) + 1) % len(orders)])

    @on(VirtualTable.OrderAsked, "#versions")
    def order_by(self, message: VirtualTable.OrderAsked) -> None:
        """Sort by the column that was clicked, the other way round where it is by it already."""
        if message.row == self.query_one(VirtualTable).order:
            self.action_reverse()
        else:
            self._order(message.row)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        table = self.query_one(VirtualTable)
        table.reverse = not table.reverse
        self.remember("reverse", table.reverse)
        self._show()

    def _order(self, order: str) -> None:
        table = self.query_one(VirtualTable)
        table.order = order
        self.remember("order", order)
        self._show()

    def action_filter(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self._words = words.strip()
                self.remember("filter", self._words)
                self._show()

        self.app.push_screen(
            Prompt("filter", "Words of model, label, state or settings; empty shows all:", self._words), take
        )


def _searched(row: dict[str, Any]) -> str:
    return f"{row['version']} {row['model_type']} {row['state']} {row['label']} {row['hyperparameters']}".casefold()


def _sortable(key: str, value: Any) -> Any:
    """Return what a row is sorted by: versions by number, not by letters."""
    return int(str(value).removeprefix("v")) if key == "version" else value
