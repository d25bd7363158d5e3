"""Late days, bonus, a grade of another scale: the instructor's own Python, not a language of ours.

The file defines ``grade(student, score)``, which returns the points for the gradebook, or
the points and a remark; None is no grade. It is called for graded students only.
"""

from __future__ import annotations

import math
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.batch.journal import Setting
from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.batch.folder import Folder
    from labwright.batch.student import Student
    from labwright.score import Score

    Rule = Callable[["Student", "Score"], "Grade"]


NONE = Path("none")
"""Given in place of a rule's file: the points as they are."""


@dataclass(frozen=True)
class Grade:
    """What stands in the gradebook for a student."""

    points: float | None
    """None: no grade, a blank."""
    remark: str = ""


def as_scored(_: Student, score: Score) -> Grade:
    """Return the score's points as they are."""
    return Grade(score.points)


def keep(folder: Folder, given: Path | None, *, resume: bool) -> None:
    """Note by which rule the gradebook is made.

    One that was made with a rule is not made without it unasked. Its file is not run unasked
    either: a folder may have been somebody else's.

    :raises UsageError: it was made with a rule, and none is given.
    """
    before = str(folder.journal.setting("rule", ""))
    if resume and before and given is None:
        raise UsageError(
            f"{folder.path}: its gradebook was made with a rule: give --rule "
            f"{shlex.quote(before)} again, or --rule {NONE} for the points as they are"
        )
    now = "" if given in (None, NONE) else str(given)
    if now != before:
        folder.journal.write(Setting("rule", now))


def load(path: Path | None) -> Rule:
    """Return the rule of a file; without one, the points as they are.

    :raises UsageError: it cannot be run, or has no function ``grade``.
    """
    if path is None or path == NONE:
        return as_scored
    try:
        function = runpy.run_path(str(path)).get("grade")
    except Exception as problem:  # noqa: BLE001  it is somebody's program
        raise UsageError(f"{path}: the rule cannot be run: {problem}") from None
    if not callable(function):
        raise UsageError(f"{path}: a rule defines `def grade(student, score):`")

    def rule(student: Student, score: Score) -> Grade:
        try:
            said = function(student, score)
            points, remark = said if isinstance(said, tuple) else (said, "")
            points = None if points is None else float(points)
            if points is not None and not math.isfinite(points):
                raise ValueError(f"it returned {points}")
            return Grade(points, str(remark))
        except Exception as problem:  # noqa: BLE001  a mistake there is no student's zero
            return Grade(None, f"the rule {path.name} failed: {type(problem).__name__}: {problem}")

    return rule
