"""Writes a score and its reports into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.host.files import write_text
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
