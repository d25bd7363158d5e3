"""Writes the outputs of a class, also of a grading that was interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.batch import flags, gradebook, platforms, student_pages
from labwright.batch.gradebook import Row
from labwright.batch.rule import Grade
from labwright.batch.task import Identity
from labwright.host.files import write_text
from labwright.reports import class_page
from labwright.reports.class_page import ClassRow
from labwright.reports.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from labwright.batch.folder import Folder
    from labwright.batch.grading import Grading
    from labwright.batch.platforms import Assignment
    from labwright.batch.record import Record
    from labwright.batch.rule import Rule
    from labwright.lab.model import Lab


@dataclass(frozen=True)
class Book:
    """What was written."""

    files: list[Path]
    summary: str
    notes: tuple[str, ...] = ()
    """What is to be known of the machines, and of the platforms' files."""


def rows_of(grading: Grading, rule: Rule) -> list[Row]:
    """Return each student of the roster with their result."""
    identities = {id: record.identity for id, record in grading.records.items()}
    found: dict[str, list[str]] = {}
    machines = sum(identity != Identity() for identity in identities.values())
    for flag in flags.find(grading.students, identities):
        for id in () if flags.of_an_image(flag, machines) else flag.students:
            said = f"{flag.what} as {flags.named(flag.students, id)}"
            found.setdefault(id, []).append(said)
    for id, copied in flags.copies(grading.records).items():
        found.setdefault(id, []).append(f"a record that {copied} has, too")
    rows = []
    for student in grading.students:
        record = grading.records[student.id]
        score = record.score
        grade = rule(student, score) if score and record.graded else Grade(None)
        rows.append(
            Row(
                student,
                score,
                grade,
                record.problem,
                (*found.get(student.id, ()), *_findings(record)),
                record.choice.attempt,
                len(record.attempts),
                record.choice.why,
                "; ".join(filter(None, [record.note, record.failed_since])),
            )
        )
    return rows


def image_notes(grading: Grading) -> list[str]:
    """Say what most machines have in common, and nobody is flagged for."""
    identities = {id: record.identity for id, record in grading.records.items()}
    machines = sum(identity != Identity() for identity in identities.values())
    return [
        f"{len(flag.students)} of {plural(machines, 'machine')} have {flag.what}, as machines of "
        "one image do: nobody is flagged for it"
        for flag in flags.find(grading.students, identities)
        if flags.of_an_image(flag, machines)
    ]


def _findings(record: Record) -> list[str]:
    """Return what is unusual about what a student handed in."""
    return [
        f"attempt {a.number}: {said}" for a in record.attempts if not a.of for said in a.findings
    ]


def _shown(row: Row) -> ClassRow:
    student, points = row.student, row.grade.points
    report = f"students/{student.id}/report.html" if row.score else ""
    return ClassRow(student.id, student.name, row.score, points, row.remark, row.flags, report)


def _written(folder: Folder) -> Iterator[str]:
    """Yield the platforms for which something was written before."""
    for platform in ("moodle", "canvas"):
        if (folder.path / f"{platform}.csv").exists():
            yield platform
    if next((folder.path / "students").glob("*/results.json"), None):
        yield "gradescope"


def write(
    grading: Grading,
    lab: Lab,
    folder: Folder,
    rule: Rule,
    wanted: Iterable[str],
    assignment: Assignment,
) -> Book:
    """Write the class's files, and say in a sentence how it went.

    A platform's file that is there already is written again, too: else it would show old grades.

    :param wanted: of :data:`labwright.batch.platforms.NAMES`.
    """
    wanted = {*wanted, *_written(folder)}
    rows = rows_of(grading, rule)
    steps = [step.id for step in lab.steps]
    page = class_page.render(lab.title, [_shown(row) for row in rows])
    for row in rows:
        student_pages.write(folder, row)
    files = [
        write_text(folder.path / "gradebook.csv", gradebook.general(rows, steps)),
        write_text(folder.path / "index.html", page),
    ]
    notes = image_notes(grading)
    for name, make in (("moodle", platforms.moodle), ("canvas", platforms.canvas)):
        if name in wanted:
            made = make(rows, lab.title, assignment)
            files.append(write_text(folder.path / made.name, made.text))
            notes += [made.summary] if made.summary else []
    if "gradescope" in wanted:
        for row in rows:
            place = folder.student(row.student.id) / "results.json"
            write_text(place, platforms.gradescope(row), derived=True)
        files.append(folder.path / "students")
    graded = sum(row.grade.points is not None for row in rows)
    flagged = sum(bool(row.flags) for row in rows)
    summary = f"{graded} of {plural(len(rows), 'student')} graded"
    if flagged:
        summary += f"; {flagged} to be looked at, see index.html"
    return Book(files, summary, tuple(notes))
