"""An instructor's own grade rule in Python: late days, a bonus, another scale.

The file defines ``grade(student, score)``. It returns the points for the gradebook, or the
points and a remark; None means no grade. It is called for graded students only.
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
"""Given instead of a file: no rule, the score's points are the grade."""


@dataclass(frozen=True)
class Grade:
    """A student's grade in the gradebook."""

    points: float | None
    """None: no grade; the cell stays blank."""
    remark: str = ""


def as_scored(_: Student, score: Score) -> Grade:
    """Return the score's points unchanged."""
    return Grade(score.points)


def keep(folder: Folder, given: Path | None, *, resume: bool) -> None:
    """Save the name of the rule with which the gradebook is made.

    A later command must name the rule again. It is neither dropped silently, nor run without
    being asked for: the folder may come from somebody else.

    :raises UsageError: the gradebook was made with a rule, and none is given now.
    """
    before = str(folder.journal.setting("rule", ""))
    if resume and before and given is None:
        raise UsageError(
            f"{folder.path}: its gradebook was made with a rule: give --rule "
            f"{shlex.quote(before)} again, or --rule {NONE} for the points without a rule"
        )
    now = "" if given in (None, NONE) else str(given)
    if now != before:
        folder.journal.write(Setting("rule", now))


def load(path: Path | None) -> Rule:
    """Load the rule from a file; without a file, the score's points are the grade.

    :raises UsageError: the file cannot be run, or has no function ``grade``.
    """
    if path is None or path == NONE:
        return as_scored
    try:
        function = runpy.run_path(str(path)).get("grade")
    except (Exception, SystemExit) as problem:  # noqa: BLE001  an instructor's program
        raise UsageError(f"{path}: the rule cannot be run: {problem}") from None
    if not callable(function):
        raise UsageError(f"{path}: a rule must define `def grade(student, score):`")

    def rule(student: Student, score: Score) -> Grade:
        try:
            said = function(student, score)
            points, remark = said if isinstance(said, tuple) else (said, "")
            points = None if points is None else float(points)
            if points is not None and not math.isfinite(points):
                raise ValueError(f"it returned {points}")
            return Grade(points, str(remark))
        except (Exception, SystemExit) as problem:  # noqa: BLE001  an error in it is never a zero
            return Grade(None, f"the rule {path.name} failed: {type(problem).__name__}: {problem}")

    return rule
