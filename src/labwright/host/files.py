"""Writes files atomically: after a crash, a file is either the old one or the new one."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from labwright.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def write_text(path: Path, text: str, *, derived: bool = False) -> Path:
    """Write a file of text in UTF-8, as :func:`write_bytes` does, and return where it is.

    Halves of surrogate pairs, which UTF-8 cannot hold, are spelled out: ``\\ud800``.

    :param derived: the file can be made again, so there is no fsync: waiting for the disk
        takes longer than making thousands of such files.
    :raises SetupError: the file cannot be written.
    """
    return write_bytes(path, text.encode("utf-8", "backslashreplace"), derived=derived)


def write_bytes(path: Path, data: bytes, *, derived: bool = False) -> Path:
    """Write a file atomically, and return its path.

    The folder is created if needed. If the path is a symbolic link, its target is replaced. If it
    is not a regular file (a pipe, a terminal, ``/dev/null``), the data is written to it.

    :raises SetupError: the file cannot be written.
    """
    try:
        place = path.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not place.is_file():
            place.write_bytes(data)
        else:
            _replace(place, data, derived=derived)
    except (OSError, RuntimeError, ValueError) as problem:
        raise _cannot(path, problem) from problem
    return path


def append_text(path: Path, text: str) -> Path:
    """Append to a file, which is created if needed, and return its path.

    :raises SetupError: the file cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except (OSError, ValueError) as problem:
        raise _cannot(path, problem) from problem
    return path


def _cannot(path: Path, problem: Exception) -> SetupError:
    why = getattr(problem, "strerror", None) or problem
    return SetupError(f"cannot write {path}: {why}; free some space there or choose another place")


def _replace(path: Path, data: bytes, *, derived: bool) -> None:
    beside = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        beside.unlink(missing_ok=True)
        # "x": fails if the name exists, so another user's link is never followed.
        with beside.open("xb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            if not derived:
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
