"""User vectors folded in after training, kept so that the next process need not compute them again."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

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


class Kept(NamedTuple):
    """A vector (d,) of a user, by dense id, under a version; it includes the ratings up to `revision`."""

    version: int
    user_id: int
    revision: int
    vector: "NDArray[np.float32]"


def put(database: Database, version: int, user_id: int, revision: int, vector: "NDArray[np.float32]") -> None:
    """Keep one vector; see `put_all`."""
    put_all(database, [Kept(version, user_id, revision, vector)])


def put_all(database: Database, kept: Iterable[Kept]) -> None:
    """Keep vectors, all or none; an older one never replaces a newer one.

    That rule is the lock between processes: whoever computes from newer ratings wins, in whatever order they finish.

    Raises:
        StoreError: a version is gone.
    """
    rows = [(one.version, one.user_id, one.revision, one.vector.astype("<f4").tobytes()) for one in kept]
    with database.write() as db:
        db.executemany(
            "INSERT INTO live_vectors (version, user, revision, vector) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (version, user) DO UPDATE SET revision = excluded.revision, vector = excluded.vector "
            "WHERE excluded.revision > revision",
            rows,
        )


def forget_all(database: Database) -> None:
    """Drop every kept vector; they are computed again when asked for."""
    with database.write() as db:
        db.execute("DELETE FROM live_vectors")
