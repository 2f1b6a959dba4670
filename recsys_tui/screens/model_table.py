"""What Models lists and what can be done there: columns, order, filter, actions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from recsys_tui.actions import Action
from recsys_tui.facts import version_facts
from recsys_tui.screens.runs import short_minute
from recsys_tui.widgets.columns import Field, has_words

if TYPE_CHECKING:
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
MARKS = {"active": "● active", "canary": "◐ canary", "candidate": "  candidate", "retired": "  retired"}

HELP = (
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
    Action("models.diff", "d", "Lists", "Whose lists change between two versions, and how much.", "diff {pair}",
           footer=False),
    Action("models.canary", "K", "Canary", "Try this version on a share of the users; b ends it.",
           "models activate {version} --canary {share}", writes=True, footer=False),
    Action("models.filter", "slash", "Filter", "Show only versions with these words.", "models list"),
    Action("models.sort", "s", "Sort", "Sort by the next column.", "models list"),
    Action("models.reverse", "S", "Reverse", "Sort the other way round.", "models list", footer=False),
    Action("models.lineage", "i", "Lineage", "Where this version comes from and what became of it.",
           "models lineage {version}", footer=False),
    Action("models.trail", "A", "Audit", "Every change of what is served: when, who, why.",
           "models audit", footer=False),
    Action("models.verify", "v", "Verify", "Check every file of this version by its checksum.",
           "models verify {version}", footer=False),
    Action("models.label", "t", "Label", "Give this version a short text of your own.",
           "models label {version} {text}", writes=True, footer=False),
    Action("models.delete", "D", "Delete", "Delete this version and its files; its name must be typed.",
           "models delete {version}", writes=True, footer=False),
    Action("models.clear", "C", "Unmark", "Take all marks away.", "models list", footer=False),
)  # fmt: skip


def rows_of(
    versions: Iterable["ModelVersion"], words: str, order: str, *, reverse: bool, canary: int | None = None
) -> list[dict[str, Any]]:
    """Return the versions that have all the words, in the order chosen; those without its figure come last."""
    rows = []
    for version in versions:
        row = version_facts(version)
        row["state"] = "canary" if version.id == canary else row["state"]
        rows.append(row | row["metrics"] | {"served": MARKS.get(row["state"], row["state"])})
    rows = [row for row in rows if has_words(_searched(row), words)]
    known = [row for row in rows if row.get(order) is not None]
    known.sort(key=lambda row: _sortable(order, row[order]), reverse=reverse)
    return known + [row for row in rows if row.get(order) is None]


def _searched(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("version", "model_type", "state", "label", "hyperparameters")}


def _sortable(key: str, value: Any) -> Any:
    """Return what a row is sorted by: versions by number, not by letters."""
    return int(str(value).removeprefix("v")) if key == "version" else value
