"""Commands on versions: models."""

from typing import Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands import keeping
from recsys_tui.commands.options import Guards, VersionName
from recsys_tui.commands.watching import show_canary
from recsys_tui.facts import version_facts
from recsys_tui.protocols import protocol_words
from recsys_tui.quantities import share
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    models = group(app, "models", "The registry of trained versions.")
    command(models, "list", lists=True)(list_versions)
    command(models, "show")(show)
    command(models, "activate")(activate)
    command(models, "rollback")(rollback)
    command(models, "delete")(delete)
    command(models, "verify")(verify)
    command(models, "label")(label)
    keeping.register(models)


def list_versions(session: Session) -> None:
    """List all versions, newest first.

    \b
    recsys-tui models list
    recsys-tui models list --json
    """
    columns: Columns = [
        "version",
        Column("model_type", "model"),
        "state",
        Column("trained_at", "trained (UTC)", show=render.minute),
        "rmse",
        "ndcg@10",
        Column("coverage", digits=3, spare=True),
        Column("label", grows=True),
        Column("bytes", "size", show=render.size, spare=True),
    ]
    services = session.services
    rows = [version_facts(version) | {"canary": None} for version in services.registry.versions()]
    if (canary := services.memory.canary()) is not None:
        columns.insert(3, Column("canary", "of users", digits=2))
        for row in rows:
            row["canary"] = canary.share if row["version"] == f"v{canary.version}" else None
    if session.format in {"auto", "table", "csv", "tsv"}:
        rows = [row | row["metrics"] for row in rows]
    session.rows(rows, columns, empty="no versions yet: recsys-tui train mf --activate")


def show(session: Session, name: VersionName = "active") -> None:
    """Show one version: data, settings, figures.

    \b
    recsys-tui models show active
    recsys-tui models show v7 --json
    """
    facts = version_facts(session.services.registry.resolve(name))
    session.document(facts, title=f"{facts['version']} {facts['model_type']}", shown=_for_people(facts))


def activate(
    session: Session,
    name: VersionName,
    *,
    better: Annotated[
        str, typer.Option("--if-better", metavar="METRIC", help="Only if it is better than the active one by this.")
    ] = "",
    guards: Guards = [],  # noqa: B006  typer copies it
    canary: Annotated[
        str, typer.Option("--canary", metavar="10%", help="Serve a share of the users; `monitor` compares.")
    ] = "",
    why: Annotated[str, typer.Option("--why", help="A sentence for the audit trail.")] = "",
) -> None:
    """Serve a version from now on; `rollback` undoes it.

    A gate compares it with the active version on the same held-out ratings: the whole 95% interval must be on the
    better side, and within what a guard allows. Exit code 6 and the reason where it refuses; the decision is kept.

    \b
    recsys-tui models activate v7
    recsys-tui models activate v7 --if-better ndcg@10 --guard coverage:-5% --guard rmse:+1%
    recsys-tui models activate v7 --canary 10% --guard rmse:+1%
    See also: models rollback, models lineage, monitor
    """
    from engine.services.gate import activate as pass_gate
    from engine.services.gate import read_gate
    from engine.services.lineage import whoami
    from store.errors import UsageRefused

    gate = read_gate(better, guards)
    services = session.services
    version = services.registry.resolve(name)
    if canary:
        if better:
            raise UsageRefused("--canary and --if-better exclude each other", hint="try it first, then activate it")
        begun = services.canary.begin(version, share(canary, "--canary"), guards, who=whoami(), why=why)
        show_canary(session, begun)
        return
    before = services.registry.active()
    served, decision = pass_gate(services, version, who=whoami(), why=why, gate=gate)
    facts = version_facts(served) | {"previous": f"v{before}" if before and before != served.id else None}
    shown = _in_short(facts) | {"before": f"v{before}" if before else "-"}
    if decision is not None:
        facts["decision"] = decision.plain()
        shown["because"] = decision.reason
    session.document(facts, title=f"{served.name} is active", shown=shown)


def rollback(session: Session, *, why: Annotated[str, typer.Option("--why", help="For the audit trail.")] = "") -> None:
    """Go back to the version that was active before.

    As often as there are earlier ones. A canary that runs is what is taken back first.

    \b
    recsys-tui models rollback
    """
    from engine.services.lineage import whoami

    services = session.services
    ended = services.canary.stop(who=whoami(), why=why)
    if ended is None:
        version = services.registry.rollback(who=whoami(), why=why)
        facts = version_facts(version) | {"canary_ended": None}
        session.document(facts, title=f"{version.name} is active again", shown=_in_short(facts))
        return
    version = services.registry.resolve("active")
    facts = version_facts(version) | {"canary_ended": f"v{ended.version}"}
    title = f"the canary v{ended.version} has ended: {version.name} serves everybody"
    session.document(facts, title=title, shown=_in_short(facts))


def delete(
    session: Session, name: VersionName, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Delete a version and its files.

    Refused are the active one, one that takes part in a canary, and a member of an ensemble.

    \b
    recsys-tui models delete v3 --yes
    """
    from engine.services.lineage import whoami
    from store.errors import UsageRefused

    registry = session.services.registry
    version = registry.resolve(name)
    registry.refuse_needed(version.id)
    if not yes:
        if not session.on_terminal:
            raise UsageRefused("deleting needs a word from you", hint=f"recsys-tui models delete {version.name} --yes")
        typer.confirm(
            f"delete {version.name} ({version.model_type}, {render.size(version.bytes)})?", abort=True, err=True
        )
    registry.delete(version.id, who=whoami())
    shown = {"version": version.name, "freed": render.size(version.bytes)}
    session.document({"deleted": version.name, "bytes": version.bytes}, title="deleted", shown=shown)


def verify(session: Session, name: Annotated[str, typer.Argument(metavar="[VERSION]")] = "") -> None:
    """Check the files of versions against their checksums.

    Every byte of one version, or of all; exit code 4 where a file is damaged.

    \b
    recsys-tui models verify
    """
    from store.errors import Damaged

    registry = session.services.registry
    versions = [registry.resolve(name)] if name else registry.versions()
    found = {version.name: registry.verify(version.id) for version in versions}
    damaged = [problem for problems in found.values() for problem in problems]
    if damaged:
        names = ", ".join(version for version, problems in found.items() if problems)
        hint = f"damaged: {names}; train again or restore a backup, then delete them"
        if not session.as_json:
            for problem in damaged[:-1]:
                session.say(problem)
            raise Damaged(damaged[-1], hint=hint)
        raise Damaged("; ".join(damaged), hint=hint)
    session.document(
        {"versions": len(found), "damaged": []},
        title="every file is as it was written",
        shown={"versions": ", ".join(found) or "none yet"},
    )


def label(session: Session, name: VersionName, text: Annotated[str, typer.Argument(help="A short text.")]) -> None:
    """Give a version a short text of your own.

    One with a label is kept by `models gc`; an empty text takes the label off.

    \b
    recsys-tui models label v7 "before the spring sale"
    """
    from engine.services.lineage import whoami

    registry = session.services.registry
    version = registry.label(registry.resolve(name).id, text, who=whoami())
    session.document({"version": version.name, "label": version.label})


def _for_people(facts: dict[str, Any]) -> dict[str, Any]:
    data = facts["training_data"]
    settings = (f"{name} {render.plainly(value)}" for name, value in facts["hyperparameters"].items())
    shown: dict[str, Any] = {
        "state": facts["state"],
        "trained": f"{render.minute(facts['trained_at'])} UTC",
        "on": f"{data['n_ratings']:,} ratings of {data['n_users']:,} users on {data['n_movies']:,} items",
        "measured": protocol_words(facts["protocol"]),
        "settings": ", ".join(settings) or "none",
        "size": render.size(facts["bytes"]),
    }
    if facts["label"]:
        shown["label"] = facts["label"]
    for row in facts["weights"] or ():
        shown[f"{row['member']} {row['model']}"] = weights_in_words(row)
    return shown | {name: render.number(value) for name, value in facts["metrics"].items()}


def weights_in_words(row: dict[str, Any]) -> str:
    """Say what a member of an ensemble counts for; further weights of ratings are for users and items little known."""
    if not (any(row["rating"]) or row["ranking"]):
        return "no weight: not loaded"
    base, *rest = (f"{weight:.2f}" for weight in row["rating"] or [0.0])
    little = f" (little known: user +{rest[0]}, item +{rest[1]})" if rest else ""
    return f"ratings {base}{little}, ranking {row['ranking']:.2f}"


def _in_short(facts: dict[str, Any]) -> dict[str, Any]:
    figures = {name: render.number(facts["metrics"][name]) for name in ("rmse", "ndcg@10") if name in facts["metrics"]}
    return {"model": facts["model_type"], "trained": f"{render.minute(facts['trained_at'])} UTC"} | figures
