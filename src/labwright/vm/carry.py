"""A lab machine as one file, which runs on a computer that can only run QEMU.

The file is a tar archive: a manifest, then the machine's disk, kernel, initramfs and keys, each
with its checksum. It holds no memory: a machine is booted once where it is imported, since a
saved memory fits only the very QEMU that saved it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from labwright.errors import SetupError, UsageError
from labwright.host import programs, progress
from labwright.lab.model import DOCKER
from labwright.vm import debian, guest, states, store
from labwright.vm.states import State
from labwright.vm.systems import SYSTEMS

if TYPE_CHECKING:
    from labwright.lab.model import Lab
    from labwright.vm.systems import System

FORMAT = "labwright/machine/v1"
ARCHITECTURE = "x86_64"
MANIFEST = "manifest.json"
LONGEST_MANIFEST = 1 << 16
DISK = "disk.qcow2"
ORIGIN = "origin.json"
"""In the cache, beside the files of an imported machine: its manifest."""
FILES = ("id_ed25519", "host_key.pub", "vmlinuz", "initramfs", DISK)
BLOCK = 1 << 20
PACK_S = 1800.0
"""Seconds in which a disk is packed or unpacked, on a busy computer."""


class Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a file of a machine says of itself."""

    format: str = FORMAT
    architecture: str = ARCHITECTURE
    system: str
    lab: str
    exported: str
    """The day."""
    files: dict[str, tuple[int, str]]
    """Their sizes, and their SHA-256."""


def export(lab: Lab, system: System, state: State, file: Path) -> None:
    """Write a lab's machine, as a student finds it before any step, into a file.

    :raises SetupError: the machine could not be made, or the file not be written.
    """
    saved = states.saved(state)
    place = file.absolute().parent
    try:
        with tempfile.TemporaryDirectory(prefix=".labwright-", dir=place) as name:
            folder = Path(name)
            with progress.step("shutting a machine down and packing its disk", 90):
                states.shut_down(saved, folder)
                _qemu_img("convert", "-c", "-O", "qcow2", folder / "disk.qcow2", folder / "packed")
            sources = {name: saved.debian / name for name in FILES} | {DISK: folder / "packed"}
            manifest = Manifest(
                system=system.name,
                lab=lab.name,
                exported=time.strftime("%Y-%m-%d", time.gmtime()),
                files={name: _measure(path) for name, path in sources.items()},
            )
            (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            with tarfile.open(folder / "tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for name, path in {MANIFEST: folder / MANIFEST, **sources}.items():
                    tar.add(path, name, filter=_anonymous)
            (folder / "tar").rename(file)
    except OSError as problem:
        raise SetupError(f"{file} cannot be written: {problem.strerror or problem}") from None


def import_file(file: Path) -> Manifest:
    """Take a lab's machine from a file into the cache; it replaces an imported one of this lab.

    :raises UsageError: the file is no machine, is damaged, or is one for another computer.
    """
    programs.require(states.PROGRAMS)
    try:
        with file.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            manifest = _manifest(file, tar)
            folder = place(manifest.lab, SYSTEMS[manifest.system])
            _require_unused(folder)
            with progress.step(f"importing {manifest.system} of the lab {manifest.lab}", 30):
                # The one that is there goes only when the new one is whole.
                incoming = store.root() / f"incoming-{folder.name}"
                store.remove(incoming)
                store.ensure(incoming.name, lambda new: _take(file, tar, manifest, new))
                store.remove(folder)
                incoming.rename(folder)
            return manifest
    except tarfile.TarError:
        raise _damaged(file, "it is truncated, or not a file of `labwright vm export`") from None
    except OSError as problem:
        raise UsageError(f"{file} cannot be imported: {problem.strerror or problem}") from None


def find(lab: Lab, system: System) -> Path | None:
    """Return where an imported machine of a lab is, if there is one."""
    folder = place(lab.name, system)
    return folder if store.is_complete(folder) else None


def place(lab: str, system: System) -> Path:
    """Return where a lab's imported machine is in the cache, or would be."""
    return store.root() / f"imported-{system.name}-{lab}"


def imported_state(folder: Path, system: System) -> State:
    """Return the state of an imported machine: there is nothing to do but to boot it."""
    return State(DOCKER, system, None, "imported", lambda _: None, 30, imported=folder)


def _require_unused(folder: Path) -> None:
    users = [one.name for one in guest.running() if folder.name in one.stands_on]
    if users:
        raise UsageError(
            f"the machine {users[0]} runs on the imported machine that this one would replace: "
            f"labwright vm down {users[0]}"
        )


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as stream:
        return path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _damaged(file: Path, how: str) -> UsageError:
    return UsageError(f"{file} is damaged: {how}; copy it again")


def _manifest(file: Path, tar: tarfile.TarFile) -> Manifest:
    """Read the manifest, which comes first, and refuse what does not run here."""
    entry = tar.next()
    if entry is None or entry.name != MANIFEST or entry.size > LONGEST_MANIFEST:
        raise UsageError(f"{file} is not a lab machine: `labwright vm export` writes such files")
    stream = tar.extractfile(entry)
    try:
        manifest = msgspec.json.decode(stream.read() if stream else b"", type=Manifest)
    except msgspec.DecodeError as problem:
        raise _damaged(file, f"its manifest cannot be read ({str(problem)[:100]})") from None
    if manifest.format != FORMAT:
        raise UsageError(f"{file} was written by another version of labwright: export it again")
    if manifest.architecture != ARCHITECTURE:
        raise UsageError(
            f"{file} is a machine for {manifest.architecture[:20]}, and labwright runs "
            f"machines for {ARCHITECTURE}"
        )
    if manifest.system not in SYSTEMS:
        raise UsageError(f"{file} has a system that is not known here: {manifest.system!r:.60}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", manifest.lab) or len(manifest.lab) > 60:
        raise _damaged(file, "its manifest names no lab")
    if sorted(manifest.files) != sorted(FILES):
        raise _damaged(file, "its manifest lists other files than a machine has")
    return manifest


def _take(file: Path, tar: tarfile.TarFile, manifest: Manifest, new: Path) -> None:
    """Write the files of a machine into a folder. Their names are ours, not the archive's."""
    for name in FILES:
        entry = tar.next()
        size, digest = manifest.files[name]
        if entry is None or entry.name != name or not entry.isfile():
            raise _damaged(file, f"{name} is not in the right place")
        if entry.size != size:
            raise _damaged(file, f"{name} has another size than its manifest says")
        stream = tar.extractfile(entry)
        if stream is None or _copy(stream, new / name) != digest:
            raise _damaged(file, f"the checksum of {name} is wrong")
    (new / "id_ed25519").chmod(0o600)
    disk = new / DISK
    _require_own_disk(file, disk)
    _qemu_img("convert", "-f", "qcow2", "-O", "raw", disk, new / debian.DISK)
    disk.unlink()
    (new / debian.DISK).chmod(0o444)
    (new / ORIGIN).write_bytes(msgspec.json.encode(manifest))


def _copy(source: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while block := source.read(BLOCK):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _require_own_disk(file: Path, disk: Path) -> None:
    """Refuse a disk that would show a file of this computer to the machine, or fill its disk."""
    info = json.loads(_qemu_img("info", "-f", "qcow2", "--output=json", disk))
    details = info.get("format-specific", {}).get("data", {})
    if "backing-filename" in info or "data-file" in details:
        raise UsageError(f"{file} is refused: its disk refers to another file")
    if info.get("virtual-size", 0) > debian.DISK_BYTES:
        raise UsageError(f"{file} is refused: its disk is larger than a lab machine's")


def _qemu_img(*arguments: str | Path) -> str:
    command = ["qemu-img", *map(str, arguments)]
    done = programs.run(command, PACK_S, capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"qemu-img: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return str(done.stdout)
