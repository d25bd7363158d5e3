"""Reads the labs of a course from the classes' folders, and writes the course's files.

The classes' folders are not changed: the course's files are made from their journals.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from labwright.batch import gradebook_platforms
from labwright.batch.course_grades import LabGrade, Rules, Standing, grade, standing
from labwright.batch.folder import Folder
from labwright.batch.grade_rule import Grade
from labwright.batch.gradebook import Row, csv_text
from labwright.batch.gradebook_platforms import Assignment
from labwright.batch.record import from_journal
from labwright.errors import UsageError
from labwright.host.files import write_text
from labwright.reports import course_page
from labwright.reports.course_page import CourseRow, LabCell
from labwright.reports.wording import number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from labwright.batch.course import Course, CourseLab, Override
    from labwright.batch.journal import Attempt
    from labwright.batch.student import Student
    from labwright.score import Score


@dataclass
class ClassOfLab:
    """One lab of a course, with its class's folder, students and attempts."""

    lab: CourseLab
    folder: Folder
    students: dict[str, Student]
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)

    @cached_property
    def most(self) -> float:
        """The lab's maximum, taken from most attempts; 0 if there are none."""
        tops = Counter(a.max_points for each in self.attempts.values() for a in each if a.graded)
        return tops.most_common(1)[0][0] if tops else 0.0

    @property
    def title(self) -> str:
        """The lab's title, or its id."""
        return self.lab.title or self.lab.id


@dataclass(frozen=True)
class Term:
    """A course with all its classes, students, grades and decisions."""

    course: Course
    classes: tuple[ClassOfLab, ...]
    students: dict[str, Student]
    standings: dict[str, Standing]
    overrides: tuple[Override, ...]
    notes: tuple[str, ...] = ()


def read_term(base: Path, course: Course, overrides: Sequence[Override]) -> Term:
    """Read all labs, and compute every student's grades by the course's rules.

    :param base: the folder to which the labs' folders are relative.
    :raises UsageError: a lab's folder is not the folder of a class.
    """
    classes = tuple(_class_of(base, lab) for lab in course.lab)
    students: dict[str, Student] = {}
    for each in classes:
        students.update(each.students)
    notes = [
        f"a decision about {one.student!r}, who is not in the course"
        for one in overrides
        if one.student not in students
    ]
    by_id = {each.lab.id: each for each in classes}
    for one in overrides:
        notes += [f"{one.student}: {said}: {one}" for said in _odd(one, by_id[one.lab])]
    by_both: dict[tuple[str, str], list[Override]] = {}
    for one in overrides:
        by_both.setdefault((one.student, one.lab), []).append(one)
    weights = {lab.id: lab.weight for lab in course.lab}
    standings = {}
    for id in students:
        grades = {}
        for each in classes:
            rules = Rules.of(course, each.lab, by_both.get((id, each.lab.id), ()))
            key = each.students[id].key if id in each.students else ""
            grades[each.lab.id] = grade(each.attempts.get(id, ()), rules, key, each.most)
        standings[id] = standing(grades, weights)
    return Term(course, classes, students, standings, tuple(overrides), tuple(notes))


def _odd(one: Override, each: ClassOfLab) -> Iterator[str]:
    """Yield notes on values of a decision that may be typing errors; it is applied anyway."""
    steps = {
        id: most for a in each.attempts.get(one.student, ()) for id, (*_, most) in a.steps.items()
    }
    graded = [a for a in each.attempts.get(one.student, ()) if a.graded]
    if one.step and steps and one.step not in steps:
        yield "a decision about a step that there is not"
    elif one.step and not graded:
        yield "a decision about a step, where no attempt was graded: it changes nothing"
    elif one.step and (one.points or 0) > steps.get(one.step, math.inf):
        yield f"a decision for more points than the step has, {number(steps[one.step])}"
    if one.attempt is not None and one.attempt not in {n for a in graded for n in (a.number, a.of)}:
        yield "a decision about an attempt that was not graded"
    if each.most and (one.grade or 0) > each.most:
        yield f"a decision for more points than the lab has, {number(each.most)}"


def _class_of(base: Path, lab: CourseLab) -> ClassOfLab:
    folder = Folder(base / lab.folder)
    if not (folder.path / "roster.json").exists():
        # The lab has not been graded yet: nobody has a grade in it.
        if folder.path.exists() and not folder.path.is_dir():
            raise UsageError(f"{folder.path}: not a folder of a class")
        return ClassOfLab(lab, folder, {})
    found = ClassOfLab(lab, folder, {student.id: student for student in folder.roster()})
    for attempt in folder.journal.attempts:
        found.attempts.setdefault(attempt.id, []).append(attempt)
    return found


def write(term: Term, out: Path, wanted: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Write the course's page, gradebook and platform files; return the files and notes."""
    wanted = {*wanted, *(n for n in ("moodle", "canvas") if list(out.glob(f"{n}-*.csv")))}
    files = [
        write_text(out / "gradebook.csv", _gradebook(term)),
        write_text(out / "index.html", _page(term)),
    ]
    notes = [*term.notes]
    for each in term.classes:
        makers = (("moodle", gradebook_platforms.moodle), ("canvas", gradebook_platforms.canvas))
        for name, make in makers:
            if name not in wanted or not each.students:
                continue
            rows = rows_of(term, each)
            assignment = Assignment(each.lab.assignment, each.lab.points, term.course.moodle_by)
            assignment.check()
            made = make(rows, each.title, assignment)
            files.append(write_text(out / f"{name}-{each.lab.id}.csv", made.text))
            notes += [f"{each.lab.id}: {made.summary}"] if made.summary else []
    return files, notes


def rows_of(term: Term, each: ClassOfLab) -> list[Row]:
    """Return the students of a lab with their grades, and the scores behind these grades."""
    rows = []
    for id, student in each.students.items():
        found = term.standings[id].grades[each.lab.id]
        score = _score(each, found)
        rows.append(
            Row(
                student,
                score,
                Grade(found.points, "; ".join(found.remarks)),
                found.problem,
                (),
                found.attempt,
                found.attempts,
                found.why,
                top=found.max_points,
            )
        )
    return rows


def _score(each: ClassOfLab, found: LabGrade) -> Score | None:
    """Return the score that counts; if its file is lost, the part that the journal has."""
    if found.attempt is None:
        return None
    return each.folder.score(found.attempt) or from_journal(found.attempt)


def _gradebook(term: Term) -> str:
    heading = ["id", "name", "email"]
    for lab in term.course.lab:
        heading += [lab.id, f"{lab.id} max", f"{lab.id} attempt", f"{lab.id} remark"]
    table = [[*heading, "total percent", "so far percent"]]
    for id, student in term.students.items():
        row = [id, student.name, student.email]
        found = term.standings[id]
        for lab in term.course.lab:
            one = found.grades[lab.id]
            row.append("" if one.points is None else number(one.points))
            row.append(number(one.max_points) if one.max_points else "")
            row.append(f"{one.attempt.number} of {one.attempts}" if one.attempt else "")
            row.append(one.remark)
        table.append([*row, *(_percent(p) for p in (found.total, found.so_far))])
    return csv_text(table)


def _percent(value: float | None) -> str:
    return "" if value is None else number(round(value, 2))


def _page(term: Term) -> str:
    rows = []
    for id, student in term.students.items():
        found = term.standings[id]
        cells = []
        for lab in term.course.lab:
            one = found.grades[lab.id]
            cells.append(LabCell(one.points, one.max_points, one.share, one.remark, one.why))
        rows.append(CourseRow(id, student.name, tuple(cells), found.total, found.so_far))
    labs = [(each.lab.id, each.title, _about(each)) for each in term.classes]
    decisions = [(one.student, one.lab, str(one)) for one in term.overrides]
    return course_page.render(term.course.title, labs, rows, decisions)


def _about(each: ClassOfLab) -> str:
    due = f"due {each.lab.due:%Y-%m-%d %H:%M}" if each.lab.due else "no date"
    return f"{due}, weight {number(each.lab.weight)}, {plural(len(each.students), 'student')}"
