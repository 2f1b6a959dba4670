"""Import from MongoDB against a bare pymongo cursor over the same documents

Two servers: nx-27017, itself the slower side, and one that answers from memory, so that the client is measured.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from tests import mongo
from tests.benchmarks.figures import Figure

OURS = """
import json, sys
from store.database import Database
from store.importers.pipeline import import_source
from store.importers.source import ReadOptions
result = import_source(Database(sys.argv[2]), sys.argv[1], reading=ReadOptions(collection="ratings"))
status = open('/proc/self/status').read()
peak = int(status.partition('VmHWM:')[2].split()[0]) / 1024
print(json.dumps({"rows": result.stored, "seconds": result.seconds, "peak_mb": peak}))
"""
BARE = """
import json, sys, time
from pymongo import MongoClient
began = time.perf_counter()
rows = sum(1 for _ in MongoClient(sys.argv[1]).get_default_database().ratings.find())
print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))
"""


def documents(rows: int) -> list[dict[str, Any]]:
    """Return ratings with the shape of MovieLens, distinct pairs in the order of `_id`."""
    return [
        {"_id": n, "userId": n // 150, "movieId": n % 150 * 7 + 1, "rating": (n % 10 + 1) / 2, "timestamp": 10**9 + n}
        for n in range(rows)
    ]


class Memory:
    """Answers from encoded documents, 20,000 at a time."""

    def __init__(self, found: list[dict[str, Any]], batch: int = 20_000) -> None:
        self._raw = [RawBSONDocument(bson.encode(document)) for document in found]
        self._batch = batch

    def __call__(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name == "listDatabases":
            return {"ok": 1.0, "databases": [{"name": "films"}]}
        if name == "listCollections":
            names = [{"name": "ratings", "type": "collection"}]
            return {"ok": 1.0, "cursor": {"id": 0, "ns": "films.$cmd", "firstBatch": names}}
        if name == "find" and command.get("limit"):
            return self._part(0, command["limit"], "firstBatch", more=False)
        if name in {"find", "getMore"}:
            start = int(command.get("getMore", 0))
            end = start + self._batch
            return self._part(start, end, "firstBatch" if name == "find" else "nextBatch", more=end < len(self._raw))
        return {"ok": 1.0}

    def _part(self, start: int, end: int, which: str, *, more: bool) -> dict[str, Any]:
        cursor = {"id": bson.Int64(end if more else 0), "ns": "films.ratings", which: self._raw[start:end]}
        return {"ok": 1.0, "cursor": cursor}


def rate(code: str, *arguments: str) -> dict[str, float]:
    """Run one side in a process of its own and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"rate": found["rows"] / found["seconds"] / 1e6}


def both(address: str, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Let both sides take turns and return the best round of each."""
    ours, bare = [], []
    with tempfile.TemporaryDirectory(prefix="bench-mongo-") as folder:
        for number in range(rounds):
            bare.append(rate(BARE, address))
            ours.append(rate(OURS, address, str(Path(folder) / f"{number}.db")))
    return max(ours, key=lambda one: one["rate"]), max(bare, key=lambda one: one["rate"])


def run(*, quick: bool = False) -> dict[str, Figure]:
    """Return rates in million rows a second, and our peak memory."""
    found: dict[str, Figure] = {}
    rounds = 1 if quick else 3
    with mongo.server("nx-27017") as address, MongoClient(address) as client:
        rows = documents(20_000 if quick else 100_000)
        for start in range(0, len(rows), 10_000):
            client.films.ratings.insert_many(rows[start : start + 10_000])
        ours, bare = both(f"{address}/films", rounds)
        found[f"import from nx-27017, {len(rows):,} documents"] = Figure(
            ours["rate"], "M rows/s", rival=bare["rate"], by="bare cursor", higher=True, times=0.8
        )
    rows = documents(200_000 if quick else 1_000_000)
    with mongo.Peer(Memory(rows)) as peer:
        ours, bare = both(f"{peer.address}/films", rounds)
        found[f"import from a server in memory, {len(rows):,} documents"] = Figure(
            ours["rate"], "M rows/s", rival=bare["rate"], by="bare cursor", higher=True, goal=0.04
        )
        found["its peak memory"] = Figure(ours["peak_mb"], "MB", goal=500)
    return found
