"""The MongoDB servers that the import is tested against: nx-27017 always, mongod where it is on PATH."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase

from tests import mongo


@pytest.fixture(scope="session", params=mongo.SERVERS)
def mongo_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running server."""
    with mongo.server(request.param) as address:
        yield address


@pytest.fixture
def films(mongo_server: str) -> Iterator[MongoDatabase]:
    """A database of its own on the server."""
    with MongoClient(mongo_server) as client:
        yield client[f"films_{uuid4().hex[:8]}"]


@pytest.fixture
def address(mongo_server: str, films: MongoDatabase) -> str:
    """The address of that database."""
    return f"{mongo_server}/{films.name}"
