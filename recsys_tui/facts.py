"""Runs and versions as the contract names their parts, for --json, for tables, and for the rows of the UI."""

import time
from typing import TYPE_CHECKING, Any

from recsys_tui import render

if TYPE_CHECKING:
    from store.journal import Job
    from store.registry import ModelVersion


def job_facts(job: "Job") -> dict[str, Any]:
    """Return a job as the contract names its parts."""
    ended = job.finished_at or time.time()
    return {
        "job": job.id,
        "model": job.model,
        "state": job.state,
        "origin": job.origin,
        "version": f"v{job.version}" if job.version else None,
        "created_at": render.iso(job.created_at),
        "started_at": render.iso(job.started_at),
        "finished_at": render.iso(job.finished_at),
        "seconds": round(ended - job.started_at, 3) if job.started_at else None,
        "exit_code": job.exit_code,
        "error": job.error,
        "hint": job.hint,
    }


def version_facts(version: "ModelVersion") -> dict[str, Any]:
    """Return a version as the contract names its parts."""
    return {
        "version": version.name,
        "model_type": version.model_type,
        "state": version.state,
        "active": version.active,
        "trained_at": render.iso(version.trained_at),
        "label": version.label,
        "hyperparameters": version.hyperparameters,
        "metrics": {name: row.value for name, row in version.metrics.items()},
        "training_data": version.training_data,
        "protocol": version.protocol,
        "job": version.job,
        "parent": f"v{version.parent}" if version.parent else None,
        "members": version.members,
        "weights": version.lineage.get("ensemble"),
        "bytes": version.bytes,
        "sha256": {name: facts.sha256 for name, facts in version.files.items()},
    }
