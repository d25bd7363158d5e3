"""Writes what becomes of a score into a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.reports import html, junit

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.score import Score


def write(score: Score, directory: Path) -> list[Path]:
    """Write ``score.json``, ``report.html`` and ``junit.xml``, and return where they are.

    Each file is either the old one or the whole new one, whatever happens meanwhile. The
    score comes first: whatever may be wrong with the others, it can be rendered again.

    :raises SetupError: the folder or a file cannot be written.
    """
    return [
        write_json(score, directory / "score.json"),
        write_text(directory / "report.html", html.render(score)),
        write_text(directory / "junit.xml", junit.render(score)),
    ]


def write_json(score: Score, path: Path) -> Path:
    """Write the score itself, and return where.

    :raises SetupError: it cannot be written.
    """
    return write_text(path, score.to_json())


def append_text(path: Path, text: str) -> Path:
    """Add to the end of a file, which is made where there is none.

    :raises SetupError: it cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as problem:
        raise SetupError(f"cannot write {path}: {problem.strerror}") from problem
    return path


def write_text(path: Path, text: str) -> Path:
    """Write one file, all of it or nothing, and make its folder where there is none.

    Halves of surrogate pairs, which UTF-8 cannot hold, are spelled out: ``\\ud800``.

    :raises SetupError: it cannot be written.
    """
    whole = text.encode("utf-8", "backslashreplace")
    try:
        # A link is kept, and what it leads to replaced.
        place = path.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not place.is_file():
            place.write_bytes(whole)  # a pipe, a terminal, /dev/null: there is no half of it
        else:
            _replace(place, whole)
    except (OSError, RuntimeError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise SetupError(
            f"cannot write {path}: {why}; free some space there or choose another folder"
        ) from problem
    return path


def _replace(path: Path, whole: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # "x": another's file or link of that name is not followed.
        beside.unlink(missing_ok=True)
        with beside.open("xb") as file:
            file.write(whole)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
