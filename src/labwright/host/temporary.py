"""Temporary folders that are removed even if the process that made them was killed.

The process locks its folder as long as it lives. The next process that makes a folder removes
those without a lock. The paths are short and ignore TMPDIR: they contain sockets, and the path
of a socket has at most 108 characters.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError

if TYPE_CHECKING:
    from types import TracebackType

PLACE = Path("/tmp")  # noqa: S108  each is made by mkdtemp, for its maker alone
PREFIX = "labwright-"
MARK = ".labwright-scratch"
"""A file in each folder, so that other folders with a similar name are never removed."""
SETTLED_S = 10.0
"""Seconds. A younger folder without a lock may still be in creation."""


class Scratch:
    """A temporary folder; a context manager, or call :meth:`close`."""

    def __init__(self) -> None:
        sweep()
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            (self.path / MARK).touch()
        except OSError as problem:
            raise SetupError(
                f"no temporary folder can be made in {PLACE}: {problem.strerror}"
            ) from None

    def close(self) -> None:
        """Remove the folder and its content."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        """Return the folder's path."""
        return self.path

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Remove the folder."""
        self.close()


def sweep() -> None:
    """Remove the folders that killed processes have left."""
    for path in (mark.parent for mark in PLACE.glob(f"{PREFIX}*/{MARK}")):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            found = os.fstat(handle)
            if found.st_uid != os.getuid() or time.time() - found.st_mtime < SETTLED_S:
                continue
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # in use
            continue
        finally:
            os.close(handle)
