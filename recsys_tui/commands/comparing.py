"""Commands on two versions or more: compare, diff."""

from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_tui import render
from recsys_tui.commands.measuring import Metrics
from recsys_tui.commands.options import VersionName
from recsys_tui.render import Column
from recsys_tui.session import Columns, Session, command


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    command(app, "compare", lists=True)(compare)
    command(app, "diff")(diff)


def compare(
    session: Session,
    first: VersionName,
    others: Annotated[list[str], typer.Argument(metavar="VERSION…", help="One or more to compare it with.")],
    *,
    metrics: Metrics = None,
) -> None:
    """Compare versions on the same users and held-out ratings.

    The difference is the first version minus another one, with its 95% interval; p is corrected for all metrics
    together. Versions that hold other ratings out are compared on those that none of them has seen.

    \b
    recsys-tui compare v7 active
    recsys-tui compare v7 v6 v5 --metric ndcg@10 --metric rmse --json
    See also: diff, models activate --if-better
    """
    found = session.services.comparison.compare([first, *others], metrics or None)
    if session.as_json:
        session.document(found.plain())
        return
    rows = [
        {
            "metric": row.metric,
            **{name: row.values.get(name) for name in found.versions},
            "against": row.second,
            "difference": row.difference,
            "low": row.low,
            "high": row.high,
            "p_adjusted": row.p_adjusted,
            "effect": row.effect,
            "users_needed": row.users_needed,
            "winner": row.winner or "",
        }
        for row in found.rows
    ]
    columns: Columns = [
        "metric",
        *found.versions,
        *(["against"] if len(found.versions) > 2 else []),
        "difference",
        Column("low", "95% low"),
        Column("high", "95% high"),
        Column("p_adjusted", "p", show=_chance, spare=True),
        Column("effect", digits=2, spare=True),
        Column("users_needed", "users needed", spare=True),
        "winner",
    ]
    session.rows(rows, columns)
    for note in found.protocol.get("notes", ()):
        session.say(f"note: {note}")
    session.say(f"on {found.protocol.get('test_rows', 0):,} ratings {found.protocol['rows']}")
    session.say(found.verdict)


def _chance(p: float | None) -> str:
    """Return a p-value as people read it."""
    return "<0.001" if p is not None and p < 0.001 else render.number(p, 3)


def diff(
    session: Session,
    first: VersionName,
    second: VersionName,
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="Length of the lists.")] = 10,
    examples: Annotated[int, typer.Option("--examples", min=0, help="How many users to show.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", help="All lists of both side by side: .csv, .ndjson or .parquet.")
    ] = None,
) -> None:
    """Show whose lists change between two versions, and how much.

    Overlap is the share of items that both lists have; RBO, rank-biased overlap, gives the first places more weight.

    \b
    recsys-tui diff active v7
    recsys-tui diff v6 v7 -n 20 --out changes.parquet --json
    See also: compare
    """
    from engine.services.diff import DIFF_COLUMNS, Changes
    from recsys_tui.exports import check_target, write_rows
    from recsys_tui.progress import Line

    if out is not None:
        check_target(out)
    line = Line(session)
    tell = (lambda users: line.show(f"  {users:,} users")) if session.on_terminal else (lambda _: None)
    changes = Changes(session.services, first, second, n=number, examples=examples, progress=tell)
    if out is None:
        changes.drain()
    else:
        write_rows(out, changes.rows(), DIFF_COLUMNS)
    line.end()
    found = changes.summary()
    facts = found | ({"out": str(out)} if out is not None else {})
    session.document(facts, title=f"{found['first']} to {found['second']}", shown=_in_short(facts))
    if session.as_table:
        _show_details(session, found)


def _in_short(facts: dict[str, Any]) -> dict[str, Any]:
    users = facts["users"]
    share = f" ({facts['changed'] / users:.0%})" if users else ""
    shown = {
        "users": f"{users:,}",
        "lists that change": f"{facts['changed']:,}{share}, {facts['changed_items']:,} of them in their items",
        f"overlap of {facts['n']}": render.number(facts["overlap_mean"]),
        "rank-biased overlap": render.number(facts["rbo_mean"]),
    }
    return shown | ({"file": facts["out"]} if "out" in facts else {})


def _show_details(session: Session, found: dict[str, Any]) -> None:
    """Show the items that gain and lose most, and some of the users whose lists change most."""
    columns: Columns = [
        Column("item"),
        Column("title", grows=True),
        Column("first", f"lists of {found['first']}"),
        Column("second", f"lists of {found['second']}"),
    ]
    for rows in (found["gains"], found["losses"]):
        if rows:
            session.gap()
            session.rows(rows, columns)
    rows = [
        {"user": one["user"], "overlap": one["overlap"], "rbo": one["rbo"]}
        | {side: "; ".join(item["title"] or item["item"] for item in one[side]) for side in ("left", "entered")}
        for one in found["examples"]
    ]
    if rows:
        session.gap()
        named: Columns = [Column("left", grows=True), Column("entered", grows=True)]
        session.rows(rows, ["user", Column("overlap", digits=2), Column("rbo", digits=2), *named])
