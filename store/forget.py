"""Everything the store holds of one person: counted, handed out, and erased down to the bytes of the file.

Tables are found by their columns: whatever has a column `user` holds a person, by dense id (INTEGER) or by text id
(TEXT). So a table that is added later is covered without a line here.
"""

import json
import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from store import bulk, errors
from store.database import Connection, Database
from store.offers import count_in_offers, forget_in_offers
from store.ratings import bump

FORGOTTEN = "[forgotten]"
_ID = "[^\\w.@+-]"  # what cannot stand next to an id inside a longer text
_TEXTS = (("imports", "id", "error"), ("jobs", "id", "error"), ("jobs", "id", "hint"), ("audit", "id", "why"))
_DOCUMENTS = (("imports", "id", "options"), ("jobs", "id", "request"))
_PIECE = 1 << 20
_SEARCHABLE = 5  # bytes from which on an id is not found in a file by chance


class Proof(NamedTuple):
    """What was erased.

    Attributes:
        user_sha256: of the id, so that the proof names nobody.
        before, after: rows of the person by table.
        others_sha256_before, others_sha256_after: of everybody else's ratings; equal, since they are left as they were.
        found_in_file: how often the bytes of the id are still in the database file; None for ids so short that they are
            in any file.
        at: seconds since 1970.
    """

    user_sha256: str
    before: dict[str, int]
    after: dict[str, int]
    others_sha256_before: str
    others_sha256_after: str
    found_in_file: int | None
    at: float


def need_person(database: Database, user: str) -> int | None:
    """Return the dense id of a person, None where only the quarantine knows them.

    Raises:
        NotFound: nothing is known of them.
    """
    with database.read() as db:
        row = db.execute("SELECT id FROM users WHERE user = ?", (user,)).fetchone()
        known = row is not None or _quarantined(db, user)
    if not known:
        raise errors.NotFound(f"unknown user {user!r}", hint="`recsys-tui users list` shows those there are")
    return None if row is None else int(row[0])


def holdings(database: Database, user: str, dense: int | None) -> dict[str, int]:
    """Return how many rows each table holds of a person; tables that hold none are there with 0."""
    found: dict[str, int] = {}
    with database.read() as db:
        for table, by_text in _tables(db):
            query = f"SELECT count(*) FROM {table} WHERE user = ?"
            found[_plain(table)] = db.execute(query, (user if by_text else dense,)).fetchone()[0]
        found["quarantine"] = len(_quarantined(db, user))
        found["offered"] = count_in_offers(db, dense)
        found["texts"] = sum(1 for _ in _mentions(db, user))
    return found


def everything_of(database: Database, user: str, dense: int | None) -> dict[str, list[dict[str, Any]]]:
    """Return every row that the store holds of a person, by table; ratings with item ids and titles."""
    found: dict[str, list[dict[str, Any]]] = {}
    with database.read() as db:
        for table, by_text in _tables(db):
            cursor = db.execute(f"SELECT * FROM {table} WHERE user = ?", (user if by_text else dense,))
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            found[_plain(table)] = [_readable(db, row) for row in rows]
        marks = [(number,) for number in _quarantined(db, user)]
        query = "SELECT import, line, reason, raw, source FROM quarantine WHERE rowid = ?"
        rows = [db.execute(query, mark).fetchone() for mark in marks]
    names = ["import", "line", "reason", "raw", "source"]
    return found | {"quarantine": [dict(zip(names, row, strict=True)) for row in rows]}


def erase(database: Database, user: str, dense: int | None) -> None:
    """Delete a person from every table, and their id from texts; what was deleted is overwritten with zeros."""
    with database.read() as db:
        db.execute("PRAGMA secure_delete = ON")
    with database.write() as db:
        if dense is not None:
            forget_in_offers(db, dense)
        db.executemany("DELETE FROM quarantine WHERE rowid = ?", [(number,) for number in _quarantined(db, user)])
        for table, by_text in _tables(db):
            if _plain(table) != "users":
                db.execute(f"DELETE FROM {table} WHERE user = ?", (user if by_text else dense,))
        for table, key, column, row, text in list(_mentions(db, user)):
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (text, row))
        db.execute("DELETE FROM users WHERE user = ?", (user,))
        bump(db)


def compact(database: Database) -> None:
    """Write the file anew without free pages, so that no byte of what was deleted is left in it.

    Raises:
        Busy: others use the database; nothing is lost, and it can be asked for again.
    """
    with database.read() as db:
        db.execute("PRAGMA temp_store = FILE")  # a copy of millions of ratings has no place in memory
        try:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            db.execute("PRAGMA temp_store = MEMORY")
    database.close()


def prove(database: Database, user: str, dense: int | None, before: dict[str, int], others_before: str) -> Proof:
    """Look again after the erasing, and return what is found."""
    return Proof(
        sha256(user.encode()).hexdigest(),
        before,
        holdings(database, user, dense),
        others_before,
        others(database, user),
        occurrences(database.path, user),
        time.time(),
    )


def others(database: Database, user: str) -> str:
    """Return a checksum over everybody else's ratings: users, items, values and times."""
    rows = bulk.read_all(database)
    codes, keep = rows.user_codes, np.ones(len(rows.user_codes), np.bool_)
    names = rows.user_ids
    if user in names:
        position = names.index(user)
        keep = codes != position
        codes = codes - (codes > position)
        names = names[:position] + names[position + 1 :]
    digest = sha256(json.dumps([names, rows.item_ids]).encode())
    for column in (codes, rows.item_codes, rows.ratings, rows.times):
        digest.update(np.ascontiguousarray(column[keep]).data)
    return digest.hexdigest()


def occurrences(path: Path, user: str) -> int | None:
    """Return how often the bytes of an id are in a file, None for an id too short to tell."""
    wanted = user.encode()
    if len(wanted) < _SEARCHABLE:
        return None
    count, tail = 0, b""
    with path.open("rb") as file:
        while part := file.read(_PIECE):
            piece = tail + part
            count += piece.count(wanted)
            tail = piece[len(piece) - len(wanted) + 1 :]
    return count


def scrubbed(text: str, user: str) -> str:
    """Return a text in which the id, where it is quoted or called a user, is taken out."""
    name = re.escape(user)
    text = re.sub(rf"(['\"]){name}\1", rf"\1{FORGOTTEN}\1", text)
    return re.sub(rf"(\buser[ =:]+){name}(?={_ID}|$)", rf"\1{FORGOTTEN}", text)


def _tables(db: Connection) -> list[tuple[str, bool]]:
    """Return the tables with a column `user`, quoted for SQL, and whether it is a text id there; not the quarantine."""
    rows = db.execute(
        "SELECT m.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name = 'user' AND m.name <> 'quarantine' ORDER BY m.name"
    ).fetchall()
    return [('"' + name.replace('"', '""') + '"', kind.upper() == "TEXT") for name, kind in rows]


def _plain(table: str) -> str:
    return table[1:-1].replace('""', '"')


def _quarantined(db: Connection, user: str) -> list[int]:
    """Return the rows of the quarantine that are a person's: by the field, or by their text where it has no fields."""
    mine = [row for (row,) in db.execute("SELECT rowid FROM quarantine WHERE user = ?", (user,))]
    whole = re.compile(rf"(?:^|{_ID}){re.escape(user)}(?={_ID}|$)")
    query = "SELECT rowid, raw FROM quarantine WHERE user IS NULL AND instr(raw, ?)"
    return mine + [row for row, raw in db.execute(query, (user,)) if whole.search(raw)]


def _mentions(db: Connection, user: str) -> Any:
    """Yield (table, key, column, row, text) of every text that names the person, and how it reads without."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, key, column in (*_TEXTS, *_DOCUMENTS):
        if table in tables:
            query = f"SELECT {key}, {column} FROM {table} WHERE instr({column}, ?)"
            for row, text in db.execute(query, (user,)).fetchall():
                if (clean := scrubbed(text, user)) != text:
                    yield table, key, column, row, clean
    query = "SELECT job, seq, data FROM events WHERE instr(data, ?)"
    for job, seq, data in db.execute(query, (user,)).fetchall():
        if (clean := scrubbed(data, user)) != data:
            yield "events", "json_array(job, seq)", "data", json.dumps([job, seq], separators=(",", ":")), clean


def _readable(db: Connection, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the item as people know it, and bytes as numbers."""
    row = {
        name: np.frombuffer(value, "<f4").tolist() if isinstance(value, bytes) else value for name, value in row.items()
    }
    if isinstance(row.get("item"), int):
        found = db.execute("SELECT item, title FROM items WHERE id = ?", (row["item"],)).fetchone()
        if found:
            row |= {"item": found[0], "title": found[1]}
    return row
