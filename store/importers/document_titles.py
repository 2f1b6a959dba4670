"""Documents of a catalogue, as MongoDB and SQLite files hold them, to titles."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from store import errors
from store.importers.base import MAX_ID_BYTES, Title
from store.importers.columns import SYNONYMS, plain
from store.importers.documents import Document, Kinds, encodes, id_text
from store.importers.nested import keys_of, value_at
from store.importers.titles import NO_GENRES, year_of

_TITLE_ROLES = {
    "item": SYNONYMS["item"],
    "title": ("title", "name", "movietitle", "itemtitle", "itemname", "productname", "label"),
    "genres": ("genres", "genre", "categories", "category", "tags", "genrenames"),
    "year": ("year", "releaseyear", "published", "publicationyear", "released"),
}


def find_title_paths(names: Sequence[str], stated: Mapping[str, str], *, source: str) -> dict[str, str]:
    """Return the path of item, title, genres and year: as stated, else by name; only the item must be there.

    Raises:
        UsageRefused: a role that does not exist, or a path that is none.
        DataRefused: no field with the item.
    """
    for role, path in stated.items():
        if role not in _TITLE_ROLES:
            raise errors.UsageRefused(
                f"--items-map {role}={path}: no such role", hint=f"roles: {', '.join(_TITLE_ROLES)}"
            )
        keys_of(path)
    found = dict(stated)
    for role, synonyms in _TITLE_ROLES.items():
        for key in (plain, lambda name: plain(name.rpartition(".")[2])):
            free = [name for name in names if name not in found.values()]
            near = [name for synonym in synonyms for name in free if key(name) == synonym]
            if role not in found and near:
                found[role] = near[0]
    if "item" not in found and "_id" in names:
        found["item"] = "_id"
    if "item" not in found:
        shown = ", ".join(names[:20]) or "none"
        raise errors.DataRefused(
            f"{source} has no field with the item; its fields: {shown}", hint="state it: --items-map item=FIELD"
        )
    return found


class DocumentTitles:
    """Documents of a catalogue to titles; those without an item are passed over, since a title is never needed."""

    def __init__(self, mapping: dict[str, str], kinds: Kinds) -> None:
        self.mapping = mapping
        self._keys = {role: keys_of(path) for role, path in mapping.items()}
        self._kinds = kinds

    def of(self, documents: Sequence[Document]) -> Iterator[Title]:
        """Yield the titles of some documents."""
        for document in documents:
            found = {role: value_at(document, keys) for role, keys in self._keys.items()}
            item = id_text(found["item"], self._kinds).strip()
            if not encodes(item) or "\0" in item or not 0 < len(item.encode()) <= MAX_ID_BYTES:
                continue
            title = self._text(found.get("title"))
            yield Title(item, title or None, self._genres(found.get("genres")), self._year(found.get("year"), title))

    def _text(self, value: Any) -> str:
        return id_text(value, self._kinds).encode("utf-8", "replace").decode().strip()

    def _genres(self, value: Any) -> tuple[str, ...]:
        parts = value if isinstance(value, list) else [value]
        names = dict.fromkeys(name.strip() for part in parts for name in self._text(part).split("|"))
        return tuple(name for name in names if name and name != NO_GENRES)

    def _year(self, value: Any, title: str) -> int | None:
        text = self._text(value)[:4]
        return int(text) if len(text) == 4 and text.isascii() and text.isdecimal() else year_of(title)
