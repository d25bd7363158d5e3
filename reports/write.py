"""Writes a score and its reports into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.host.files import write_text
from labwright.reports import html, junit

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.score import Score


def write(score: Score, directory: Path) -> list[Path]:
    """Write ``score.json``, ``report.html`` and ``junit.xml``, and return their paths.

    Each file is written atomically. The score is written first: if another file fails, it can be
    rendered again from the score.

    :raises SetupError: the folder or a file cannot be written.
    """
    return [
        write_json(score, directory / "score.json"),
        write_text(directory / "report.html", html.render(score)),
        write_text(directory / "junit.xml", junit.render(score)),
    ]


def write_json(score: Score, path: Path) -> Path:
    """Write the score itself, and return its path.

    :raises SetupError: it cannot be written.
    """
    return write_text(path, score.to_json())
