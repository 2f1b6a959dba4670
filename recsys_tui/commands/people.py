"""Commands on one person's data: users export, users forget."""

from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.browse import USERS
from recsys_tui.commands.options import User
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command, group

_TRACES: Columns = ["version", Column("model_type", "model"), "active", "vector", Column("held_out", "rows held out")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the group `users`."""
    users = group(app, "users", USERS)
    command(users, "export")(export_user)
    command(users, "forget")(forget)


def export_user(
    session: Session,
    user: User,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file, for the owner alone.")] = None,
) -> None:
    """Give out everything that is stored of a person, as JSON.

    \b
    recsys-tui users export 42 > 42.json
    recsys-tui users export 42 --out 42.json
    """
    from engine.services.forgetting import traces
    from store import forget as store

    services = session.services
    dense = store.need_person(services.database, user)
    found = store.everything_of(services.database, user, dense)
    facts = {"user": user, "tables": found, "versions": [trace._asdict() for trace in traces(services, user)]}
    if out is None:
        render.emit_document(facts)
        return
    from recsys_tui.exports import write_document

    write_document(out, facts)
    session.document({"out": str(out), "rows": sum(map(len, found.values()))}, title="written")


def forget(
    session: Session,
    user: User,
    *,
    redact: Annotated[bool, typer.Option("--redact", help="Empty their rows in the files of versions too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is stored of them, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a person to the last byte, and prove it.

    From every table, the undo data, logs and events, and from the bytes of the file. It cannot be undone. Versions that
    still hold a row of theirs are named: train again, or give --redact.
    Backups made before are not touched.

    \b
    recsys-tui users forget 42 --dry-run
    recsys-tui users forget 42 --redact --yes
    """
    from engine.services import forgetting
    from recsys_tui.ui_state import UiState
    from store import forget as store

    services = session.services
    dense = store.need_person(services.database, user)
    if dry_run or (session.on_terminal and not yes):
        before = store.holdings(services.database, user, dense)
        held = forgetting.traces(services, user)
        facts = {"dry_run": True, "user": user, "before": before, "versions": [trace._asdict() for trace in held]}
        session.document(facts, title=f"stored of user {user}", shown=_counted(before))
        _show_traces(session, held)
        if dry_run or not typer.confirm(f"Erase user {user} for good?", err=True):
            return
    proof, left, redacted = forgetting.forget_user(services, user, redact=redact)
    UiState().forget(user)  # the terminal UI goes on with the person looked at last
    facts = {"dry_run": False, **proof._asdict(), "at": render.iso(proof.at), "redacted": redacted}
    backups = _backups(services.database.path)
    facts |= {"versions": [trace._asdict() for trace in left], "backups": backups}
    session.document(facts, title="forgotten", shown=_proof_for_people(proof, redacted))
    _show_traces(session, left)
    if left:
        session.say("these versions still hold a row of theirs: `recsys-tui train` makes one without, or give --redact")
    for backup in backups:
        session.say(f"{backup} was made before and still holds them")


def _counted(counts: dict[str, int]) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in counts.items() if count} or {"rows": "none"}


def _show_traces(session: Session, held: list[Any]) -> None:
    if held and not session.as_json:
        session.gap()
        session.rows([trace._asdict() for trace in held], _TRACES)


def _proof_for_people(proof: Any, redacted: list[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id (sha256)": proof.user_sha256}
    shown |= {name: f"{count:,} -> {proof.after[name]:,}" for name, count in proof.before.items() if count}
    same = proof.others_sha256_before == proof.others_sha256_after
    shown["everybody else"] = "unchanged" if same else "CHANGED meanwhile"
    shown["  sha256"] = proof.others_sha256_after
    if proof.found_in_file is not None:
        shown["id in the file"] = f"{proof.found_in_file:,} times"
    return shown | ({"redacted": ", ".join(redacted)} if redacted else {})


def _backups(database: Path) -> list[str]:
    return sorted(str(path) for path in database.parent.glob(f"{database.name}.*backup"))
