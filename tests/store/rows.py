"""What is in a database, by text ids, for comparison."""

from store.database import Database

Row = tuple[float, int | None]


def stored(database: Database) -> dict[tuple[str, str], Row]:
    """Return (user, item) -> (rating, time)."""
    query = (
        "SELECT u.user, i.item, r.rating, r.at FROM ratings r "
        "JOIN users u ON u.id = r.user JOIN items i ON i.id = r.item"
    )
    with database.read() as db:
        return {(user, item): (rating, at) for user, item, rating, at in db.execute(query)}


def quarantine(database: Database) -> list[tuple[int, str, str]]:
    """Return (line, reason, raw) of all refused rows."""
    with database.read() as db:
        return [tuple(row) for row in db.execute("SELECT line, reason, raw FROM quarantine ORDER BY import, line")]
