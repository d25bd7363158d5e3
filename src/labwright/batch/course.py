"""A course: its labs, dates and rules (``course.toml``), and manual decisions.

Manual decisions stand in ``overrides.toml`` beside it, each with a reason and a name.
"""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from labwright.batch.student import ID
from labwright.lab.toml_file import TomlFile

if TYPE_CHECKING:
    from pathlib import Path

OVERRIDES = "overrides.toml"
MOST_GRACE = 1_000_000
"""Minutes; almost two years."""
Counting = Literal["best", "last", "last-before-due"]
Blocked = Literal["zero", "half", "excluded"]


class Late(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The penalty for late attempts."""

    percent: float = 0
    """Per cent of the points that are lost for each day, also for a part of a day."""
    cap: float = 100
    """The largest penalty, in per cent."""
    days: int | None = None
    """After this many days an attempt is worth 0 points; None: no limit."""
    grace: float = 0
    """Minutes after the due date that do not count as late."""
    machines: bool = False
    """Whether an attempt over SSH can be late. Its time is when the instructor graded it."""


class CourseLab(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One lab of a course."""

    id: str
    folder: str
    """The class's folder, relative to course.toml."""
    title: str = ""
    due: datetime | None = None
    weight: float = 1
    counts: Counting | None = None
    blocked: Blocked | None = None
    late: Late | None = None
    assignment: str = ""
    """The name of the assignment on the platform; on Canvas ``Name (ID)``."""
    points: float | None = None
    """The assignment's maximum on the platform."""


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``course.toml``."""

    title: str
    lab: tuple[CourseLab, ...]
    counts: Counting = "best"
    blocked: Blocked = "zero"
    late: Late = Late()
    moodle_by: Literal["idnumber", "username", "email"] = "idnumber"


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A manual decision about one student and one lab.

    It sets one of: a step's points, the grade, the due date, the attempt that counts.
    """

    student: str
    lab: str
    reason: str
    by: str
    step: str = ""
    points: float | None = None
    """Points for the step."""
    grade: float | None = None
    """Points for the lab; they replace everything else."""
    due: datetime | None = None
    """Another due date for this student."""
    attempt: int | None = None
    """The number of the attempt that counts."""

    def __str__(self) -> str:
        """Return the decision as a sentence, with its reason and author."""
        if self.grade is not None:
            what = f"grade {self.grade:g}"
        elif self.due is not None:
            what = f"due {self.due:%Y-%m-%d %H:%M}"
        elif self.attempt is not None:
            what = f"attempt {self.attempt} counts"
        else:
            what = f"{self.step}: {self.points:g} points"
        return f"{what}, decided by {self.by}: {self.reason}"


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    override: tuple[Override, ...] = ()


def read(path: Path) -> tuple[Course, tuple[Override, ...]]:
    """Read a course and its manual decisions.

    :raises DefinitionError: a file cannot be read, or an entry is wrong.
    """
    file = TomlFile.read(path)
    course = file.convert(Course)
    ids: set[str] = set()
    for place, lab in enumerate(course.lab):
        if not ID.fullmatch(lab.id):
            raise file.error(f"not an id: {lab.id[:60]!r}", "lab", place, "id")
        if lab.id in ids:
            raise file.error(f"there are two labs {lab.id!r}", "lab", place, "id")
        ids.add(lab.id)
        _check_lab(file, place, lab)
    if not course.lab:
        raise file.error("the course has no lab: write [[lab]]")
    _check_late(file, course.late, "late")
    beside = path.with_name(OVERRIDES)
    if not beside.exists():
        return course, ()
    decided = TomlFile.read(beside)
    overrides = decided.convert(_Overrides).override
    for place, one in enumerate(overrides):
        _check_override(decided, place, one, ids)
    return course, overrides


def _check_lab(file: TomlFile, place: int, lab: CourseLab) -> None:
    if lab.due and lab.due.tzinfo is None:
        raise file.error(f"due needs a time zone: {lab.due.isoformat()}+01:00", "lab", place, "due")
    if not 0 <= lab.weight < math.inf:
        raise file.error("weight must be 0 or more", "lab", place, "weight")
    if lab.points is not None and not 0 < lab.points < math.inf:
        raise file.error("points must be more than 0", "lab", place, "points")
    if lab.late:
        _check_late(file, lab.late, "lab", place, "late")


def _check_late(file: TomlFile, late: Late, *place: str | int) -> None:
    for name in ("percent", "cap"):
        if not 0 <= getattr(late, name) <= 100:
            raise file.error(f"{name} must be from 0 to 100", *place, name)
    if not 0 <= late.grace <= MOST_GRACE:
        raise file.error(f"grace must be from 0 to {MOST_GRACE} minutes", *place, "grace")
    if late.days is not None and late.days < 0:
        raise file.error("days must be 0 or more", *place, "days")


def _check_override(file: TomlFile, place: int, one: Override, labs: set[str]) -> None:
    kinds = [bool(one.step), one.grade is not None, one.due is not None, one.attempt is not None]
    at = ("override", place)
    if sum(kinds) != 1 or bool(one.step) != (one.points is not None):
        raise file.error("give exactly one of: step and points, grade, due, attempt", *at)
    if one.lab not in labs:
        raise file.error(f"there is no lab {one.lab[:60]!r} in the course", *at, "lab")
    if not one.reason.strip() or not one.by.strip():
        raise file.error("a decision needs a reason and a name: set reason and by", *at)
    if one.due and one.due.tzinfo is None:
        raise file.error("due needs a time zone", *at, "due")
    for name in ("points", "grade"):
        value = getattr(one, name)
        if value is not None and not 0 <= value < math.inf:
            raise file.error(f"{name} must be 0 or more", *at, name)


def days_late(made: datetime, due: datetime | None, late: Late) -> int:
    """Return by how many days something is late; a part of a day counts as a day."""
    if due is None or made - due <= timedelta(minutes=late.grace):
        return 0
    return -((due - made) // timedelta(days=1))


def moment(*texts: str) -> datetime:
    """Return the first text that is a valid time: a handed-in file can contain anything."""
    for text in texts:
        with contextlib.suppress(ValueError):
            at = datetime.fromisoformat(text)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)
