"""Commands that keep the registry in order: models gc, lineage, audit, export, import."""

from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.options import VersionName
from recsys_tui.protocols import protocol_words
from recsys_tui.quantities import seconds
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command

_NOT_SHOWN = {"packages", "imported", "code", "seconds", "peak_memory"}


def register(models: typer.Typer) -> None:
    """Add the commands of this file to the group of versions."""
    command(models, "lineage")(lineage)
    command(models, "audit", lists=True)(audit)
    command(models, "gc")(collect)
    command(models, "export")(export_version)
    command(models, "import")(import_version)


def lineage(session: Session, name: VersionName = "active") -> None:
    """Show where a version comes from, and every decision about it.

    \\b
    recsys-tui models lineage v7
    """
    from engine.services.lineage import family

    registry = session.services.registry
    facts = family(registry, registry.resolve(name))
    facts["changes"] = [_change(change) for change in facts["changes"]]
    session.document(facts, title=f"{facts['version']} {facts['model_type']}", shown=_for_people(facts))


def audit(session: Session, name: Annotated[str, typer.Argument(metavar="[VERSION]")] = "") -> None:
    """List every change of the registry: who, when, why.

    Of one version, or of all, newest first; `--json` has the figures that each decision rests on.

    \\b
    recsys-tui models audit
    recsys-tui models audit v7 --json
    """
    registry = session.services.registry
    changes = registry.audit(registry.resolve(name).id if name else None)
    columns: Columns = [
        Column("at", "when (UTC)", show=render.minute),
        "version",
        "action",
        "previous",
        Column("who", grows=True),
        Column("why", wraps=True),
    ]
    session.rows([_change(change._asdict()) for change in changes], columns, empty="nothing has happened yet")


def collect(
    session: Session,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Versions of each model that stay; default: the setting `keep`.")
    ] = None,
) -> None:
    """Delete old versions and what killed runs left behind.

    The newest of each model stay, and whatever happens: the active version and the one before it, labelled ones, those
    of a canary, and members of an ensemble.

    \\b
    recsys-tui models gc --dry-run
    recsys-tui models gc --keep 3
    """
    from engine.services import retention
    from engine.services.lineage import whoami

    registry = session.services.registry
    keep = keep or session.settings.keep or retention.KEEP
    fates = retention.plan(registry, keep)
    gone, leftovers = [fate.version for fate in fates if not fate.kept], list[str]()
    if not dry_run:
        gone, leftovers = retention.collect(registry, keep, who=whoami())
    names = {version.id for version in gone}
    kept = {fate.version.name: fate.reason or "needed by now" for fate in fates if fate.version.id not in names}
    facts: dict[str, Any] = {
        "dry_run": dry_run,
        "deleted": [version.name for version in gone],
        "bytes": sum(version.bytes for version in gone),
        "leftovers": leftovers,
        "kept": kept,
    }
    shown = {
        "would go" if dry_run else "deleted": ", ".join(facts["deleted"]) or "none",
        "that is": render.size(facts["bytes"]),
    }
    if leftovers:
        shown["leftovers"] = ", ".join(leftovers)
    title = "nothing was changed" if dry_run else "kept"
    session.document(facts, title=title, shown=shown | kept)


def export_version(
    session: Session, name: VersionName, out: Annotated[Path, typer.Argument(metavar="FILE", help="Target file.")]
) -> None:
    """Write a version into one file, for another machine.

    A plain tar with a checksum for every file; an ensemble takes its members along.

    \\b
    recsys-tui models export v7 v7.tar
    """
    from engine.services.transfer import export_version as write
    from store.errors import NotFound, UsageRefused

    if out.is_dir():
        raise UsageRefused(f"{out} is a folder", hint="name a file in it")
    if not out.parent.is_dir():
        raise NotFound(f"no folder {out.parent}", hint="make it first, or write to another place")
    registry = session.services.registry
    version = registry.resolve(name)
    facts = {"version": version.name, "file": str(out)} | write(registry, version, out)
    shown = {"file": str(out), "size": render.size(facts["bytes"]), "sha256": facts["sha256"]}
    session.document(facts, title=f"{', '.join(facts['versions'])} written", shown=shown)


def import_version(
    session: Session,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `models export` wrote.")],
    *,
    wait: Annotated[str, typer.Option(help="Wait this long for a training to end: 90, 10m, 1h.")] = "",
) -> None:
    """Register the version of such a file as a candidate.

    Checksums are compared and the model is tried before anything is registered; no code of the file is run.

    \\b
    recsys-tui models import v7.tar
    """
    from engine.services.lineage import whoami
    from engine.services.transfer import import_versions

    waiting = seconds(wait, "--wait") if wait else 0.0
    made = import_versions(session.created, source, who=whoami(), wait=waiting)
    last = made[-1]
    facts = {
        "version": last.name,
        "versions": [version.name for version in made],
        "model_type": last.model_type,
        "state": last.state,
        "imported": last.lineage["imported"],
        "bytes": sum(version.bytes for version in made),
    }
    shown = {
        "model": last.model_type,
        "was": f"{last.lineage['imported']['version']} on {last.lineage.get('host', 'another machine')}",
        "next": f"recsys-tui models activate {last.name}",
    }
    session.document(facts, title=f"{', '.join(facts['versions'])} imported", shown=shown)


def _change(change: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the audit trail as programs get it."""
    previous = change["previous"]
    named = {"version": f"v{change['version']}", "previous": f"v{previous}" if previous else None}
    return change | named | {"at": render.iso(change["at"])}


def _for_people(facts: dict[str, Any]) -> dict[str, Any]:
    data, origin = facts["training_data"], facts["lineage"]
    shown: dict[str, Any] = {
        "state": facts["state"],
        "trained on": f"{data['n_ratings']:,} ratings, fingerprint {str(data.get('fingerprint'))[:16]}",
        "measured": protocol_words(facts["protocol"]),
        "follows": ", ".join(facts["ancestors"]) or "none",
        "followed by": ", ".join(facts["children"]) or "none",
    }
    for key in ("members", "member_of"):
        if facts[key]:
            shown[key.replace("_", " ")] = ", ".join(facts[key])
    if "imported" in origin:
        shown["imported"] = f"was {origin['imported']['version']} there"
    shown |= {key.replace("_", " "): render.plainly(value) for key, value in origin.items() if key not in _NOT_SHOWN}
    if "seconds" in origin:
        shown["took"] = (
            f"{render.duration(origin['seconds'])}, {render.size(origin.get('peak_memory'))} of memory at most"
        )
    if facts["request"]:
        settings = facts["request"].get("settings", {})
        shown["asked for"] = (
            ", ".join(f"{key} {render.plainly(value)}" for key, value in settings.items()) or "defaults"
        )
    shown["program"] = ", ".join(f"{name} {version}" for name, version in origin.get("packages", {}).items())
    shown["code"] = origin.get("code") or "-"
    for number, change in enumerate(facts["changes"], 1):
        why = f": {change['why']}" if change["why"] else ""
        shown[f"{number}. {change['action']}"] = f"{render.minute(change['at'])} by {change['who'] or '-'}{why}"
    return shown
