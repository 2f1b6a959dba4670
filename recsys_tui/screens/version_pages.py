"""The pages on versions that Models opens: comparison, changed lists, lineage, audit trail, checksums."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from recsys_tui.screens.filtering import Filtering
from recsys_tui.screens.sheet import Sheet
from recsys_tui.screens.versionwords import changed_lists, compared, lineage, trail
from recsys_tui.widgets.row_table import RowTable
from recsys_tui.widgets.text import shown

if TYPE_CHECKING:
    from engine.services import Services
    from store.registry import ModelVersion


class VersionPages(Filtering):
    """What is read about versions; a place says which one is meant."""

    def version(self) -> "ModelVersion | None":
        """Return the version under the cursor."""
        raise NotImplementedError

    def chosen(self) -> list["ModelVersion"]:
        """Return what is to be compared: the marked versions, newest first; else the one here with the active one."""
        marks = self.query_one(RowTable).marks
        found = [version for version in self.state.versions if version.name in marks]
        if len(found) < 2:
            pair = [self.version(), *found, *([] if found else [self.state.active])]
            found = list({version.name: version for version in pair if version is not None}.values())
        return found

    def with_version(self, then: Callable[["ModelVersion"], None]) -> None:
        """Do something with the version under the cursor, or say that there is none."""
        version = self.version()
        if version is None:
            self.toast("no version is selected", severity="warning")
        else:
            then(version)

    def _sheet(self, sheet: Sheet, work: Callable[["Services"], Any], page: Callable[[Any], Any]) -> None:
        """Open a page and fill it with what `work` finds."""
        self.app.push_screen(sheet)
        self.ask("sheet", work, lambda found: sheet.fill(page(found)), sheet.fail)

    def action_compare(self) -> None:
        """Compare the marked versions, or the one here with the active one."""
        versions = self.chosen()
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

        self.with_version(show)

    def action_trail(self) -> None:
        """Show every change of what is served."""
        self._sheet(Sheet("audit trail", "models audit"), lambda services: services.registry.audit(), trail)

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

        self.with_version(show)

    def action_diff(self) -> None:
        """Show whose lists change between two versions."""
        versions = self.chosen()
        if len(versions) != 2:
            self.toast("mark two versions with space, or stand on one that is not active", severity="warning")
            return
        second, first = (version.name for version in versions)

        def work(services: "Services") -> dict[str, Any]:
            from engine.services.diff import Changes

            changes = Changes(services, first, second)
            changes.drain()
            return changes.summary()

        waiting = "draws up the lists of every user from both …"
        self._sheet(Sheet(f"lists of {first} and {second}", f"diff {first} {second}", waiting), work, changed_lists)
