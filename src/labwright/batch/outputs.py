"""Writes the output files of a class, also after an interrupted grading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.batch import gradebook, gradebook_platforms, similar_machines, student_pages
from labwright.batch.grade_rule import Grade
from labwright.batch.gradebook import Row
from labwright.batch.task import Identity
from labwright.host.files import write_text
from labwright.reports import class_page
from labwright.reports.class_page import ClassRow
from labwright.reports.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from labwright.batch.folder import Folder
    from labwright.batch.grade_rule import Rule
    from labwright.batch.gradebook_platforms import Assignment
    from labwright.batch.grading import Grading
    from labwright.batch.record import Record
    from labwright.lab.model import Lab


@dataclass(frozen=True)
class Book:
    """The files that were written, and the summary to print."""

    files: list[Path]
    summary: str
    notes: tuple[str, ...] = ()
    """Notes about the machines and the platforms' files."""


def rows_of(grading: Grading, rule: Rule) -> list[Row]:
    """Return the gradebook's rows: the students of the roster with their results."""
    identities = {id: record.identity for id, record in grading.records.items()}
    found: dict[str, list[str]] = {}
    machines = sum(identity != Identity() for identity in identities.values())
    for flag in similar_machines.find(grading.students, identities):
        for id in () if similar_machines.is_from_image(flag, machines) else flag.students:
            said = f"{flag.what} as {similar_machines.named(flag.students, id)}"
            found.setdefault(id, []).append(said)
    for id, copied in similar_machines.copies(grading.records).items():
        found.setdefault(id, []).append(f"{copied} handed in the same record")
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
    """Return notes on what most machines share because they come from one image."""
    identities = {id: record.identity for id, record in grading.records.items()}
    machines = sum(identity != Identity() for identity in identities.values())
    return [
        f"{len(flag.students)} of {plural(machines, 'machine')} have {flag.what}, probably "
        "because they come from one image: nobody is flagged for it"
        for flag in similar_machines.find(grading.students, identities)
        if similar_machines.is_from_image(flag, machines)
    ]


def _findings(record: Record) -> list[str]:
    """Return the findings about what a student handed in."""
    return [
        f"attempt {a.number}: {said}" for a in record.attempts if not a.of for said in a.findings
    ]


def _shown(row: Row) -> ClassRow:
    student, points = row.student, row.grade.points
    report = f"students/{student.id}/report.html" if row.score else ""
    return ClassRow(student.id, student.name, row.score, points, row.remark, row.flags, report)


def _written(folder: Folder) -> Iterator[str]:
    """Yield the platforms for which a file was written earlier."""
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
    """Write the class's files, and return them with a summary.

    A platform's file that already exists is updated, too; otherwise it would show old grades.

    :param wanted: names from :data:`labwright.batch.gradebook_platforms.NAMES`.
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
    for name, make in (
        ("moodle", gradebook_platforms.moodle),
        ("canvas", gradebook_platforms.canvas),
    ):
        if name in wanted:
            made = make(rows, lab.title, assignment)
            files.append(write_text(folder.path / made.name, made.text))
            notes += [made.summary] if made.summary else []
    if "gradescope" in wanted:
        for row in rows:
            place = folder.student(row.student.id) / "results.json"
            write_text(place, gradebook_platforms.gradescope(row), derived=True)
        files.append(folder.path / "students")
    graded = sum(row.grade.points is not None for row in rows)
    flagged = sum(bool(row.flags) for row in rows)
    summary = f"{graded} of {plural(len(rows), 'student')} graded"
    if flagged:
        summary += f"; {flagged} to be looked at, see index.html"
    return Book(files, summary, tuple(notes))
