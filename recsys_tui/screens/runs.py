"""The list of runs as Train and Jobs show it."""

from typing import TYPE_CHECKING, Any

from recsys_tui import render
from recsys_tui.facts import job_facts
from recsys_tui.widgets.columns import Field

if TYPE_CHECKING:
    from recsys_tui.runview import RunView
    from recsys_tui.stream import StoreState
    from store.journal import Job


def short_minute(text: str | None) -> str:
    """Return a time of `render.iso` as day and minute: the year stands in the details."""
    return render.minute(text)[5:] if text else render.minute(text)


MARKS = {"running": "● ", "queued": "○ ", "done": "✓ ", "failed": "! ", "lost": "! ", "cancelled": "× "}
"""What stands before a state, so that colour is not needed to see it."""

RUN_COLUMNS = (
    Field("job", "job", align="right", width=4),
    Field("model", "model", width=11),
    Field("state", "state", width=11),
    Field("epoch", "epoch", width=9, align="right", spare=True),
    Field("loss", "loss", width=7, align="right", spare=True),
    Field("ndcg@10", "ndcg@10", width=7, align="right"),
    Field("rmse", "rmse", width=6, align="right"),
    Field("version", "version", width=7, spare=True),
    Field("origin", "by", width=5, spare=True),
    Field("created_at", "started", width=11, show=short_minute),
)


def run_row(job: "Job", state: "StoreState", view: "RunView | None") -> dict[str, Any]:
    """Return a run as a row: its facts, how far it is, and the figures of the version it made."""
    facts = job_facts(job)
    version = next((version for version in state.versions if version.id == job.version), None)
    metrics = version.metrics if version else {}
    latest = view.latest() if view else []
    return facts | {
        "state": MARKS.get(job.state, "") + job.state,
        "epoch": f"{view.number}/{view.of}" if view and view.of else "",
        "loss": latest[0][1] if latest else None,
        "ndcg@10": metrics["ndcg@10"].value if "ndcg@10" in metrics else None,
        "rmse": metrics["rmse"].value if "rmse" in metrics else None,
        "version": facts["version"] or "",
    }
