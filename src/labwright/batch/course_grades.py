"""Computes grades in a course: attempts, late rule, blocked steps, decisions, weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labwright.batch.attempts import Choice, choose
from labwright.batch.course import Late, days_late, moment
from labwright.reports.wording import number, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from labwright.batch.attempts import Policy
    from labwright.batch.course import Blocked, Course, CourseLab, Override
    from labwright.batch.journal import Attempt


@dataclass(frozen=True)
class LabGrade:
    """A student's grade in one lab, with the reasons for it."""

    points: float | None = None
    """None: no grade; the cell stays blank."""
    max_points: float = 0.0
    attempt: Attempt | None = None
    attempts: int = 0
    why: str = ""
    remarks: tuple[str, ...] = ()
    """Also shown to the student: late days, blocked steps, manual decisions."""
    problem: str = ""
    """Why there is no grade."""

    @property
    def remark(self) -> str:
        """The problem and the remarks in one line."""
        return "; ".join(filter(None, [self.problem, *self.remarks]))

    @property
    def share(self) -> float | None:
        """The points as a share of the maximum."""
        return None if self.points is None or not self.max_points else self.points / self.max_points


@dataclass(frozen=True)
class Rules:
    """The rules that apply to one student in one lab."""

    lab: CourseLab
    counts: str
    blocked: Blocked
    late: Late
    due: datetime | None
    overrides: tuple[Override, ...] = ()

    @classmethod
    def of(cls, course: Course, lab: CourseLab, overrides: Sequence[Override]) -> Rules:
        """Return the lab's rules, with the course's as defaults, and the manual decisions."""
        dates = [one.due for one in overrides if one.due]
        return cls(
            lab,
            lab.counts or course.counts,
            lab.blocked or course.blocked,
            lab.late or course.late,
            dates[-1] if dates else lab.due,
            tuple(overrides),
        )

    def days_late(self, attempt: Attempt) -> int:
        """Return by how many days an attempt is late."""
        if attempt.source == "machine" and not self.late.machines:
            return 0
        return days_late(moment(attempt.made, attempt.at), self.due, self.late)


@dataclass(frozen=True)
class Worth:
    """The points of one attempt after the rules were applied."""

    points: float
    max_points: float
    remarks: list[str] = field(default_factory=list)


def worth(attempt: Attempt, rules: Rules) -> Worth:
    """Return an attempt's points after manual decisions, blocked steps and the late rule."""
    points, top = attempt.points, attempt.max_points
    steps: dict[str, tuple[str, float, float]] = {**attempt.steps}
    remarks = []
    decided = {one.step: one for one in rules.overrides if one.step}
    if decided:
        for id, one in decided.items():
            if id in steps:
                steps[id] = ("decided", one.points or 0.0, steps[id][2])
                remarks.append(str(one))
            else:
                remarks.append(f"a decision about a step that does not exist: {one}")
        points = sum(earned for _, earned, _ in steps.values())
    blocked = 0.0
    if rules.blocked != "zero":
        blocked = sum(most for outcome, _, most in steps.values() if outcome == "blocked")
    if blocked and rules.blocked == "half":
        points += blocked / 2
        remarks.append(f"half of {number(blocked)} points of blocked steps")
    elif blocked and rules.blocked == "excluded":
        points = points / (top - blocked) * top if top > blocked else 0.0
        remarks.append(f"{number(blocked)} points of blocked steps are left out")
    days = rules.days_late(attempt)
    if days:
        lost = min(rules.late.percent * days, rules.late.cap)
        if rules.late.days is not None and days > rules.late.days:
            lost = 100
            remarks.append(
                f"{plural(days, 'day')} late; nothing counts after {plural(rules.late.days, 'day')}"
            )
        else:
            remarks.append(
                f"{plural(days, 'day')} late: {number(lost)} % of {number(points)} points"
            )
        points *= 1 - lost / 100
    return Worth(points, top, remarks)


def grade(attempts: Sequence[Attempt], rules: Rules, key: str = "", most: float = 0.0) -> LabGrade:
    """Return a student's grade in one lab.

    :param most: the lab's maximum, used if the student has no attempt.
    """
    choice = _chosen(attempts, rules, key)
    by_hand = [one for one in rules.overrides if one.grade is not None]
    dates = [str(one) for one in rules.overrides if one.due]
    decided = [one for one in rules.overrides if one.attempt is not None]
    if decided and choice.why != str(decided[-1]):
        dates.append(f"a decision about an attempt that was not graded: {decided[-1]}")
    many = len([attempt for attempt in attempts if not attempt.of])
    found = choice.attempt if choice.attempt and choice.attempt.graded else None
    value = worth(found, rules) if found else Worth(0.0, 0.0)
    why = choice.why
    if by_hand:
        top = value.max_points or most
        points = by_hand[-1].grade
        said = (*dates, str(by_hand[-1]))
        return LabGrade(points, top or 100.0, found, many, why, said)
    if found is None:
        problem = choice.attempt.problem if choice.attempt else choice.why
        said = tuple(
            f"a decision about a step, where no attempt was graded: {one}"
            for one in rules.overrides
            if one.step
        )
        return LabGrade(None, 0.0, None, many, why, (*dates, *said), problem)
    return LabGrade(value.points, value.max_points, found, many, why, (*dates, *value.remarks))


def _chosen(attempts: Sequence[Attempt], rules: Rules, key: str) -> Choice:
    """Return the attempt that counts by the rules of the course."""
    decided = [one for one in rules.overrides if one.attempt is not None]
    if decided:
        number_of = decided[-1].attempt
        same = [a for a in attempts if number_of in (a.number, a.of) and a.graded]
        if same:
            return Choice(same[-1], str(decided[-1]))
    if rules.counts == "last-before-due":
        in_time = [attempt for attempt in attempts if not rules.days_late(attempt)]
        choice = choose(in_time, "last", key)
        if choice.attempt and choice.attempt.graded:
            return Choice(choice.attempt, f"{choice.why}, before the date")
        return choose(attempts, "last", key)
    policy: Policy = "last" if rules.counts == "last" else "best"
    return choose(attempts, policy, key, lambda attempt: worth(attempt, rules).points)


@dataclass(frozen=True)
class Standing:
    """A student's grades and totals in a course."""

    grades: dict[str, LabGrade]
    total: float | None
    """Weighted mean in per cent; None while a lab has no grade."""
    so_far: float | None
    """Weighted mean in per cent of the labs that have a grade."""


def standing(grades: dict[str, LabGrade], weights: dict[str, float]) -> Standing:
    """Return a student's standing from their grades and the labs' weights."""
    shares = {id: g.share for id, g in grades.items() if g.share is not None and weights[id]}
    whole = sum(weights[id] for id in shares)
    so_far = (
        100 * sum((s or 0) * weights[id] for id, s in shares.items()) / whole if whole else None
    )
    complete = all(id in shares for id, weight in weights.items() if weight)
    return Standing(grades, so_far if complete else None, so_far)
