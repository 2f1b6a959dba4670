"""What a report of a version holds: its figures with what they mean, the rows behind them, and where it comes from."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.metrics import metric

if TYPE_CHECKING:
    from engine.services import Services

_ORIGIN = ("host", "seconds", "peak_memory", "python", "packages")


def report_document(services: "Services", figures: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a report as plain values, for any way of writing it down.

    Args:
        services: have the version.
        figures: of the version, as `EvaluationService` gives them in plain values.
    """
    version = services.registry.resolve(figures["version"])
    metrics = []
    for name, values in figures["metrics"].items():
        found = metric(name)
        meaning = {"better": found.aim, "sentence": found.sentence, "formula": found.formula, "source": found.source}
        metrics.append({"metric": name} | values | meaning)
    trained = datetime.fromtimestamp(version.trained_at, UTC)
    return {
        "version": version.name,
        "model": version.model_type,
        "label": version.label,
        "state": version.state,
        "trained_at": trained,
        "training_data": version.training_data,
        "hyperparameters": version.hyperparameters,
        "lineage": {name: version.lineage[name] for name in _ORIGIN if name in version.lineage},
        "protocol": figures["protocol"],
        "users": figures["users"],
        "excluded": figures["excluded"],
        "metrics": metrics,
        "segments": figures["segments"],
        "reliability": figures["reliability"],
    }
