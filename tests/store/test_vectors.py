"""Kept user vectors: bit for bit, for one version and one revision, and never older than what was there."""

import threading

import numpy as np
import pytest

from store import errors, vectors
from store.artifacts import Bundle
from store.database import Database
from store.registry import NewVersion, Registry

VECTOR = np.array([0.1, -2.5, 3e-38, 0.0], np.float32)


@pytest.fixture
def versions(database):
    """A database with the versions v1 and v2."""
    for _ in range(2):
        Registry(database).save(NewVersion("mf", {}, {}, {}, {}), {"model": Bundle({}, {})})
    return database


def test_what_is_kept_comes_back_and_can_be_written_to(versions):
    vectors.put(versions, 1, 7, 3, VECTOR)
    found = vectors.get(versions, 1, 7, 3)
    assert found.dtype == np.float32
    assert found.tobytes() == VECTOR.tobytes()
    found[0] = 9  # a copy, not a window into SQLite's memory


def test_wider_numbers_are_kept_as_float32(versions):
    vectors.put(versions, 1, 7, 3, VECTOR.astype(">f8"))
    assert vectors.get(versions, 1, 7, 3).tobytes() == VECTOR.tobytes()


@pytest.mark.parametrize(("version", "user", "revision"), [(2, 7, 3), (1, 8, 3), (1, 7, 2), (1, 7, 4)])
def test_another_version_user_or_revision_has_none(versions, version, user, revision):
    vectors.put(versions, 1, 7, 3, VECTOR)
    assert vectors.get(versions, version, user, revision) is None


def test_the_newer_revision_wins_in_whatever_order(versions):
    vectors.put(versions, 1, 7, 4, VECTOR)
    vectors.put(versions, 1, 7, 3, VECTOR * 2)
    assert vectors.get(versions, 1, 7, 3) is None
    assert vectors.get(versions, 1, 7, 4).tobytes() == VECTOR.tobytes()
    vectors.put(versions, 1, 7, 5, VECTOR * 3)
    assert vectors.get(versions, 1, 7, 4) is None
    assert vectors.get(versions, 1, 7, 5)[1] == np.float32(-7.5)


def test_the_newest_of_many_threads_stays(versions):
    def put(revision):
        own = Database(versions.path, busy_seconds=20)
        vectors.put(own, 1, 7, revision, np.full(3, revision, np.float32))

    threads = [threading.Thread(target=put, args=(revision,)) for revision in (5, 9, 2, 7, 1, 8, 3, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert vectors.get(versions, 1, 7, 9).tolist() == [9.0, 9.0, 9.0]


def test_they_go_with_their_version(versions):
    for version in (1, 2):
        vectors.put(versions, version, 7, 3, VECTOR)
    Registry(versions).delete(1)
    assert vectors.get(versions, 1, 7, 3) is None
    assert vectors.get(versions, 2, 7, 3) is not None
    with pytest.raises(errors.StoreError):  # the version is gone: nothing to keep a vector for
        vectors.put(versions, 1, 7, 4, VECTOR)


def test_all_can_be_forgotten(versions):
    for user in (1, 2):
        vectors.put(versions, 1, user, 3, VECTOR)
    vectors.forget_all(versions)
    assert [vectors.get(versions, 1, user, 3) for user in (1, 2)] == [None, None]
