"""Where images, states and machines are kept, and who may touch them.

Everything is made under a temporary name and renamed when it is whole, with a note of the
sizes and checksums of its files: what is there under its own name is complete. What was cut
off later is noticed at once by its size; the checksums are compared when something does not
work. Locks are flock's: they end with the process that holds them, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.errors import LabwrightError, SetupError
from labwright.host.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTE = "complete.json"
DURATIONS = "durations.json"
"""How long each kind of thing took to make here."""
NEEDED_BYTES = 2 << 30
"""Room that making one thing takes, at most."""
FULL_BYTES = 64 << 20
"""A disk with less left than this is taken to be what made something fail."""
BLOCK = 1 << 20


def root() -> Path:
    """Return the folder of the cache: ``LABWRIGHT_CACHE``, or where caches belong here."""
    named = os.environ.get("LABWRIGHT_CACHE")
    folder = Path(named) if named else _usual_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise SetupError(
            f"{folder} cannot be made ({problem.strerror}): set LABWRIGHT_CACHE to another folder"
        ) from None
    return folder.resolve()


def _usual_folder() -> Path:
    from platformdirs import user_cache_path  # not there yet when the launcher begins

    return user_cache_path("labwright")


def key(*parts: str) -> str:
    """Return a short name for what went into something."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def locked(name: str, waiting: str) -> Iterator[None]:
    """Hold a lock of the cache; say so when another has it."""
    path = root() / f"{name}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_complete(folder: Path) -> bool:
    """Whether all files are there with the sizes that they had when they were made."""
    try:
        files = _note(folder)["files"]
        return all((folder / name).stat().st_size == size for name, (size, _) in files.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def is_intact(folder: Path) -> bool:
    """Whether all files hold what they held when they were made; takes seconds."""
    if not is_complete(folder):
        return False
    files = _note(folder)["files"]
    return all(checksum_of(folder / name) == checksum for name, (_, checksum) in files.items())


def identity(folder: Path) -> str:
    """Return what distinguishes this very thing from another one made of the same parts.

    A state fits only the very disk that it was made on: this goes into its key.
    """
    return str(_note(folder)["identity"])


def ensure(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made first if it is not there or not whole.

    :param make: fills a temporary folder.
    :raises SetupError: the disk is full.
    """
    folder = root() / name
    if is_complete(folder):
        return folder
    with locked("build", "waiting: a lab machine is already being built"):
        if is_complete(folder):
            return folder
        if folder.exists():
            say(f"{folder} is damaged and is made again")
            shutil.rmtree(folder)
        sweep()
        _require_room(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=root()))
        temporary.chmod(0o755)
        start = time.monotonic()
        try:
            make(temporary)
            _write_note(temporary)
            temporary.rename(folder)
            _note_duration(name, time.monotonic() - start)
        except (OSError, subprocess.CalledProcessError, LabwrightError) as problem:
            full = isinstance(problem, OSError) and problem.errno == errno.ENOSPC
            if full or shutil.disk_usage(folder.parent).free < FULL_BYTES:
                shutil.rmtree(temporary, ignore_errors=True)
                raise no_room(folder.parent) from None
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def last_s(name: str) -> float | None:
    """Return how many seconds it took to make the last thing of a kind, if there was one."""
    try:
        return float(json.loads((root() / DURATIONS).read_text())[_kind(name)])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _note_duration(name: str, seconds: float) -> None:
    """Note it for the next time; only for who holds the lock ``build``."""
    path = root() / DURATIONS
    try:
        noted = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        noted = {}
    noted[_kind(name)] = round(seconds, 1)
    path.write_text(json.dumps(noted))


def _kind(name: str) -> str:
    return name.rpartition("-")[0]


def sweep() -> int:
    """Remove what builds that were killed have left; return how many bytes that freed.

    Only for who holds the lock ``build``.
    """
    return sum(remove(left) for left in root().glob("tmp-*"))


def remove(folder: Path) -> int:
    """Remove a folder of the cache; return how many bytes of disk that freed."""
    freed = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    shutil.rmtree(folder, ignore_errors=True)
    return freed


def _note(folder: Path) -> Any:
    return json.loads((folder / NOTE).read_text())


def _write_note(folder: Path) -> None:
    files = {path.name: (path.stat().st_size, checksum_of(path)) for path in folder.iterdir()}
    note = {"identity": secrets.token_hex(8), "files": files}
    (folder / NOTE).write_text(json.dumps(note))


def checksum_of(path: Path) -> int:
    """Return a checksum of a file's blocks that are not all zero: holes cost nothing."""
    checksum = offset = 0
    zeros = bytes(BLOCK)
    with path.open("rb", buffering=0) as file:
        while block := _next_block(file.fileno(), offset):
            offset, data = block
            if data != zeros[: len(data)]:
                checksum = zlib.crc32(data, zlib.crc32(offset.to_bytes(8), checksum))
            offset += BLOCK
    return checksum


def _next_block(file: int, offset: int) -> tuple[int, bytes] | None:
    """Return the place and the bytes of the first block at or after an offset with any data."""
    try:
        offset = os.lseek(file, offset, os.SEEK_DATA) // BLOCK * BLOCK
    except OSError as problem:
        if problem.errno == errno.ENXIO:  # only a hole is left
            return None
        raise
    return offset, os.pread(file, BLOCK, offset)


def _require_room(folder: Path) -> None:
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise no_room(folder)


def no_room(folder: Path) -> SetupError:
    """Return the error for a disk that is full."""
    free = shutil.disk_usage(folder).free / (1 << 30)
    return SetupError(
        f"the disk of {folder} has {free:.1f} GiB left, and the lab machine needs about "
        f"{NEEDED_BYTES >> 30}: free some (`labwright vm prune`) or set LABWRIGHT_CACHE"
    )
