"""Packs the students' reports for handing back: a folder, or a zip for Moodle or Gradescope.

Moodle's "upload multiple feedback files in a zip" (``mod/assign/feedback/file/importziplib.php``)
finds a student by the second part of a folder's name, ``Ann Ames_4242_assignfeedback_file``:
the participant number of the grading worksheet. Gradescope cannot import reports, so the zip is
an autograder that returns the finished results of each student.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.batch import gradebook_platforms, student_pages
from labwright.errors import SetupError
from labwright.host.files import write_text
from labwright.reports import html
from labwright.reports.wording import listed, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from labwright.batch.folder import Folder
    from labwright.batch.gradebook import Row
    from labwright.batch.student import Student

FORMS = ("folder", "moodle", "gradescope")
WHEN = (2000, 1, 1, 0, 0, 0)
"""The time of all files in a zip, so that equal reports give an identical zip."""
FEW = 8

SETUP = """\
#!/usr/bin/env bash
command -v python3 >/dev/null || { apt-get update && apt-get install --yes python3; }
"""
RUN = '''\
#!/usr/bin/env python3
"""Returns the results that labwright made earlier; nothing of the submission is run."""
import hashlib, json, os, pathlib

root = pathlib.Path(os.environ.get("AUTOGRADER", "/autograder"))
users = json.loads((root / "submission_metadata.json").read_text()).get("users", [])
emails = [str(user.get("email", "")).strip().lower() for user in users]
names = [hashlib.sha256(email.encode()).hexdigest() + ".json" for email in emails]
found = [path for path in (root / "source" / "results" / name for name in names) if path.exists()]
nothing = {"output": "There is no result for " + ", ".join(emails), "tests": []}
text = found[0].read_text() if found else json.dumps(nothing)
(root / "results").mkdir(exist_ok=True)
(root / "results" / "results.json").write_text(text)
'''


@dataclass(frozen=True)
class Report:
    """The report for one student."""

    student: Student
    page: Callable[[], str | None]
    """Returns the report's HTML, or None if there is none."""
    results: Callable[[], str | None]
    """Returns the results in Gradescope's format, or None."""


@dataclass(frozen=True)
class HandedOut:
    """The file or folder that was written, and the students who are not in it."""

    path: Path
    count: int
    left_out: dict[str, str]

    def __str__(self) -> str:
        """Return it as a sentence."""
        said = f"written: {self.path}: {plural(self.count, 'report')}"
        by_reason: dict[str, list[str]] = {}
        for id, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(id)
        for reason, ids in by_reason.items():
            more = [f"{len(ids) - FEW} more"] if len(ids) > FEW else []
            said += f"; {len(ids)} left out, {reason} ({listed([*ids[:FEW], *more])})"
        return said


def of_rows(folder: Folder, rows: Sequence[Row]) -> list[Report]:
    """Return the reports of one lab of a course, with the course's remarks."""

    def report(row: Row) -> Report:
        return Report(
            row.student,
            lambda: _page(folder, row),
            lambda: gradebook_platforms.gradescope(row) if row.score else None,
        )

    return [report(row) for row in rows]


def _page(folder: Folder, row: Row) -> str | None:
    score = student_pages.whole_score(folder, row)
    return html.render(score, student_pages.about(row)) if score else None


def of_class(folder: Folder) -> list[Report]:
    """Return the reports that are in a class's folder.

    :raises UsageError: it is not the folder of a class.
    """

    def read(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def report(student: Student) -> Report:
        place = folder.student(student.id)
        return Report(
            student,
            lambda: read(place / "report.html"),
            lambda: read(place / "results.json"),
        )

    return [report(student) for student in folder.roster()]


def write(reports: Sequence[Report], form: str, out: Path, name: str) -> HandedOut:
    """Write the reports.

    :param form: one of :data:`FORMS`.
    :param name: the name of the lab.
    :raises SetupError: it cannot be written.
    """
    left_out: dict[str, str] = {}
    if form == "folder":
        count = 0
        for report in reports:
            page = report.page()
            if page is None:
                left_out[report.student.id] = "without a report"
                continue
            write_text(out / name / f"{report.student.id}.html", page, derived=True)
            count += 1
        return HandedOut(out / name, count, left_out)
    files = _moodle if form == "moodle" else _gradescope
    path = out / f"{form}-{name}.zip"
    count = _zip(path, files(reports, left_out))
    return HandedOut(path, count, left_out)


def _zip(path: Path, files: Iterator[tuple[str, str, bool]]) -> int:
    """Write a zip atomically; return the number of reports in it."""
    beside = path.with_name(f".{path.name}.tmp")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text, runs in files:
                info = zipfile.ZipInfo(name, WHEN)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (0o755 if runs else 0o644) << 16
                archive.writestr(info, text.encode("utf-8", "backslashreplace"))
                count += not runs
        beside.replace(path)
    except OSError as problem:
        raise SetupError(f"cannot write {path}: {problem.strerror}") from problem
    finally:
        beside.unlink(missing_ok=True)
    return count


def _moodle(reports: Sequence[Report], left_out: dict[str, str]) -> Iterator[tuple[str, str, bool]]:
    holders = Counter(report.student.extra.get("participant", "").lstrip("0") for report in reports)
    for report in reports:
        number = report.student.extra.get("participant", "")
        if number and holders[number.lstrip("0")] > 1:
            left_out[report.student.id] = "whose participant number another student has as well"
            continue
        if not (number.isascii() and number.isdigit()):
            left_out[report.student.id] = "without Moodle's participant number in the roster"
            continue
        page = report.page()
        if page is None:
            left_out[report.student.id] = "without a report"
            continue
        # Moodle splits the name at each underscore, and a slash would make a folder.
        name = re.sub(r"[_/\\:*?\"<>|.]+", " ", line(report.student.name or report.student.id, 80))
        yield f"{name.strip()}_{number}_assignfeedback_file/report.html", page, False


def _gradescope(
    reports: Sequence[Report], left_out: dict[str, str]
) -> Iterator[tuple[str, str, bool]]:
    yield "setup.sh", SETUP, True
    yield "run_autograder", RUN, True
    holders = Counter(report.student.email.strip().lower() for report in reports)
    for report in reports:
        email = report.student.email.strip().lower()
        if email and holders[email] > 1:
            left_out[report.student.id] = "whose email address another student has as well"
            continue
        results = report.results() if email else None
        if results is None:
            reason = "without an email address" if not email else "without a result for Gradescope"
            left_out[report.student.id] = reason
            continue
        body = json.loads(results)
        yield (
            f"results/{hashlib.sha256(email.encode()).hexdigest()}.json",
            json.dumps(body, indent=1) + "\n",
            False,
        )
