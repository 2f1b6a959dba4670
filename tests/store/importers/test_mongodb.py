"""Ratings out of MongoDB: kinds of values, nested documents, what is refused, breaks, and that nothing is written."""

import datetime as dt
import json

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo import monitoring

from store import errors
from store.database import Database
from store.importers import mongodb
from store.importers.base import Fault
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
from store.imports import get_import
from store.mend import rejected_rows
from tests.mongo import Peer, free_port
from tests.store.rows import quarantine, stored

T = 1_112_486_027
READS = {"hello", "ping", "find", "getMore", "killCursors", "listCollections", "listDatabases", "endSessions"}


def rows(n=50):
    return [{"userId": k % 7, "movieId": k, "rating": (k % 9 + 1) / 2, "timestamp": T + k} for k in range(n)]


def take(database, address, collection="ratings", *, mapping=None, **options):
    more = {key: options.pop(key) for key in ("dry_run", "strict", "duplicates", "opened") if key in options}
    reading = ReadOptions(collection=collection, **options)
    return import_source(database, address, mapping=mapping, reading=reading, **more)


def test_documents_become_ratings_and_their_fields_are_guessed(database, films, address):
    films.ratings.insert_many(rows())
    seen = []
    result = take(database, address, opened=lambda importer: seen.append((importer.guessed, stored(database))))
    assert result.mapping == {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}
    assert seen == [(("user", "item", "rating", "time"), {})]  # shown before anything is stored
    expected = {(str(r["userId"]), str(r["movieId"])): (r["rating"], r["timestamp"]) for r in rows()}
    assert stored(database) == expected
    assert (result.read, result.stored, result.format) == (50, 50, "mongodb")
    assert get_import(database, result.import_id).source == f"{address}.ratings"


def test_the_kinds_of_values_are_read_right(database, films, address):
    oid = ObjectId()
    moment = dt.datetime(2005, 4, 2, 23, 53, 47, tzinfo=dt.UTC)
    films.ratings.insert_many(
        [
            {"user": oid, "item": "007", "rating": 4, "time": moment},
            {"user": Int64(2**60), "item": 7.0, "rating": 3.5, "time": Int64(T)},
            {"user": "1e5", "item": "x", "rating": "2.5", "time": str(T)},
            {"user": 12, "item": "ms", "rating": 1, "time": T * 1000 + 5},
            {"user": 13, "item": "none", "rating": 1},
            {"user": "ü", "item": "iso", "rating": 5, "time": "2005-04-02T23:53:47Z"},
            {"user": True, "item": "bool", "rating": 5},
            {"user": 14, "item": "bool", "rating": True},
            {"user": 14, "item": None, "rating": 1},
            {"user": 14, "item": {"deep": 1}, "rating": 1},
            {"user": 14, "item": "q", "rating": "NaN"},
            {"user": 14, "item": "q"},
            {"user": 14, "item": "q", "rating": "good"},
            {"user": 14, "item": "q", "rating": 3, "time": "soon"},
        ]
    )
    result = take(database, address)
    assert stored(database) == {
        (str(oid), "007"): (4.0, T),
        (str(2**60), "7"): (3.5, T),
        ("1e5", "x"): (2.5, T),
        ("12", "ms"): (1.0, T),
        ("13", "none"): (1.0, None),
        ("ü", "iso"): (5.0, T),
    }
    assert [reason for _, reason, _ in quarantine(database)] == [
        Fault.MISSING_USER.reason, Fault.NOT_A_NUMBER.reason, Fault.MISSING_ITEM.reason, Fault.MISSING_ITEM.reason,
        Fault.NOT_A_NUMBER.reason, Fault.MISSING_RATING.reason, Fault.NOT_A_NUMBER.reason, Fault.BAD_TIME.reason,
    ]  # fmt: skip
    assert result.read == 14 == result.stored + result.rejected
    line, _, raw = quarantine(database)[-1]
    assert line == 14
    assert "_id" in json.loads(raw)


def test_nested_fields_and_titles_of_a_second_collection(database, films, address):
    films.ratings.insert_many(
        [{"who": {"id": f"u{k}"}, "film": {"ref": k, "tags": ["a"]}, "meta": {"stars": 3, "ts": T}} for k in range(5)]
    )
    films.movies.insert_many(
        [{"ref": k, "name": f"Film {k} (199{k})", "genres": [{"name": "Drama"}, {"name": "War"}]} for k in range(6)]
    )
    result = take(
        database, address,
        mapping={"user": "who.id", "item": "film.ref", "rating": "meta.stars", "time": "meta.ts"},
        items_collection="movies",
        items_mapping={"item": "ref", "title": "name", "genres": "genres.name"},
    )  # fmt: skip
    assert stored(database) == {(f"u{k}", str(k)): (3.0, T) for k in range(5)}
    with database.read() as db:
        titles = db.execute("SELECT item, title, year FROM items ORDER BY item").fetchall()
        genres = db.execute("SELECT count(*) FROM item_genres").fetchone()[0]
    assert titles == [(str(k), f"Film {k} (199{k})", 1990 + k) for k in range(6)]
    assert genres == 12
    assert result.items == 5


def test_arrays_hold_a_row_an_element(database, films, address):
    films.per.insert_many(
        [
            {"_id": "u1", "seen": [{"m": 1, "stars": 4}, {"m": 2, "stars": 3}, {"m": 3}]},
            {"_id": "u2", "seen": []},
            {"_id": "u3", "seen": [{"m": 1, "stars": 5}], "pair": [7, 8]},
        ]
    )
    mapping = {"user": "_id", "item": "seen.m", "rating": "seen.stars"}
    result = take(database, address, "per", mapping=mapping)
    assert stored(database) == {("u1", "1"): (4.0, None), ("u1", "2"): (3.0, None), ("u3", "1"): (5.0, None)}
    assert (result.read, result.reasons) == (4, {Fault.MISSING_RATING.reason: 1})
    other = Database(database.path.with_name("other.db"))
    take(other, address, "per", mapping={"user": "_id", "item": "pair.1", "rating": "seen.0.stars"})
    assert stored(other) == {("u3", "8"): (5.0, None)}
    other.close()


def test_a_query_chooses_and_operators_that_run_code_are_refused(database, films, address):
    films.ratings.insert_many(rows())
    result = take(database, address, query='{"rating": {"$gte": 4}}')
    assert result.read == sum(r["rating"] >= 4 for r in rows()) > 0
    for text in (
        '{"$where": "sleep(1)"}', '{"$expr": {"$function": {}}}', '{"a": {"$accumulator": 1}}',
        '{"$or": [{"b": {"$where": "1"}}]}', "[1]", "{", '{"a": {"$oid": "zz"}}', '{"a":' * 5000, '{"$jsonSchema": {}}',
    ):  # fmt: skip
        with pytest.raises(errors.UsageRefused):
            take(database, address, query=text)


@pytest.mark.parametrize("mapping", [{"user": "$x"}, {"user": "a..b"}, {"item": "a.$b"}, {"item": "."}])
def test_paths_that_are_none_are_refused(database, films, address, mapping):
    films.ratings.insert_many(rows())
    with pytest.raises(errors.UsageRefused):
        take(database, address, mapping=mapping)


def test_what_is_not_there_is_named_with_what_is_near(database, films, address, mongo_server):
    films.ratings.insert_many(rows())
    with pytest.raises(errors.NotFound, match="no collection 'rating'") as caught:
        take(database, address, "rating")
    assert "ratings" in caught.value.hint
    with pytest.raises(errors.NotFound, match="no database") as caught:
        take(database, address[:-1])
    assert films.name in caught.value.hint
    with pytest.raises(errors.UsageRefused, match="--collection is missing"):
        take(database, address, "")
    with pytest.raises(errors.UsageRefused, match="names no database"):
        take(database, mongo_server)
    with pytest.raises(errors.NotFound, match="no collection 'nope'"):
        take(database, address, items_collection="nope")
    with pytest.raises(errors.DataRefused, match="no such column"):
        take(database, address, mapping={"rating": "999"})
    assert stored(database) == {}


def test_no_server(database):
    with pytest.raises(errors.NotFound, match="no MongoDB server answers"):
        take(database, f"mongodb://127.0.0.1:{free_port()}/films", timeout=0.3)


def test_only_what_is_new_comes_with_since_last(database, films, address):
    films.ratings.insert_many(rows(30))
    assert take(database, address, since_last=True).stored == 30
    assert take(database, address, since_last=True).read == 0
    films.ratings.insert_many(rows(35)[30:])
    again = take(database, address, since_last=True)
    assert (again.read, again.stored) == (5, 5)
    assert (take(database, address, since_last=True).read, len(stored(database))) == (0, 35)
    everything = take(database, address)
    assert (everything.read, everything.unchanged) == (35, 35)


def test_ids_that_do_not_grow_are_read_in_full(database, films, address):
    films.ratings.insert_many([{"_id": f"{k:02}", **row} for k, row in enumerate(rows(9)[3:], 3)])
    take(database, address)
    films.ratings.insert_many([{"_id": f"{k:02}", **row} for k, row in enumerate(rows(3))])
    again = take(database, address, since_last=True)
    assert (again.read, again.stored, again.unchanged) == (9, 3, 6)


def test_a_dry_run_stores_nothing(database, films, address):
    films.ratings.insert_many(rows())
    before = take(database, address, dry_run=True)
    assert (before.stored, before.import_id, stored(database)) == (50, None, {})
    assert before.preview[0] | {"line": 1} == before.preview[0]


def test_a_document_of_16_megabytes_beside_small_ones(database, films, address):
    films.ratings.insert_many(rows(3))
    films.ratings.insert_one({"userId": "big", "movieId": 1, "rating": 3, "junk": "x" * 15_900_000})
    assert take(database, address).stored == 4
    films.ratings.insert_one({"userId": "y" * 1_000_000, "movieId": 1, "rating": 3})
    assert take(database, address).reasons == {Fault.LONG_USER.reason: 1}


def test_a_document_of_16_megabytes_that_is_one_array(database, films, address):
    seen = [{"m": k, "s": 3} for k in range(20_000)]
    seen[77] = {"m": 77, "s": "bad", "note": "x" * 15_000_000}
    films.per.insert_one({"_id": "u1", "seen": seen})
    mapping = {"user": "_id", "item": "seen.m", "rating": "seen.s"}
    result = take(database, address, "per", mapping=mapping)
    assert (result.read, result.stored, result.rejected) == (20_000, 19_999, 1)
    assert quarantine(database) == [(78, Fault.NOT_A_NUMBER.reason, '{"_id": "u1", "seen.m": 77, "seen.s": "bad"}')]
    (row,) = rejected_rows(database, result.import_id)
    assert (row["user"], row["item"], row["rating"]) == ("u1", "77", "bad")


def test_only_commands_that_read_are_sent(database, films, address, monkeypatch):
    films.ratings.insert_many(rows(300))
    films.movies.insert_many([{"movieId": 1, "title": "A"}])
    sent = set()

    class Listener(monitoring.CommandListener):
        def started(self, event):
            sent.add(event.command_name)

        def succeeded(self, event):
            pass

        def failed(self, event):
            pass

    real = mongodb.MongoClient
    monkeypatch.setattr(mongodb, "MongoClient", lambda *a, **k: real(*a, event_listeners=[Listener()], **k))
    take(database, address, items_collection="movies")
    assert "find" in sent
    assert sent <= READS


class Script:
    """A scripted server with `documents` that loses every cursor and, after each batch, the connection."""

    def __init__(self, documents, *, batch=4, mode="hang up"):
        self.documents, self.batch, self.mode, self.finds = documents, batch, mode, 0

    def __call__(self, command):
        name = next(iter(command))
        if name == "listDatabases":
            return {"ok": 1.0, "databases": [{"name": "films"}]}
        if name == "listCollections":
            names = [{"name": "ratings", "type": "collection"}]
            return {"ok": 1.0, "cursor": {"id": 0, "ns": "films.$cmd", "firstBatch": names}}
        if name == "find":
            self.finds += 1
            after = command["filter"].get("_id", {}).get("$gt")
            left = [document for document in self.documents if after is None or document["_id"] > after]
            if command.get("limit", 0) == 1 and command["sort"] == {"_id": -1}:
                left = self.documents[-1:]
            elif command.get("limit"):
                left = left[: command["limit"]]
            else:
                more = len(left) > self.batch
                return self._cursor(9 if more else 0, left[: self.batch], "firstBatch")
            return self._cursor(0, left, "firstBatch")
        if name == "getMore":
            gone = {"ok": 0.0, "code": 43, "codeName": "CursorNotFound", "errmsg": "cursor id 9 not found"}
            return gone if self.mode == "lose cursor" else None
        return {"ok": 1.0}

    def _cursor(self, number, documents, which):
        return {"ok": 1.0, "cursor": {"id": bson.Int64(number), "ns": "films.ratings", which: documents}}


@pytest.mark.parametrize("mode", ["hang up", "lose cursor"])
def test_scripted_peer_a_lost_connection_or_cursor_goes_on_from_the_last_id(database, mode, monkeypatch):
    monkeypatch.setattr(mongodb, "_FIRST_PAUSE", 0.01)
    documents = [{"_id": k, **row} for k, row in enumerate(rows(22))]
    script = Script(documents, mode=mode)
    with Peer(script) as peer:
        result = take(database, f"{peer.address}/films")
    assert (result.read, result.stored, result.duplicates) == (22, 22, 0)
    assert script.finds > 5


def test_scripted_peer_kinds_that_nx_27017_cannot_hold(database):
    far, before = bson.datetime_ms.DatetimeMS(10**15), bson.datetime_ms.DatetimeMS(-1)
    documents = [
        {"_id": 1, "user": Decimal128("7"), "item": "a", "rating": Decimal128("4.5"), "time": bson.Timestamp(T, 1)},
        {"_id": 2, "user": 8.5, "item": "a", "rating": float("nan"), "time": T},
        {"_id": 3, "user": 9, "item": "a", "rating": Decimal128("Infinity"), "time": T},
        {"_id": 4, "user": 9, "item": "b", "rating": 3, "time": far},
        {
            "_id": 5,
            "user": 9,
            "item": "c",
            "rating": 3,
            "time": ObjectId.from_datetime(dt.datetime(2005, 4, 2, tzinfo=dt.UTC)),
        },
        {
            "_id": 6,
            "user": bson.Binary(b"\x01\xff"),
            "item": "c",
            "rating": 2.5,
            "time": before,
        },
    ]
    with Peer(Script(documents, batch=100)) as peer:
        result = take(database, f"{peer.address}/films")
    midnight = 1_112_400_000
    assert stored(database) == {("7", "a"): (4.5, T), ("9", "c"): (3.0, midnight), ("01ff", "c"): (2.5, -1)}
    assert [reason for _, reason, _ in quarantine(database)] == [
        Fault.NOT_A_NUMBER.reason, Fault.NOT_A_NUMBER.reason, Fault.BAD_TIME.reason,
    ]  # fmt: skip
    assert result.read == 6


def test_scripted_peer_a_server_that_stays_away_leaves_what_was_read_and_since_last_goes_on(database, monkeypatch):
    monkeypatch.setattr(mongodb, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(mongodb, "_RETRIES", 1)
    documents = [{"_id": k, **row} for k, row in enumerate(rows(22))]
    script = Script(documents)

    def dies(command):
        gone = next(iter(command)) == "find" and "_id" in command["filter"] and "sort" in command and not script.alive
        return None if gone else script(command)

    script.alive = False
    with Peer(dies) as peer:
        with pytest.raises(errors.Busy, match="was lost after 4 documents") as caught:
            take(database, f"{peer.address}/films", timeout=1)
        assert "--since-last" in caught.value.hint
        assert len(stored(database)) == 4
        assert (get_import(database, 1).state, get_import(database, 1).stored) == ("failed", 4)
        script.alive = True
        again = take(database, f"{peer.address}/films", since_last=True)
    assert (again.read, again.stored, len(stored(database))) == (18, 18, 22)


def test_scripted_peer_a_login_is_refused(database):
    def refuse(command):
        return {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed. s3ntinel"}

    with Peer(refuse) as peer:
        secret = peer.address.replace("//", "//u:s3ntinel@")
        with pytest.raises(errors.DataRefused, match="refuses the login") as caught:
            take(database, f"{secret}/films", timeout=2)
    assert "s3ntinel" not in str(caught.value) + caught.value.hint
    assert caught.value.__cause__ is None


def test_a_login_where_the_server_knows_none_is_refused(database, address):
    with pytest.raises(errors.DataRefused, match="refuses the login") as caught:
        take(database, address.replace("//", "//u:s3ntinel@"))
    assert "s3ntinel" not in str(caught.value) + caught.value.hint


def test_a_name_without_srv_records_says_so(database):
    with pytest.raises(errors.UsageRefused, match="not found") as caught:
        take(database, "mongodb+srv://u:s3ntinel@nowhere.invalid/films", timeout=0.5)
    assert "SRV" in caught.value.hint
    assert "s3ntinel" not in str(caught.value) + caught.value.hint


def test_documents_that_change_under_the_cursor_are_counted_once_each(database, films, address, monkeypatch):
    monkeypatch.setattr(mongodb, "_BATCH", 10)
    films.ratings.insert_many([{"_id": k, **row} for k, row in enumerate(rows(60))])
    real = mongodb.document_batches

    def changing(documents, *rest):
        films.ratings.update_many({}, {"$set": {"extra": "x" * 100}})
        films.ratings.delete_one({"_id": 59})
        return real(documents, *rest)

    monkeypatch.setattr(mongodb, "document_batches", changing)
    result = take(database, address)
    assert result.read in {59, 60}
    assert result.read == result.stored
