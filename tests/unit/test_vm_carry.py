"""A machine from a file is taken whole and unchanged, or refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from labwright.errors import UsageError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm import accelerator, carry, debian, lab_states, states, store
from labwright.vm.systems import DEFAULT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "NEEDED_BYTES", 0)
    # What this computer has installed is not what is tested.
    monkeypatch.setattr(carry.programs, "require", lambda _: None)
    return store.root()


@pytest.fixture
def contents():
    """The files of a machine, the disk empty."""
    return {name: name.encode() * 100 for name in carry.FILES}


@pytest.fixture
def archive(tmp_path, contents):
    """Return a function that writes a machine's file; what is given differs from a right one."""

    def write(members=None, **manifest):
        digests = {n: (len(d), hashlib.sha256(d).hexdigest()) for n, d in contents.items()}
        body = {
            "format": carry.FORMAT, "architecture": "x86_64", "system": DEFAULT.name,
            "lab": "gorb", "exported": "2026-11-28", "files": digests, **manifest,
        }  # fmt: skip
        file = tmp_path / "gorb.machine"
        with tarfile.open(file, "w") as tar:
            named = [(carry.MANIFEST, json.dumps(body).encode()), *contents.items()]
            for name, data in members or named:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return file

    return write


def refused(file, words):
    with pytest.raises(UsageError, match=words):
        carry.import_file(file)
    assert not list(store.root().glob("imported-*"))
    assert not list(store.root().glob("tmp-*"))


@pytest.fixture
def with_disk(contents, tmp_path):
    """Give the machine a disk that qemu-img made."""

    def make(*options):
        disk = tmp_path / "made.qcow2"
        command = ["qemu-img", "create", "-q", "-f", "qcow2", *options[:-1], disk, options[-1]]
        try:
            subprocess.run(command, check=True)
        except FileNotFoundError:
            pytest.skip("qemu-img is not installed (qemu-utils)")
        contents[carry.DISK] = disk.read_bytes()

    return make


def test_a_machine_is_imported_and_its_lab_begins_with_it(archive, with_disk, monkeypatch):
    with_disk("1M")
    found = carry.import_file(archive())
    assert (found.system, found.lab) == (DEFAULT.name, "gorb")
    lab = load_lab(find_lab("gorb"))
    state = lab_states.states(lab)["docker"]
    assert state.parent is None
    assert (state.imported / debian.DISK).stat().st_size == 1 << 20
    assert (state.imported / "id_ed25519").stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(accelerator, "QEMU", "true")
    monkeypatch.setenv("LABWRIGHT_ACCEL", "tcg")
    assert state.imported in states.in_cache([state])


def test_a_damaged_file_leaves_the_machine_that_was_imported_before(archive, with_disk):
    with_disk("1M")
    carry.import_file(archive())
    (before,) = store.root().glob("imported-*")
    identity = store.identity(before)
    file = archive()
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(UsageError, match="damaged"):
        carry.import_file(file)
    assert store.is_intact(before)
    assert store.identity(before) == identity
    assert [path for path in store.root().iterdir() if "incoming" in path.name] == []


def test_a_machine_of_another_architecture_is_refused(archive):
    refused(archive(architecture="aarch64"), "a machine for aarch64.*for x86_64")


def test_a_changed_byte_is_noticed(archive, contents):
    file = archive()
    data = bytearray(file.read_bytes())
    data[data.index(b"initramfs" * 20)] ^= 1
    file.write_bytes(data)
    refused(file, "damaged: the checksum of initramfs is wrong")


@pytest.mark.parametrize("kept", [0, 100, 700, 3000, 6000])
def test_a_file_that_is_cut_off_is_refused(archive, kept):
    file = archive()
    file.write_bytes(file.read_bytes()[:kept])
    refused(file, "damaged|no lab machine")


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "vmlinuz2"])
def test_an_archive_writes_nothing_but_a_machines_own_files(archive, contents, name, tmp_path):
    file = archive(files={name: (4, "0" * 64), **dict.fromkeys(carry.FILES, (4, "0" * 64))})
    refused(file, "lists other files than a machine has")
    members = [(name, b"evil") for _ in range(6)]
    refused(archive(members), "is not a lab machine")
    good = archive()
    with tarfile.open(good) as tar:
        first = tar.extractfile(carry.MANIFEST).read()
    refused(archive([(carry.MANIFEST, first), *members]), "not in the right place")
    assert not (tmp_path / "evil").exists()


def test_a_link_in_the_place_of_a_file_is_refused(archive, tmp_path):
    file = archive()
    with tarfile.open(file) as tar:
        first = tar.extractfile(carry.MANIFEST).read()
    with tarfile.open(file, "w") as tar:
        entry = tarfile.TarInfo(carry.MANIFEST)
        entry.size = len(first)
        tar.addfile(entry, io.BytesIO(first))
        link = tarfile.TarInfo(carry.FILES[0])
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    refused(file, "not in the right place")


@pytest.mark.parametrize(
    "manifest",
    [{"files": 1}, {"files": {"vmlinuz": 1}}, {"lab": "../x"}, {"lab": 7}, {"surplus": 1}],
)
def test_a_manifest_that_makes_no_sense_is_refused(archive, manifest):
    refused(archive(**manifest), "damaged")


def test_a_system_that_is_not_known_is_refused(archive):
    refused(archive(system="debian-99"), "a system that is not known here: 'debian-99'")


def test_a_disk_that_stands_on_a_file_of_this_computer_is_refused(archive, with_disk):
    with_disk("-b", "/etc/passwd", "-F", "raw", "1M")
    refused(archive(), "its disk refers to another file")


def test_a_disk_that_is_larger_than_a_machines_is_refused(archive, with_disk):
    with_disk("1T")
    refused(archive(), "its disk is larger")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    refused(tmp_path / "none", "cannot be imported: No such file")
