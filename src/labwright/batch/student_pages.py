"""Writes the files for each student: the report of the attempt that counts.

A report is written again only if something has changed.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from labwright.errors import LabwrightError
from labwright.host.files import write_text
from labwright.reports import html, junit
from labwright.reports.wording import number, when
from labwright.score import Score

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.batch.folder import Folder
    from labwright.batch.gradebook import Row

STAMP = ".made-from"
FILES = ("score.json", "junit.xml", "report.html")
FORMAT = 1
"""Increase it when the pages' format changes; then all pages are written again."""


def about(row: Row) -> list[tuple[str, str]]:
    """Return the report's heading: student, attempt, and how the grade was computed."""
    said = [("Student", f"{row.student.name} ({row.student.id})" if row.student.name else row.id)]
    grade = "none yet" if row.grade.points is None else number(row.grade.points)
    if row.grade.points is not None and row.max_points:
        grade += f" of {number(row.max_points)}"
    said.append(("Grade", grade))
    if row.attempt:
        many = f"{row.attempt.number} of {row.attempts}: {row.why}"
        said.append(("Attempt", many))
        if row.attempt.made:
            said.append(("Made", when(row.attempt.made)))
    if row.remark:
        said.append(("Remark", row.remark))
    return said


def write(folder: Folder, row: Row) -> bool:
    """Write a student's report, score and JUnit file; return whether anything was written.

    :raises SetupError: it cannot be written.
    """
    place = folder.student(row.id)
    if row.score is None:
        return False
    told = about(row)
    digest = row.attempt.digest if row.attempt else ""
    made_from = json.dumps([FORMAT, digest, [s.outcome for s in row.score.steps], told])
    stamp = hashlib.sha256(made_from.encode("utf-8", "backslashreplace")).hexdigest()
    if _read(place / STAMP) == f"{stamp}{_sizes(place)}":
        return False
    text = _whole_text(folder, row)
    score = whole_score(folder, row) or row.score
    # The saved text: serialising the score again takes as long as making the report.
    write_text(place / "score.json", text or score.to_json(), derived=True)
    write_text(place / "junit.xml", junit.render(score), derived=True)
    write_text(place / "report.html", html.render(score, told), derived=True)
    write_text(place / STAMP, f"{stamp}{_sizes(place)}", derived=True)
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sizes(place: Path) -> str:
    """Return a stamp that changes when somebody changes or removes a file."""
    said = ""
    for name in FILES:
        try:
            found = (place / name).stat()
        except OSError:
            return ""
        said += f" {found.st_size} {found.st_mtime_ns}"
    return said


def _whole_text(folder: Folder, row: Row) -> str | None:
    """Return the text of the score with its record."""
    if row.attempt is None or not row.attempt.digest:
        return None
    return folder.score_text(row.id, row.attempt.number, row.attempt.digest)


def whole_score(folder: Folder, row: Row) -> Score | None:
    """Return the score with its record."""
    text = _whole_text(folder, row)
    try:
        return Score.from_json(text) if text else None
    except LabwrightError:
        return None
