"""Temporary folders that do not outlive who made them: not even one that was killed.

Each is locked for as long as its maker lives. Whoever makes the next one removes those
whose lock is free. Short, and not under a long TMPDIR: sockets are put into them, and a
socket's path holds 108 characters at most.
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
"""A file in each: people call folders of their own alike, and would lose them."""
SETTLED_S = 10.0
"""Seconds after which one without a lock is not one that is just being made."""


class Scratch:
    """A temporary folder; use it as a context, or close it."""

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
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        """Return where it is."""
        return self.path

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Remove it."""
        self.close()


def sweep() -> None:
    """Remove those of our own that were left behind."""
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
        except BlockingIOError:  # its maker is at work
            continue
        finally:
            os.close(handle)
