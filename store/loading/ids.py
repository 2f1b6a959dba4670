"""Text ids to dense integers while a source is read, before anything of it is stored."""

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from store.database import Connection, Database

Table = Literal["users", "items"]
_COLUMN = {"users": "user", "items": "item"}
_LOOKED_UP = 10_000  # ids in one query


class IdTable:
    """The dense ids of one table as this import sees them.

    Ids that the database does not know are given the numbers after its last one, in order of first appearance. They are
    provisional until `store` has written them: another process may have used those numbers meanwhile.

    Attributes:
        known: text id to dense id, of all ids that the source has shown.
        new: the ids that the database did not know, in order.
    """

    def __init__(self, database: Database, table: Table, *, empty: bool = False) -> None:
        self._database = database
        self._table: Table = table
        self._last = 0 if empty else self._last_id()
        self.known: dict[str, int] = {}
        self.new: list[str] = []
        self._by_value = np.zeros(0, np.int32)

    def find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the dense ids (n,) of texts that the source has shown before, 0 for the others."""
        return np.fromiter(map(self.known.get, texts, repeat(0)), np.int64, len(texts))

    def number(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the dense ids (n,) of texts, giving new ones a number."""
        unknown = [text for text in texts if text not in self.known]
        if self._last:  # what others add from now on is seen by `store`
            self.known.update(self._stored(unknown))
        for text in unknown:
            if text not in self.known:
                self.new.append(text)
                self.known[text] = self._last + len(self.new)
        return np.fromiter(map(self.known.__getitem__, texts), np.int64, len(texts))

    def number_values(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the dense ids (n,) of ids that are small whole numbers >= 0, as `number` of their texts would."""
        if len(values) and (top := int(values.max())) >= len(self._by_value):
            self._by_value = np.pad(self._by_value, (0, top + top // 4 + 1 - len(self._by_value)))
        ids: NDArray[np.int64] = self._by_value[values].astype(np.int64)
        if not ids.all():
            fresh, first = np.unique(values[ids == 0], return_index=True)
            fresh = fresh[np.argsort(first)]
            self._by_value[fresh] = self.number(list(map(str, fresh.tolist())))
            ids = self._by_value[values].astype(np.int64)
        return ids

    def text(self, dense: int) -> str:
        """Return the text of a dense id, by search: for messages."""
        return next(text for text, known in self.known.items() if known == dense)

    def store(self, db: Connection) -> NDArray[np.int64] | None:
        """Write the new ids, inside the caller's transaction.

        Returns:
            None where all provisional numbers hold; else final ids, indexed by provisional number - the last id - 1.
        """
        if not self.new:
            return None
        last: int = db.execute(f"SELECT coalesce(max(id), 0) FROM {self._table}").fetchone()[0]
        if last == self._last:
            rows = zip(range(last + 1, last + 1 + len(self.new)), self.new, strict=True)
            db.executemany(f"INSERT INTO {self._table} (id, {_COLUMN[self._table]}) VALUES (?, ?)", rows)
            return None
        db.executemany(
            f"INSERT OR IGNORE INTO {self._table} ({_COLUMN[self._table]}) VALUES (?)", ((text,) for text in self.new)
        )
        final = self._stored(self.new)
        self.known.update(final)
        return np.fromiter((final[text] for text in self.new), np.int64, len(self.new))

    def final(self, ids: NDArray[np.int64], moved: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return provisional ids (n,) as what `store` made of them."""
        if moved is None:
            return ids
        return np.where(ids > self._last, moved[np.maximum(ids - self._last - 1, 0)], ids)

    def _last_id(self) -> int:
        with self._database.read() as db:
            last: int = db.execute(f"SELECT coalesce(max(id), 0) FROM {self._table}").fetchone()[0]
        return last

    def _stored(self, texts: Sequence[str]) -> dict[str, int]:
        column = _COLUMN[self._table]
        found: dict[str, int] = {}
        query = f"SELECT t.{column}, t.id FROM json_each(?) j CROSS JOIN {self._table} t ON t.{column} = j.value"
        with self._database.read() as db:
            for start in range(0, len(texts), _LOOKED_UP):
                found.update(db.execute(query, (json.dumps(texts[start : start + _LOOKED_UP]),)).fetchall())
        return found
