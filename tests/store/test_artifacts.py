"""Files of a version: what is written comes back; what is not as written is refused before a byte of it is used."""

import errno
import json
import os
import random
import resource
import shutil
import struct
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from store import artifacts, errors
from store.artifacts import Bundle, FileFacts, check_file, copy_files, read_bundle, write_bundles

FACTORS = np.arange(600, dtype=np.float32).reshape(100, 6)
BUNDLES = {"model": Bundle({"factors": FACTORS, "ids": np.arange(100)}, {"epochs": 3, "name": "Füße"})}
DTYPES = st.sampled_from(["<f4", "<f8", "<i4", "<i8", "u1", "<i2", "?"])


def same(first, second):
    """Compare bundles bit for bit."""
    return first.extra == second.extra and {n: (a.dtype, a.shape, a.tobytes()) for n, a in first.arrays.items()} == {
        n: (a.dtype, a.shape, a.tobytes()) for n, a in second.arrays.items()
    }


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "db.models" / "v1"


@pytest.fixture
def facts(folder):
    return write_bundles(folder, BUNDLES)


@given(
    arrays=st.dictionaries(
        st.text("abc.é_ ", min_size=1, max_size=6),
        DTYPES.flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    extra=st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=9).filter(lambda key: key != "format"),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.just([1, "x"]),
    ),
)
def test_what_is_written_comes_back(tmp_path_factory, arrays, extra):
    folder = tmp_path_factory.mktemp("models") / "v1"
    written = Bundle(arrays, extra)
    facts = write_bundles(folder, {"model": written, "held_out": BUNDLES["model"]})
    assert same(read_bundle(folder, "model", facts), written)
    assert same(read_bundle(folder, "held_out", facts), BUNDLES["model"])
    assert all(check_file(folder, name, facts) is None for name in facts)
    assert {path.name for path in folder.iterdir()} == set(facts)
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize(
    "array",
    [FACTORS.T, FACTORS[::2, ::-1], np.asfortranarray(FACTORS), FACTORS.astype(">f4")],
    ids=["T", "step", "F", ">"],
)
def test_any_layout_in_memory_is_written_by_its_values(folder, array):
    facts = write_bundles(folder, {"model": Bundle({"a": array}, {})})
    assert read_bundle(folder, "model", facts).arrays["a"].tolist() == array.tolist()


def test_same_content_same_checksum(tmp_path):
    reordered = {"model": Bundle(dict(reversed(BUNDLES["model"].arrays.items())), {"name": "Füße", "epochs": 3})}
    assert write_bundles(tmp_path / "a", BUNDLES) == write_bundles(tmp_path / "b", reordered)


def test_an_orphan_in_the_way_is_replaced_whole(folder):
    write_bundles(folder, {"old": BUNDLES["model"]})
    (folder.parent / "v1.partial").mkdir()
    (folder.parent / "v1.partial" / "rest").touch()
    facts = write_bundles(folder, BUNDLES)
    assert {path.name for path in folder.iterdir()} == set(facts) == {"model.safetensors", "model.json"}
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}], ids=["nan", "inf", "object", "set"])
def test_what_json_cannot_hold_leaves_nothing_behind(folder, value):
    with pytest.raises((ValueError, TypeError)):
        write_bundles(folder, {"model": Bundle({}, {"x": value})})
    assert list(folder.parent.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(small_disk):
    with pytest.raises(errors.NoSpace):
        write_bundles(small_disk / "m" / "v1", {"model": Bundle({"a": np.zeros(1_000_000)}, {})})
    assert list((small_disk / "m").iterdir()) == []


class TestDamage:
    @pytest.mark.faults
    def test_every_flip_and_cut_is_refused(self, folder, facts, rounds):
        dice = random.Random(7)
        for number in range(rounds(120)):
            name = dice.choice(sorted(facts))
            content = (folder / name).read_bytes()
            damaged = bytearray(content)
            if number % 3 == 0:
                damaged = damaged[: dice.randrange(len(content))]
            else:
                damaged[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            (folder / name).write_bytes(damaged)
            with pytest.raises(errors.Damaged, match=name) as caught:
                read_bundle(folder, "model", facts)
            assert caught.value.hint
            assert name in check_file(folder, name, facts)
            (folder / name).write_bytes(content)
        assert same(read_bundle(folder, "model", facts), BUNDLES["model"])

    @pytest.mark.parametrize("size", [2**63 - 1, 2**40, 10**8 + 1, 17])
    def test_a_header_that_lies_costs_neither_time_nor_memory(self, folder, facts, size):
        path = folder / "model.safetensors"
        path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
        began, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(errors.Damaged, match="checksum"):
            read_bundle(folder, "model", facts)
        assert time.monotonic() - began < 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 50_000

    def test_a_huge_sparse_file_is_not_read(self, folder, facts):
        os.truncate(folder / "model.safetensors", 2**40)
        began = time.monotonic()
        with pytest.raises(errors.Damaged, match=f"{2**40} bytes"):
            read_bundle(folder, "model", facts)
        assert time.monotonic() - began < 1

    def test_a_pickle_under_the_name_is_not_opened(self, folder, facts, tmp_path):
        marker = tmp_path / "marker"
        code = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
        (folder / "model.safetensors").write_bytes(code.ljust(facts["model.safetensors"].bytes, b"\n"))
        with pytest.raises(errors.Damaged, match="checksum"):
            read_bundle(folder, "model", facts)
        assert not marker.exists()

    def test_files_swapped_between_versions_are_refused(self, folder, facts):
        other = folder.with_name("v2")
        write_bundles(other, {"model": Bundle({"factors": FACTORS[::-1], "ids": np.arange(100)}, {"epochs": 4})})
        for name in facts:
            (other / name).replace(folder / name)
            assert check_file(folder, name, facts) is not None

    @pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
    @pytest.mark.parametrize("trick", ["missing", "link", "folder", "pipe", "link to device"])
    def test_what_is_no_plain_file_is_refused_at_once(self, folder, facts, tmp_path, name, trick):
        path = folder / name
        kept = tmp_path / "kept"
        path.rename(kept)
        if trick == "link":
            path.symlink_to(kept)  # to the very same bytes
        elif trick == "folder":
            path.mkdir()
        elif trick == "pipe":
            os.mkfifo(path)
        elif trick == "link to device":
            path.symlink_to("/dev/zero")
        with pytest.raises(errors.Damaged, match=name):
            read_bundle(folder, "model", facts)

    def test_files_that_were_not_registered_are_not_read(self, folder, facts):
        with pytest.raises(errors.Damaged, match="not part"):
            read_bundle(folder, "other", facts)

    def test_a_newer_format_says_so(self, folder):
        facts = write_bundles(folder, {"model": Bundle({}, {"format": artifacts.FORMAT_VERSION + 1})})
        with pytest.raises(errors.Damaged, match="newer") as caught:
            read_bundle(folder, "model", facts)
        assert "upgrade" in caught.value.hint

    def test_no_descriptor_is_lost(self, folder, facts):
        (folder / "model.json").unlink()
        (folder / "model.json").mkdir()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            assert check_file(folder, "model.json", facts) is not None
        assert len(list(Path("/proc/self/fd").iterdir())) == before


class TestCopies:
    def test_the_files_are_equal_and_private(self, folder, facts, tmp_path):
        copy_files(folder, tmp_path / "copies" / "v1", facts)
        assert same(read_bundle(tmp_path / "copies" / "v1", "model", facts), BUNDLES["model"])

    def test_damage_is_not_copied_on(self, folder, facts, tmp_path):
        (folder / "model.json").write_text("{}")
        with pytest.raises(errors.Damaged, match=r"model\.json"):
            copy_files(folder, tmp_path / "copy", facts)

    def test_files_beside_them_stay(self, folder, facts, tmp_path):
        (folder / "stranger").touch()
        copy_files(folder, tmp_path / "copy", facts)
        assert {path.name for path in (tmp_path / "copy").iterdir()} == set(facts)


@contextmanager
def failing_after(monkeypatch, calls, error):
    """Let the n-th of the calls that reach the disk fail, before or after it did its work."""
    done = []

    def wrapped(name, function):
        def call(*arguments, **options):
            done.append(name)
            if len(done) == calls:
                raise error
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("open", "fsync", "rename", "mkdir", "fchmod"):
            patch.setattr(os, name, wrapped(name, getattr(os, name)))
        yield done


@pytest.mark.faults
def test_a_failure_at_any_point_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    """Each open, fsync, rename, mkdir and chmod fails once: no folder, or the whole folder, and a next try works."""
    point, outcomes = 0, []
    while True:
        point += 1
        folder = tmp_path / f"m{point}" / "v1"
        trouble = OSError(errno.EIO, "Input/output error")
        with failing_after(monkeypatch, point, trouble) as done:
            try:
                facts = write_bundles(folder, BUNDLES)
            except errors.StoreError:
                facts = None
        if facts is not None and len(done) < point:
            break
        whole = folder.exists() and {path.name for path in folder.iterdir()} == {"model.safetensors", "model.json"}
        assert whole or not folder.exists()
        assert not folder.with_name("v1.partial").exists()
        outcomes.append(whole)
        assert same(read_bundle(folder, "model", write_bundles(folder, BUNDLES)), BUNDLES["model"])
    assert len(outcomes) >= 8  # the wrapper saw the calls
    assert outcomes == sorted(outcomes)  # absent up to the rename, whole from there on
    assert outcomes[0] is False


def test_facts_travel_as_json(facts):
    text = json.dumps({name: fact._asdict() for name, fact in facts.items()})
    assert {name: FileFacts(**fact) for name, fact in json.loads(text).items()} == facts
