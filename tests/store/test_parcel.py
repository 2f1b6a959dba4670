"""Parcels: what goes in comes out, and nothing that somebody made up does anything but be refused."""

import io
import json
import os
import random
import shutil
import stat
import tarfile
import time
import zipfile
from contextlib import closing
from hashlib import sha256

import numpy as np
import pytest

from store import errors
from store.artifacts import Bundle
from store.database import Database
from store.migrations import migrate
from store.parcel import open_parcel, write_parcel
from store.parcel_manifest import MOST_BYTES
from store.registry import MetricRow, NewVersion, Registry
from tests import processes

FACTORS = np.arange(3000, dtype=np.float32)
DATA = {"n_users": 3, "n_movies": 4, "n_ratings": 5, "fingerprint": "f"}


def save(registry, members=None):
    figures = {"rmse": MetricRow(0.9, 0.8, 1.0, 7), "ndcg@10": MetricRow(None)}
    new = NewVersion("mf", {"n_factors": 3}, DATA, {"split": "random"}, {"host": "h"}, figures, members=members or {})
    bundles = {"model": Bundle({"factors": FACTORS}, {"epochs": 3}), "heldout": Bundle({}, {})}
    return registry.save(new, bundles)


@pytest.fixture
def registry(database):
    return Registry(database)


@pytest.fixture
def elsewhere(tmp_path):
    with closing(Database(tmp_path / "elsewhere" / "recsys.db")) as other:
        migrate(other)
        yield Registry(other)


@pytest.fixture
def parcel(registry, tmp_path):
    version = save(registry)
    write_parcel(registry, [version], tmp_path / "v1.tar")
    return tmp_path / "v1.tar"


def unpack(parcel, registry, accept=lambda _: None):
    """Register what is in a parcel and return the versions."""
    made = []
    with open_parcel(parcel) as opened:
        for packed in opened.versions:
            new = NewVersion(
                packed.model_type, packed.hyperparameters, packed.training_data, packed.protocol, {}, packed.metrics
            )
            made.append(registry.add(new, lambda folder, packed=packed: opened.unpack(packed, folder, accept)))
    return made


def members(parcel):
    with tarfile.open(parcel) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def write(path, content, change=lambda header: header, form=tarfile.USTAR_FORMAT):
    """Write a tar of these members; the manifest's checksum is made to fit."""
    content = {"manifest.sha256": sha256(content["manifest.json"]).hexdigest().encode()} | content
    content["manifest.sha256"] = sha256(content["manifest.json"]).hexdigest().encode()
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in content.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(data), 0o600
            archive.addfile(change(header), io.BytesIO(data))
    return path


class TestRoundTrip:
    def test_files_and_facts_come_back(self, registry, parcel, elsewhere):
        [made] = unpack(parcel, elsewhere)
        there = registry.get(1)
        assert (made.files, made.metrics) == (there.files, there.metrics)
        assert (made.hyperparameters, made.training_data) == (there.hyperparameters, there.training_data)
        assert elsewhere.load(made).arrays["factors"].tolist() == FACTORS.tolist()
        assert elsewhere.verify(made.id) == []
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (elsewhere.folder / "v1").iterdir()}
        assert modes == {0o600}
        assert stat.S_IMODE((elsewhere.folder / "v1").stat().st_mode) == 0o700

    def test_it_is_a_private_file_that_any_tar_reads_and_the_same_each_time(self, registry, parcel, tmp_path):
        assert list(members(parcel)) == [
            "manifest.sha256",
            "manifest.json",
            *(f"v1/{name}" for name in ("heldout.json", "heldout.safetensors", "model.json", "model.safetensors")),
        ]
        assert stat.S_IMODE(parcel.stat().st_mode) == 0o600
        facts = write_parcel(registry, [registry.get(1)], tmp_path / "again.tar")
        assert (tmp_path / "again.tar").read_bytes() == parcel.read_bytes()
        assert facts["bytes"] == parcel.stat().st_size

    def test_several_versions_in_their_order_one_may_be_passed_over(self, registry, tmp_path, elsewhere):
        versions = [save(registry), save(registry), save(registry, members={"v1": "0" * 64})]
        write_parcel(registry, versions, tmp_path / "three.tar")
        with open_parcel(tmp_path / "three.tar") as opened:
            assert [packed.name for packed in opened.versions] == ["v1", "v2", "v3"]
            assert opened.versions[2].members == {"v1": "0" * 64}
            opened.skip(opened.versions[0])
            opened.skip(opened.versions[1])
            new = NewVersion("mf", {}, DATA, {}, {})
            made = elsewhere.add(new, lambda folder: opened.unpack(opened.versions[2], folder, lambda _: None))
        assert elsewhere.verify(made.id) == []

    def test_a_damaged_version_is_not_written(self, registry, parcel, tmp_path):
        path = registry.folder / "v1" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(errors.Damaged, match=r"model\.safetensors"):
            write_parcel(registry, [registry.get(1)], tmp_path / "no.tar")
        assert sorted(path.name for path in tmp_path.glob("*.tar*")) == ["v1.tar"]

    def test_a_full_disk_leaves_nothing(self, registry, small_disk):
        save(registry)
        (small_disk / "filler").write_bytes(bytes(2_080_000))
        with pytest.raises(errors.NoSpace):
            write_parcel(registry, [registry.get(1)], small_disk / "v1.tar")
        assert [path.name for path in small_disk.iterdir()] == ["filler"]


class TestRefusals:
    @pytest.fixture
    def refused(self, elsewhere, tmp_path):
        """Check that a parcel is refused, and that nothing is registered or lies about, here or anywhere else."""
        before = sorted(path for path in tmp_path.rglob("*") if path.suffix not in {".tar", ".db-journal"})

        def check(path, match=None):
            with pytest.raises(errors.Damaged, match=match) as caught:
                unpack(path, elsewhere)
            assert str(path) in str(caught.value)
            assert caught.value.hint
            assert elsewhere.versions() == []
            left = sorted(p for p in tmp_path.rglob("*") if p.suffix not in {".tar", ".db-journal"})
            assert [p for p in left if p not in before and p != elsewhere.folder] == []

        return check

    def test_flipped_bytes(self, parcel, refused, tmp_path):
        """Anywhere that anything is read from; the zeros between the members are not."""
        content, dice = parcel.read_bytes(), random.Random(3)
        with tarfile.open(parcel) as archive:
            spans = [(member.offset, 512) for member in archive]
            spans += [(member.offset_data, member.size) for member in archive]
        for number in range(60):
            begin, size = spans[number % len(spans)]
            damaged = bytearray(content)
            damaged[begin + dice.randrange(size)] ^= 1 << dice.randrange(8)
            (tmp_path / "bad.tar").write_bytes(damaged)
            refused(tmp_path / "bad.tar")

    def test_truncated_anywhere(self, parcel, refused, tmp_path):
        content = parcel.read_bytes()
        last = max(content.rindex(b"manifest.json"), len(content.rstrip(b"\0")))
        for length in [0, 1, 511, 512, 513, 1024, *range(2000, last, 1511)]:
            (tmp_path / "short.tar").write_bytes(content[:length])
            refused(tmp_path / "short.tar")

    @pytest.mark.parametrize(
        "name", ["../evil", "/etc/evil", "v1/../../evil", "evil", "v1/evil.json", "v2/model.json", "./v1/model.json"]
    )
    def test_names_that_lead_elsewhere(self, parcel, refused, tmp_path, name):
        content = members(parcel)
        renamed = {name if old == "v1/model.json" else old: data for old, data in content.items()}
        refused(write(tmp_path / "names.tar", renamed), "model.json is not where it should be")
        assert not (tmp_path.parent / "evil").exists()

    @pytest.mark.parametrize(
        "files",
        [
            {"../evil.json": {}},
            {"/tmp/evil.json": {}},
            {"a/b.json": {}},
            {"..": {}},
            {"": {}},
            {"model.pkl": {}},
            {"model.json\0": {}},
            {"-rf.json": {}},
            {"x" * 300 + ".json": {}},
            {"model.json": {"bytes": -1}},
            {"model.json": {"bytes": 1 << 62}},
            {"model.json": {"bytes": 1.5}},
            {"model.json": {"bytes": True}},
            {"model.json": {"sha256": "0"}},
            {"model.json": {"sha256": 7}},
            {"model.json": {"bytes": 10**9}},
        ],
        ids=str,
    )
    def test_manifests_that_lie_about_files(self, parcel, refused, tmp_path, files):
        content = members(parcel)
        manifest = json.loads(content["manifest.json"])
        known = manifest["versions"][0]["files"]
        for name, facts in files.items():
            known[name] = known.get(name, {"sha256": "0" * 64, "bytes": 3}) | facts
        content["manifest.json"] = json.dumps(manifest).encode()
        refused(write(tmp_path / "lies.tar", content))

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "../v1"},
            {"name": "v0"},
            {"model_type": "../../mf"},
            {"model_type": "os.system"},
            {"training_data": {}},
            {"training_data": {"n_users": "many", "n_movies": 1, "n_ratings": 1}},
            {"members": {"../v1": "0" * 64}},
            {"members": {"v1": "short"}},
            {"metrics": {"rmse": ["a", 1, 1, 1]}},
            {"metrics": {"rmse": [1] * 9}},
            {"metrics": 7},
            {"files": {}},
            {"files": None},
            {"label": 7},
            {"trained_at": "yesterday"},
            {"lineage": []},
        ],
        ids=str,
    )
    def test_manifests_that_lie_about_the_version(self, parcel, refused, tmp_path, change):
        content = members(parcel)
        manifest = json.loads(content["manifest.json"])
        manifest["versions"][0] |= change
        content["manifest.json"] = json.dumps(manifest).encode()
        refused(write(tmp_path / "lies.tar", content), "manifest makes no sense")

    @pytest.mark.parametrize(
        "manifest",
        [
            b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b'{"format": 2, "versions": []}',
            b'{"format": 1, "versions": []}', b'{"format": 1}', b"[" * 100_000,
            b'{"format": 1, "versions": [1]}', b'{"format": 1, "versions": {"a": 1}}',
            b'{"format": 1' + b"0" * 5000 + b"}",
        ],
        ids=lambda manifest: repr(manifest[:30]),
    )  # fmt: skip
    def test_manifests_that_are_none(self, parcel, refused, tmp_path, manifest):
        refused(write(tmp_path / "none.tar", members(parcel) | {"manifest.json": manifest}))

    def test_the_same_version_twice(self, parcel, refused, tmp_path):
        content = members(parcel)
        manifest = json.loads(content["manifest.json"])
        manifest["versions"] *= 2
        content["manifest.json"] = json.dumps(manifest).encode()
        refused(write(tmp_path / "twice.tar", content), "manifest makes no sense")

    def test_a_manifest_without_end(self, refused, tmp_path):
        refused(write(tmp_path / "long.tar", {"manifest.json": b" " * (MOST_BYTES + 1)}), "size of manifest")

    @pytest.mark.parametrize(
        "kind",
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE],
    )
    def test_links_devices_and_sparse_files(self, parcel, refused, tmp_path, kind):
        def change(header):
            if header.name == "v1/model.json":
                header.type, header.linkname = kind, "/etc/passwd"
            return header

        refused(write(tmp_path / "links.tar", members(parcel), change), "is not where it should be")

    @pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_long_names_of_other_kinds_of_tar(self, parcel, refused, tmp_path, form):
        content = members(parcel)
        content = {("v1/" + "x" * 300 if name == "v1/model.json" else name): data for name, data in content.items()}
        refused(write(tmp_path / "other.tar", content, form=form))

    @pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
    def test_nothing_is_decompressed(self, parcel, refused, tmp_path, suffix):
        with tarfile.open(tmp_path / "small.tar", f"w:{suffix}") as archive:
            archive.add(parcel, "manifest.sha256")
        refused(tmp_path / "small.tar", "manifest.sha256 is not where it should be")

    def test_a_bomb_in_a_zip_is_no_parcel(self, refused, tmp_path):
        with zipfile.ZipFile(tmp_path / "bomb.tar", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../evil", bytes(50_000_000))
        refused(tmp_path / "bomb.tar")

    def test_a_size_in_the_header_that_lies(self, parcel, refused, tmp_path):
        """The header of a member says more than there is, with a checksum that is right."""
        content = bytearray(parcel.read_bytes())
        with tarfile.open(parcel) as archive:
            member = archive.getmember("v1/model.json")
        for size in (member.size + 512, 8**11 - 1, 0):
            header = tarfile.TarInfo("v1/model.json")
            header.size = size
            content[member.offset : member.offset + 512] = header.tobuf(tarfile.USTAR_FORMAT)
            (tmp_path / "sizes.tar").write_bytes(content)
            refused(tmp_path / "sizes.tar", "size of v1/model.json")

    def test_what_is_accepted_by_nobody_leaves_nothing(self, parcel, elsewhere):
        def no(folder):
            assert (folder / "model.json").is_file()
            raise errors.Damaged("no", hint="no")

        with pytest.raises(errors.Damaged):
            unpack(parcel, elsewhere, no)
        assert elsewhere.versions() == []
        assert list(elsewhere.folder.iterdir()) == []

    def test_what_is_no_file(self, tmp_path, elsewhere):
        with pytest.raises(errors.NotFound):
            unpack(tmp_path / "missing.tar", elsewhere)
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(errors.UsageRefused, match="no ordinary file"):
                unpack(path, elsewhere)

    def test_a_link_in_the_place_of_the_new_folder_is_not_followed(self, parcel, elsewhere, tmp_path):
        """Somebody who may write to the store's folder gains nothing: the link is replaced, what it names is left."""
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").touch()
        elsewhere.folder.mkdir(mode=0o700)
        (elsewhere.folder / "v1").symlink_to(precious)
        with pytest.raises(errors.StoreError):
            unpack(parcel, elsewhere)
        assert [path.name for path in precious.iterdir()] == ["file"]
        shutil.rmtree(precious)


TAKE_IN = """
import sys
from pathlib import Path
from store.database import Database
from store.parcel import open_parcel
from store.registry import NewVersion, Registry

registry = Registry(Database(sys.argv[1], busy_seconds=30))
print("working", flush=True)
while True:
    with open_parcel(Path(sys.argv[2])) as parcel:
        for packed in parcel.versions:
            new = NewVersion(packed.model_type, {}, packed.training_data, {}, {})
            registry.add(new, lambda folder: parcel.unpack(packed, folder, lambda _: None))
"""


@pytest.mark.faults
def test_killed_while_it_comes_in_a_version_is_whole_or_absent(parcel, elsewhere, rounds):
    dice, leftovers = random.Random(7), 0
    for _ in range(rounds(10)):
        worker = processes.start(TAKE_IN, elsewhere.database.path, parcel)
        processes.wait_for(worker, "working")
        while not elsewhere.versions():  # on a busy machine the first one takes its time
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.1))
        processes.kill(worker)
        assert all(elsewhere.verify(version.id) == [] for version in elsewhere.versions())
        leftovers += len(elsewhere.collect_orphans())
        assert {path.name for path in elsewhere.folder.iterdir()} == {version.name for version in elsewhere.versions()}
    assert leftovers <= rounds(10)
