"""The gradebook of a class as CSV. A student without a grade has a blank cell, never 0.

The formats of Moodle, Canvas and Gradescope are in :mod:`labwright.batch.gradebook_platforms`.

Text in cells is neutralised: a spreadsheet would run a cell that begins with ``=``.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.reports.wording import number
from labwright.text import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labwright.batch.grade_rule import Grade
    from labwright.batch.journal import Attempt
    from labwright.batch.student import Student
    from labwright.score import Score


@dataclass(frozen=True)
class Row:
    """A student with their result."""

    student: Student
    score: Score | None
    grade: Grade
    problem: str
    """Why there is no grade."""
    flags: tuple[str, ...] = ()
    attempt: Attempt | None = None
    """The attempt that counts."""
    attempts: int = 0
    """The number of the student's attempts."""
    why: str = ""
    """Why that attempt counts."""
    note: str = ""
    """Anything unusual about the attempt."""
    top: float = 0.0
    """The lab's maximum, for a grade without a score (a manual decision)."""

    @property
    def id(self) -> str:
        """The student's id."""
        return self.student.id

    @property
    def points(self) -> str:
        """The points as a cell; blank if there is no grade."""
        return "" if self.grade.points is None else number(self.grade.points)

    @property
    def max_points(self) -> float:
        """The lab's maximum; 0 if unknown."""
        return self.score.max_points if self.score else self.top

    @property
    def remark(self) -> str:
        """Why there is no grade, or the remark of the grade rule."""
        return "; ".join(filter(None, [self.problem or self.grade.remark, self.note]))


def general(rows: Sequence[Row], steps: Sequence[str]) -> str:
    """Return the gradebook as CSV: one row for each student, one column for each step."""
    heading = ["id", "name", "email", "target", "points", "max_points", "graded"]
    heading += ["attempt", "remark", "flags"]
    table = [[*heading, *steps]]
    for row in rows:
        outcomes = {s.id: s.outcome.value for s in row.score.steps} if row.score else {}
        cells = [row.student.id, row.student.name, row.student.email, row.student.target]
        top = number(row.max_points) if row.max_points else ""
        cells += [row.points, top, "no" if row.grade.points is None else "yes"]
        cells += [f"{row.attempt.number} of {row.attempts}" if row.attempt else ""]
        cells += [row.remark, "; ".join(row.flags)]
        table.append([*cells, *(outcomes.get(step, "") for step in steps)])
    return csv_text(table)


def csv_text(table: Iterable[Sequence[str]]) -> str:
    """Return a table as CSV in which no cell is a formula."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([csv_cell(c) for c in row] for row in table)
    return out.getvalue()
