"""Whatever a collection holds: each document becomes rows or refused rows, and its titles or none; nothing is raised.

Documents go through BSON, as they come from a server, so their values are of the kinds that pymongo makes.
"""

import datetime as dt
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import json_util
from hypothesis import strategies as st

from store import errors
from store.importers.document_titles import DocumentTitles, find_title_paths
from store.importers.documents import document_batches
from store.importers.mongo_query import check_query
from store.importers.mongo_values import KINDS
from store.importers.mongodb import _DECODED, _EXACT, _RAW, _query
from store.importers.nested import find_paths, keys_of, paths_in, projection, value_at
from tests.fuzz import Cases, fuzz
from tests.store.importers.test_fuzz import assert_ours, look_at

NAMES = st.sampled_from(
    ["user", "item", "rating", "time", "userId", "movie", "id", "stars", "tags", "0", "título", "a b"]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 9), st.floats(),
    st.text(max_size=5, alphabet=st.characters(codec="utf-8")), st.sampled_from(["NaN", "1e400", "007", " 4.5 ", "\0"]),
    st.binary(max_size=6), st.binary(max_size=6).map(lambda data: bson.Binary(data, 128)),
    st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    st.binary(min_size=16, max_size=16).map(lambda data: UUID(bytes=data)),
    st.integers(-(2**63), 2**63 - 1).map(bson.Int64), st.integers(-(2**63), 2**63 - 1).map(bson.datetime_ms.DatetimeMS),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.decimals(-(10**9), 10**9, places=3).map(bson.Decimal128),
    st.just(bson.Decimal128(Decimal("9.999E+6144"))),
    st.sampled_from(["NaN", "sNaN", "-Infinity"]).map(bson.Decimal128),
    st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 9)), st.just(bson.MinKey()),
    st.just(bson.MaxKey()), st.just(bson.Regex("a.*", "i")), st.just(bson.Code("x", {"y": 1})),
    st.just(bson.DBRef("films", 7, "db")),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"user": VALUES, "item": VALUES, "rating": VALUES}, optional={"time": VALUES, "x": VALUES}),
    min_size=1,
    max_size=5,
)
PATHS = st.lists(st.one_of(NAMES, st.sampled_from(["$x", "", "1"])), min_size=1, max_size=3).map(".".join)
MAPPINGS = st.dictionaries(st.sampled_from(["user", "item", "rating", "time"]), PATHS, max_size=4)


@pytest.mark.faults
def test_any_documents_become_rows_or_refused_rows(cases: Cases) -> None:
    def check(drawn: tuple[list[dict[str, Any]], dict[str, str], bytes]) -> None:
        documents, mapping, spoilt = drawn
        found = [
            bson.decode(_spoilt(bson.encode(document, codec_options=_DECODED), spoilt), _DECODED)
            for document in documents
        ]
        try:
            paths = find_paths(paths_in(found), mapping, source="films")
        except errors.StoreError as error:
            assert_ours(error)
            paths = {role: role for role in ("user", "item", "rating", "time")}
        assert projection(paths.values())
        keys = {role: keys_of(path) for role, path in paths.items()}
        text = partial(json_util.dumps, json_options=_RAW)
        batches = list(document_batches(found, keys, 1, KINDS, text))
        assert sum(map(len, batches)) >= sum(not _has_list(document, keys) for document in found)
        for batch in batches:
            look_at(batch)
        json_util.dumps(found[-1]["user"], json_options=_EXACT)

    fuzz(cases(150), st.tuples(DOCUMENTS, MAPPINGS, st.sampled_from([b"", b"", b"\xff", b"\xed\xa0\x80"])), check)


def _spoilt(data: bytes, by: bytes) -> bytes:
    """Return a document with bytes that are no UTF-8 in one of its texts, where it has one that is long enough."""
    place = data.find(b"user\0")
    mark = data.find("título".encode(), place)
    return data if mark < 0 or not by else data[:mark] + by + data[mark + len(by) :]


def _has_list(document: dict[str, Any], keys: dict[str, tuple[str, ...]]) -> bool:
    return any(isinstance(value_at(document, path), list) for path in keys.values())


@pytest.mark.faults
def test_any_documents_of_a_catalogue_have_titles_or_none(cases: Cases) -> None:
    def check(drawn: tuple[list[dict[str, Any]], dict[str, str]]) -> None:
        documents, mapping = drawn
        found = [bson.decode(bson.encode(document, codec_options=_DECODED), _DECODED) for document in documents]
        try:
            paths = find_title_paths(paths_in(found), mapping, source="movies")
        except errors.StoreError as error:
            assert_ours(error)
            return
        for title in DocumentTitles(paths, KINDS).of(found):
            assert title.item.encode()
            (title.title or "").encode()

    roles = st.sampled_from(["item", "title", "genres", "year"])
    fuzz(cases(100), st.tuples(DOCUMENTS, st.dictionaries(roles, PATHS, max_size=4)), check)


OPERATORS = st.sampled_from(
    ["$gt", "$in", "$and", "$not", "$where", "$expr", "$function", "$regex", "$oid", "$date", "$numberLong", "$binary",
     "$uuid", "$numberDecimal", "$elemMatch", "rating"]
)  # fmt: skip
QUERIES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.sampled_from(["1", "zz"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(OPERATORS, inner, max_size=3)),
    max_leaves=8,
)


@pytest.mark.faults
def test_any_query_is_taken_or_refused_and_none_that_runs_code_is_taken(cases: Cases) -> None:
    def check(query: object) -> None:
        text = json_util.dumps(query)
        try:
            found = _query(text)
        except errors.StoreError as error:
            assert_ours(error)
            return
        check_query(text)
        assert not {"$where", "$expr", "$function"} & set(_keys(found))

    fuzz(cases(150), QUERIES, check)


def _keys(value: Any) -> list[str]:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = list(value) if isinstance(value, dict) else []
    return own + [key for part in parts for key in _keys(part)]
