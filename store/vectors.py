"""User vectors folded in after training, kept so that the next process need not compute them again."""

from typing import TYPE_CHECKING

from store.database import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def get(database: Database, version: int, user_id: int, revision: int) -> "NDArray[np.float32] | None":
    """Return the vector (d,) of a user under a version, if it includes the ratings up to this revision."""
    import numpy as np

    with database.read() as db:
        row = db.execute(
            "SELECT vector FROM live_vectors WHERE version = ? AND user = ? AND revision = ?",
            (version, user_id, revision),
        ).fetchone()
    return None if row is None else np.frombuffer(row[0], "<f4").copy()


def put(database: Database, version: int, user_id: int, revision: int, vector: "NDArray[np.float32]") -> None:
    """Keep a vector (d,) that includes the ratings up to `revision`; an older one never replaces a newer one.

    That rule is the lock between processes: whoever computes from newer ratings wins, in whatever order they finish.
    """
    with database.write() as db:
        db.execute(
            "INSERT INTO live_vectors (version, user, revision, vector) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (version, user) DO UPDATE SET revision = excluded.revision, vector = excluded.vector "
            "WHERE excluded.revision > revision",
            (version, user_id, revision, vector.astype("<f4").tobytes()),
        )


def forget_all(database: Database) -> None:
    """Drop every kept vector; they are computed again when asked for."""
    with database.write() as db:
        db.execute("DELETE FROM live_vectors")
