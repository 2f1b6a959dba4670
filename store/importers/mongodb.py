"""Ratings in a MongoDB collection, and titles in a second one. Only commands that read are ever sent.

Documents come sorted by `_id`, in batches, with the fields that are needed. Where the connection or the cursor is lost,
reading goes on from the last `_id`; where that fails too, what was read is stored, and `--since-last` goes on later.
"""

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import bson
from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo import errors as mongo
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase

from store import errors
from store.importers import mongo_choice
from store.importers.base import Batch, Title
from store.importers.columns import check_mapping
from store.importers.document_titles import DocumentTitles, find_title_paths
from store.importers.documents import document_batches
from store.importers.mongo_query import check_query
from store.importers.mongo_values import GROWING, KINDS, kind, last_document
from store.importers.nested import find_paths, keys_of, paths_in, projection, value_at
from store.importers.reading import prefetched
from store.importers.source import Source

_BATCH, _SAMPLE, _SAMPLE_BYTES = 20_000, 100, 32 << 20
_RETRIES, _FIRST_PAUSE = 5, 0.2
_BREAKS = (mongo.AutoReconnect, mongo.CursorNotFound, mongo.NetworkTimeout, mongo.ExecutionTimeout)
_DECODED: CodecOptions[dict[str, Any]] = CodecOptions(
    unicode_decode_error_handler="surrogateescape",  # refused row by row, not document by document
    datetime_conversion=DatetimeConversion.DATETIME_MS,  # MongoDB knows more years than Python
    uuid_representation=UuidRepresentation.STANDARD,
)
_AS_SENT = _DECODED.with_options(document_class=RawBSONDocument)
_RAW = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, uuid_representation=UuidRepresentation.STANDARD)
_EXACT = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, uuid_representation=UuidRepresentation.STANDARD)
_Documents = list[dict[str, Any]]


class MongoImporter:
    """Rows of a collection: a row a document, or a row for each element of an array that the paths cross.

    Attributes:
        guessed: roles whose field was guessed from samples.
        notes: what the operator should know before anything is read.
        last: the `_id` of the last document read, as extended JSON; "" before the first.
        broken: why reading ended early, or "".
    """

    def __init__(self, source: Source, mapping: Mapping[str, str]) -> None:
        options = source.options
        stated = check_mapping(mapping)
        self._source, self._query = source, _query(options.query or "{}")
        self.notes: tuple[str, ...] = ()
        grows = bool(options.after) and type(json_util.loads(options.after)).__name__ in GROWING
        self._after = options.after if grows else ""
        if options.after and not grows:
            self.notes = ("the _id values of this collection do not grow with time, so all of it is read",)
        self.file, self.last, self.broken = source.text, options.after, ""
        with ExitStack() as stack:
            stack.enter_context(_translated(source.text))
            self._client = stack.enter_context(_connect(source))
            self._open(source, stated)
            stack.pop_all()  # it is open from here on, until `close`

    def _open(self, source: Source, stated: dict[str, str]) -> None:
        """Find the collections and their fields."""
        options = source.options
        _greet(self._client, source.text)
        database = _database(self._client, source)
        names = database.list_collection_names()
        self._ratings = _need(database, names, options.collection, "--collection")
        self._titles: DocumentTitles | None = None
        if options.items_collection:
            self._items = _need(database, names, options.items_collection, "--items-collection")
            found = _sample(self._items, {})
            paths = find_title_paths(paths_in(found), options.items_mapping, source=self._items.full_name)
            self._titles = DocumentTitles(paths, KINDS)
            self._title_fields = _fields(self._items, found, paths.values())
        sample = _sample(self._ratings, self._query)
        if not sample:
            which = "no document that matches --query" if self._query else "no documents"
            raise errors.DataRefused(f"{source.text} holds {which}", hint="look at it with mongosh")
        self.mapping = find_paths(paths_in(sample), stated, source=source.text)
        self.guessed = tuple(role for role in self.mapping if role not in stated)
        self._fields = _fields(self._ratings, sample, self.mapping.values())

    @staticmethod
    def recognises(source: Source) -> bool:
        """Tell whether a source is an address of MongoDB."""
        return source.address.lower().startswith(("mongodb://", "mongodb+srv://"))

    def batches(self) -> Iterator[Batch]:
        """Yield all rows; `lines` count them.

        Raises:
            Busy: the server went away and did not come back before anything was read.
            DataRefused: it refuses the query, or holds a document that cannot be decoded.
        """
        keys = {role: keys_of(path) for role, path in self.mapping.items()}
        line = 1
        for documents in self._decoded(prefetched(self._replies(self._ratings, self._query, self._fields), 1)):
            for batch in document_batches(documents, keys, line, KINDS, partial(json_util.dumps, json_options=_RAW)):
                line += len(batch)
                yield batch
            self.last = json_util.dumps(documents[-1]["_id"], json_options=_EXACT)
            del documents  # of 16 MB as sent they may take 200 here

    def titles(self) -> Iterator[Title]:
        """Yield what the second collection knows of items; nothing where none was named."""
        if self._titles is not None:
            for documents in self._decoded(self._replies(self._items, {}, self._title_fields, resumes=False)):
                yield from self._titles.of(documents)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _decoded(self, replies: Iterable[bytes]) -> Iterator[_Documents]:
        """Yield the documents of each reply; only one reply's worth of Python objects is made at a time."""
        for data in replies:
            with _translated(self._source.text):
                documents = bson.decode_all(data, _DECODED)
            yield documents
            del documents

    def _replies(
        self, collection: Collection[Any], query: dict[str, Any], fields: dict[str, int] | None, *, resumes: bool = True
    ) -> Iterator[bytes]:
        """Yield documents as sent, by ascending `_id`, going on after the last one where the connection is lost."""
        started = bool(self._after) and resumes
        last = json_util.loads(self._after) if started else None
        read = failures = 0
        while True:
            try:
                with _translated(self._source.text, again=True):
                    bounded = _beyond(collection, query, last) if started else query
                    cursor = collection.find_raw_batches(bounded, fields, sort=[("_id", 1)], batch_size=_BATCH)
                    with cursor:
                        for data in cursor:
                            if data:
                                count, ending = last_document(data)
                                last = RawBSONDocument(ending, _AS_SENT)["_id"]
                                started, failures = True, 0
                                read += count
                                yield data
                    return
            except _Broken as error:
                failures += 1
                if failures > _RETRIES and not (read and resumes):
                    raise errors.Busy(str(error), hint="is the server up? the import can be given again") from None
                if failures > _RETRIES:
                    self.broken = f"{error} after {read:,} documents"
                    return
                time.sleep(_FIRST_PAUSE * 2 ** (failures - 1))


def _query(text: str) -> dict[str, Any]:
    check_query(text)
    try:
        return dict(json_util.loads(text))
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, BSONError):
        hint = """dates are {"$date": "2026-01-01T00:00:00Z"}, ids {"$oid": "24 digits"}"""
        raise errors.UsageRefused("--query holds a value that cannot be read", hint=hint) from None


class _Broken(Exception):
    """The connection or the cursor was lost: worth another try."""


@contextmanager
def _translated(source: str, *, again: bool = False) -> Iterator[None]:
    """Turn what pymongo raises into our errors; its own texts may quote the address, so they go nowhere.

    With `again`, a server that is gone is a broken connection too.
    """
    try:
        yield
    except mongo.ServerSelectionTimeoutError:
        if again:
            raise _Broken(f"the connection to {source} was lost") from None
        hint = "is it running, and reachable from here? --timeout 60 waits longer"
        raise errors.NotFound(f"no MongoDB server answers at {source}", hint=hint) from None
    except _BREAKS:
        raise _Broken(f"the connection to {source} was lost") from None
    except mongo.OperationFailure as error:
        raise mongo_choice.refusal(source, error.code, str((error.details or {}).get("errmsg", ""))) from None
    except (mongo.ConfigurationError, mongo.InvalidURI, mongo.InvalidName, ValueError, TypeError, UserWarning):
        raise mongo_choice.unusable(source) from None
    except BSONError:
        raise errors.DataRefused(
            f"{source}: a document cannot be decoded", hint="repair it, or leave it out with --query"
        ) from None
    except mongo.PyMongoError as error:
        raise errors.DataRefused(
            f"{source}: {type(error).__name__}", hint="try again; mongosh shows more of the server's state"
        ) from None


def _connect(source: Source) -> MongoClient[Any]:
    milliseconds = int(source.options.timeout * 1000)
    preference: dict[str, Any] = mongo_choice.preference(source.options.read_preference)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # an option that pymongo does not know
        return MongoClient(
            source.address,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=max(60_000, milliseconds),
            appname="recsys-tui",
            **preference,
        )


def _greet(client: MongoClient[Any], source: str) -> None:
    """Reach the server, which is when pymongo logs in: it takes an answer without a challenge for a bug of its own."""
    try:
        client.admin.command("ping")
    except LookupError:
        raise mongo_choice.no_logins(source) from None


def _database(client: MongoClient[Any], source: Source) -> MongoDatabase[Any]:
    """Return the database that the address names, or refuse one that names none or an unknown one."""
    try:
        found = client.get_default_database()
    except mongo.ConfigurationError:
        there = ", ".join(sorted(client.list_database_names())[:10])
        raise errors.UsageRefused(
            f"{source.text} names no database", hint=f"mongodb://HOST/DATABASE; there are {there}"
        ) from None
    try:
        names = client.list_database_names()
    except mongo.OperationFailure:  # a user of one database may not list them all
        return found
    mongo_choice.check_database(found.name, names)
    return found


def _need(database: MongoDatabase[Any], names: list[str], name: str, flag: str) -> Collection[Any]:
    """Return a collection, or refuse a name that is missing or unknown."""
    mongo_choice.check_collection(name, names, database=database.name, flag=flag)
    return database.get_collection(name)


def _sample(collection: Collection[Any], query: dict[str, Any]) -> _Documents:
    """Return the first documents, whole, to guess fields from; fewer where they are very large."""
    found: _Documents = []
    size = 0
    with collection.find_raw_batches(query, batch_size=10, limit=_SAMPLE) as cursor:
        for data in cursor:
            found += bson.decode_all(data, _DECODED)
            size += len(data)
            if size > _SAMPLE_BYTES:
                break
    return found


def _fields(collection: Collection[Any], sample: _Documents, paths: Iterable[str]) -> dict[str, int] | None:
    """Return which fields to ask for, None where documents have no others; whole ones where nested ones cannot be cut.

    Some servers that speak MongoDB's protocol answer a dotted projection with other shapes: one document is compared.
    """
    wanted = list(paths)
    if {key for document in sample for key in document} <= {"_id", *(path.partition(".")[0] for path in wanted)}:
        return None
    nested = [keys_of(path) for path in wanted if "." in path]
    known = next((document for document in sample if any(value_at(document, keys) for keys in nested)), None)
    if known is None:
        return projection(wanted)
    with collection.find_raw_batches({"_id": known["_id"]}, projection(wanted), limit=1) as cursor:
        found = [document for data in cursor for document in bson.decode_all(data, _DECODED)]
    if found and all(value_at(found[0], keys) == value_at(known, keys) for keys in nested):
        return projection(wanted)
    return projection(path.partition(".")[0] for path in wanted)


def _beyond(collection: Collection[Any], query: dict[str, Any], last: Any) -> dict[str, Any]:
    """Return the query for documents after `last`.

    A plain comparison meets only ids of the same kind, so where kinds are mixed the aggregation's comparison, which
    orders all kinds as the index does, is used.
    """
    newest = next(iter(collection.find({}, {"_id": 1}, sort=[("_id", -1)], limit=1)), {"_id": last})["_id"]
    later: dict[str, Any] = {"_id": {"$gt": last}}
    if kind(newest) != kind(last):
        later = {"$expr": {"$gt": ["$_id", {"$literal": last}]}}
    return {"$and": [query, later]} if query else later
