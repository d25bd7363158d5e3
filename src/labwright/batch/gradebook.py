"""The class as gradebooks take it. Who was not graded is blank there, never 0.

The columns are those of the platforms' own manuals; docs/instructor.md says what to choose
in each. Cells of text are made harmless: a spreadsheet runs what begins with ``=``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.outcome import Outcome
from labwright.reports.summary import explanation
from labwright.reports.text import excerpt, line, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labwright.batch.rule import Grade
    from labwright.batch.student import Student
    from labwright.score import Score

NUMBER = re.compile(r"-?\d+(\.\d+)?")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """A student with what became of them."""

    student: Student
    score: Score | None
    grade: Grade
    problem: str
    """Why there is no grade."""
    flags: tuple[str, ...] = ()

    @property
    def points(self) -> str:
        """The points as a cell: blank where there is no grade."""
        return "" if self.grade.points is None else number(self.grade.points)

    @property
    def remark(self) -> str:
        """Why there is no grade, or what the rule says."""
        return self.problem or self.grade.remark


def general(rows: Sequence[Row], steps: Sequence[str]) -> str:
    """Return all that is known, one row a student, one column a step."""
    heading = ["id", "name", "email", "target", "points", "max_points", "graded", "remark", "flags"]
    table = [[*heading, *steps]]
    for row in rows:
        outcomes = {s.id: s.outcome.value for s in row.score.steps} if row.score else {}
        cells = [row.student.id, row.student.name, row.student.email, row.student.target]
        top = number(row.score.max_points) if row.score else ""
        cells += [row.points, top, "no" if row.grade.points is None else "yes"]
        cells += [row.remark, "; ".join(row.flags)]
        table.append([*cells, *(outcomes.get(step, "") for step in steps)])
    return _csv(table)


def moodle(rows: Sequence[Row], title: str) -> str:
    """Return Moodle's import: its columns are mapped in its own form."""
    table = [["idnumber", "username", "email", title, f"{title} (feedback)"]]
    for row in rows:
        # One grade above the maximum would make Moodle refuse the whole file.
        points = row.grade.points
        top = row.score.max_points if row.score else 0.0
        shown = "" if points is None else number(max(0.0, min(points, top)))
        student = row.student
        login = student.extra.get("login", "")
        table.append([student.id, login, student.email, shown, line(row.remark, 300)])
    return _csv(table)


def canvas(rows: Sequence[Row], title: str, max_points: float) -> str:
    """Return Canvas's gradebook: students are found by their SIS id or login."""
    table = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]]
    table.append(["Points Possible", "", "", "", "", number(max_points)])
    for row in rows:
        student = row.student
        more = [student.extra.get(key, "") for key in ("canvas_id", "login", "section")]
        name = student.name or student.id
        table.append([name, more[0], student.id, more[1] or student.email, more[2], row.points])
    return _csv(table)


def gradescope(row: Row) -> str:
    """Return a student's results.json; without a grade it has no score at all."""
    body: dict[str, Any] = {"visibility": "visible", "stdout_visibility": "hidden", "tests": []}
    graded = row.grade.points is not None
    if graded:
        body["score"] = row.grade.points
    body["output"] = line(row.remark, 1000) or "graded by labwright"
    body["extra_data"] = {"id": row.student.id, "graded": graded}
    for place, step in enumerate(row.score.steps if row.score else (), 1):
        test: dict[str, Any] = {"name": line(step.title, 200), "number": str(place)}
        test.update(output=excerpt(explanation(step), 4000), output_format="text")
        if graded:
            passed = step.outcome is Outcome.PASSED
            test.update(score=step.points, max_score=step.max_points)
            test["status"] = "passed" if passed else "failed"
        test["extra_data"] = {"id": step.id, "outcome": step.outcome.value}
        body["tests"].append(test)
    return json.dumps(body, indent=2) + "\n"


def _csv(table: Iterable[Sequence[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([_cell(c) for c in row] for row in table)
    return out.getvalue()


def _cell(text: str) -> str:
    shown = line(text)
    if NUMBER.fullmatch(shown):  # below 0, too: a rule's business
        return shown
    return f"'{shown}" if text.startswith(FORMULA) or shown.startswith(FORMULA) else shown
