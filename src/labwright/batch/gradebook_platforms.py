"""Gradebook files for Moodle, Canvas and Gradescope that are safe to import.

The rules come from the platforms' sources. Moodle (``grade/import/csv/classes/load_data.php``):
an empty cell removes the existing grade, a row without an identifier is taken for the student
of the row before, ``0`` counts as empty, and Moodle refuses the file if one user is unknown or
one grade is above the maximum. Canvas (``lib/gradebook_importer.rb``): an empty cell changes the
grade, too, a row is matched by id, SIS id, login and then by *name*, and the row
``Points Possible`` changes the assignment.

So a student without a grade or an identifier is left out, and the summary says who and why.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.batch.gradebook import csv_text
from labwright.errors import UsageError
from labwright.outcome import Outcome
from labwright.reports.summary import explanation
from labwright.reports.wording import listed, number, plural
from labwright.text import csv_cell, excerpt, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labwright.batch.folder import Folder
    from labwright.batch.gradebook import Row
    from labwright.batch.student import Student

NAMES = ("moodle", "canvas", "gradescope")
MOODLE_BY = ("idnumber", "username", "email")
"""The columns by which Moodle can find a user."""
MOODLE_MOST = 100
"""Moodle refuses a higher grade, unless its administrator allows unlimited grades."""
FEEDBACK_LIMIT = 1500
FEW = 8
"""The most students who are named when some are left out; the rest are counted."""
CANVAS_TOTALS = re.compile(
    "(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)", re.IGNORECASE
)
"""Canvas ignores a column with such a name: it is one of its own totals."""


@dataclass(frozen=True)
class Assignment:
    """The lab's assignment on the platform: its name and maximum."""

    name: str = ""
    """``Name (ID)`` on Canvas; empty: the lab's title."""
    points: float | None = None
    """Its maximum on the platform; None: the lab's own maximum."""
    moodle_by: str = "idnumber"

    @classmethod
    def of(cls, folder: Folder) -> Assignment:
        """Return the assignment that was given earlier for a class's folder."""
        return cls(**folder.journal.setting("assignment", {}))

    def check(self) -> None:
        """Check the name and the maximum.

        :raises UsageError: a platform would misread one of them.
        """
        if self.points is not None and not 0 < self.points < 1e6:
            raise UsageError(f"--points is {self.points:g}: it must be more than 0")
        if self.name and CANVAS_TOTALS.search(self.name):
            raise UsageError(
                f"--assignment {self.name!r}: Canvas ignores a column with this name, which is one "
                "of its own totals: choose another name"
            )


@dataclass(frozen=True)
class File:
    """A file for a platform, and the students who are not in it."""

    name: str
    text: str
    left_out: dict[str, str]
    """Student ids with the reason why they are not in the file."""
    note: str = ""
    """Other notes about the file."""

    @property
    def summary(self) -> str:
        """A sentence on who is left out and why, and the notes; may be empty."""
        by_reason: dict[str, list[str]] = {}
        for id, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(id)
        parts = []
        for reason, ids in by_reason.items():
            more = [f"{len(ids) - FEW} more"] if len(ids) > FEW else []
            parts.append(f"{len(ids)} {reason} ({listed([*ids[:FEW], *more])})")
        left = plural(len(self.left_out), "student")
        said = f"{self.name}: {left} left out: {'; '.join(parts)}" if parts else ""
        return "; ".join(filter(None, [said, f"{self.name}: {self.note}" if self.note else ""]))


def on_platform(row: Row, assignment: Assignment) -> float | None:
    """Return a grade scaled to the platform's maximum."""
    points = row.grade.points
    top = row.max_points
    if points is None or assignment.points is None:
        return points
    if not top:
        raise ValueError(f"{row.id}: a grade without a maximum cannot be scaled")
    return points * assignment.points / top


def moodle(rows: Sequence[Row], title: str, assignment: Assignment) -> File:
    """Return Moodle's import: one identifier, the grade, the feedback."""
    by = assignment.moodle_by
    named = assignment.name or title
    scaled = assignment.points is not None
    kept, left_out = _kept(rows, lambda student: {by: _moodle_id(student, by)}, by, scaled=scaled)
    table = [[by, named, f"{named} (feedback)"]]
    highest = 0.0
    for row, ids in kept:
        # One grade above the maximum would make Moodle refuse the whole file.
        top = assignment.points or row.max_points
        grade = max(0.0, min(on_platform(row, assignment) or 0.0, top))
        highest = max(highest, grade)
        # Moodle reads feedback as HTML.
        table.append([ids[by], number(grade), html.escape(feedback(row), quote=False)])
    note = ""
    if highest > MOODLE_MOST:
        note = (
            f"Moodle refuses grades above {MOODLE_MOST} unless its administrator allows them: "
            "give --points with the maximum that the grade item has"
        )
    return File("moodle.csv", csv_text(table), left_out, note)


def _moodle_id(student: Student, by: str) -> str:
    if by == "email":
        return student.email
    if by == "username":
        return student.extra.get("login", "")
    return student.extra.get("moodle_id", student.id)


def canvas(rows: Sequence[Row], title: str, assignment: Assignment) -> File:
    """Return Canvas's gradebook: students are found by their id, SIS id or login."""
    # If the roster has Canvas's own id columns, those identify the students, not our id.
    own = any(row.student.extra.get(key) for row in rows for key in ("canvas_id", "sis_id"))

    def ids_of(student: Student) -> dict[str, str]:
        login = student.extra.get("login", "") or ("" if own else student.email)
        return {
            "canvas_id": student.extra.get("canvas_id", ""),
            "sis_id": student.extra.get("sis_id", "" if own else student.id),
            "login": login,
        }

    needs = "Canvas id, SIS id or login"
    kept, left_out = _kept(rows, ids_of, needs, scaled=assignment.points is not None)
    names = Counter(row.student.name for row in rows)
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    table = [[*head, assignment.name or title]]
    # This row changes the assignment's maximum: write it for a new one, or when --points is given.
    new = not re.search(r" \(\d+\)$", assignment.name)
    if new or assignment.points is not None:
        top = assignment.points or max((row.max_points for row in rows), default=0.0) or 100.0
        table.append(["Points Possible", "", "", "", "", number(top)])
    for row, ids in kept:
        student = row.student
        name = student.name
        # Canvas reads a row with such a name as the maximum, and looks up unknown ids by name.
        if not name or names[name] > 1 or "points possible" in name.lower():
            name = f"{name.replace('Points Possible', '')} {student.id}".strip()
        cells = [name, ids["canvas_id"], ids["sis_id"], ids["login"]]
        section = student.extra.get("section", "")
        grade = on_platform(row, assignment)
        table.append([*cells, section, "" if grade is None else number(grade)])
    return File("canvas.csv", csv_text(table), left_out)


def _kept(
    rows: Sequence[Row],
    ids_of: Callable[[Student], dict[str, str]],
    needs: str,
    *,
    scaled: bool,
) -> tuple[list[tuple[Row, dict[str, str]]], dict[str, str]]:
    """Return the rows that are safe in a file, with identifiers; note why others are left out."""
    holders = Counter(
        (kind, id.casefold()) for row in rows for kind, id in ids_of(row.student).items() if id
    )
    kept, left_out = [], {}
    for row in rows:
        ids = ids_of(row.student)
        given = {kind: id for kind, id in ids.items() if id}
        shared = [id for kind, id in given.items() if holders[kind, id.casefold()] > 1]
        odd = [id for kind, id in given.items() if _odd(kind, id)]
        if row.grade.points is None:
            left_out[row.student.id] = "without a grade"
        elif scaled and not row.max_points:
            left_out[row.student.id] = "with a grade whose maximum is unknown"
        elif not given:
            left_out[row.student.id] = f"without {needs}"
        elif shared:
            left_out[row.student.id] = f"whose {needs} another student has as well"
        elif odd:
            left_out[row.student.id] = f"whose {needs} the platform would misread"
        else:
            kept.append((row, ids))
    return kept, left_out


def _odd(kind: str, id: str) -> bool:
    """Whether a platform, or a spreadsheet on the way there, would change the identifier."""
    if kind == "canvas_id":
        return not (id.isascii() and id.isdigit() and int(id))
    # PHP treats "0" as empty; Canvas reads "1.2.3" as a number with separators. An id that
    # changes in a CSV cell, such as a formula or one with two spaces, is another id there.
    return (
        id == "0" or csv_cell(id) != id or bool(re.fullmatch(r"[\d.,]*[.,][\d.,]*[.,][\d.,]*", id))
    )


def feedback(row: Row, limit: int = FEEDBACK_LIMIT) -> str:
    """Return one line of feedback: points, failed steps with hints, and the remark."""
    if row.score is None and not (row.grade.points is not None and row.max_points):
        return line(row.remark, limit)
    points = "no grade" if row.grade.points is None else number(row.grade.points)
    parts = [f"{points} of {number(row.max_points)} points.", line(row.remark, 300)]
    parts += _failures(row)
    blocked = row.score.count(Outcome.BLOCKED) if row.score else 0
    if blocked:
        parts.append(f"Not checked because of that: {plural(blocked, 'step')}.")
    return line(" ".join(filter(None, parts)), limit)


def _failures(row: Row) -> Iterator[str]:
    for step in row.score.steps if row.score else ():
        if step.outcome is not Outcome.FAILED:
            continue
        said = f"{line(step.title, 120)}: {line(step.reason, 240)}"
        if step.expected and step.actual:
            expected, actual = line(step.expected, 160), line(step.actual, 160)
            said = f"{line(step.title, 120)}: expected {expected}; seen: {actual}"
        yield f"Failed: {said.rstrip('.')}."
        if step.hint:
            yield f"What to do: {line(step.hint, 240)}"


def gradescope(row: Row) -> str:
    """Return a student's results.json; without a grade it has no score."""
    body: dict[str, Any] = {"visibility": "visible", "stdout_visibility": "hidden", "tests": []}
    graded = row.grade.points is not None
    if graded:
        body["score"] = row.grade.points
    body["output"] = feedback(row) or "graded by labwright"
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
