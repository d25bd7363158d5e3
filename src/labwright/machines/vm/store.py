"""Where images, states and machines are kept, and who may touch them.

Everything is made under a temporary name and renamed when it is whole, with a note of the
sizes of its files: what is there under its own name is complete, and what was cut off later
is noticed. Locks are flock's: they end with the process that holds them, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from labwright.errors import SetupError
from labwright.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTE = "complete.json"
NEEDED_BYTES = 5 << 30


def root() -> Path:
    """Return the folder of the cache: ``LABWRIGHT_CACHE``, or where caches belong here."""
    named = os.environ.get("LABWRIGHT_CACHE")
    folder = Path(named) if named else user_cache_path("labwright")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise SetupError(
            f"{folder} cannot be made ({problem.strerror}): set LABWRIGHT_CACHE to another folder"
        ) from None
    return folder.resolve()


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
        sizes = json.loads((folder / NOTE).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def ensure(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made first if it is not there or not whole.

    :param make: fills a temporary folder.
    :raises SetupError: the disk is full.
    """
    folder = root() / name
    if is_complete(folder):
        return folder
    with locked("build", "waiting for another labwright that builds the lab machine"):
        if is_complete(folder):
            return folder
        if folder.exists():
            say(f"{folder} is damaged and is made again")
            shutil.rmtree(folder)
        for left in root().glob("tmp-*"):  # of a build that was killed: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        _require_room(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=root()))
        temporary.chmod(0o755)
        try:
            make(temporary)
            sizes = {path.name: path.stat().st_size for path in temporary.iterdir()}
            (temporary / NOTE).write_text(json.dumps(sizes))
            temporary.rename(folder)
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise no_room(folder.parent) from None
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


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
