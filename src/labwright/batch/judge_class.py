"""Judges a whole class again from its records, and reports whose grade changes.

No machine is contacted. Each attempt's record is judged by the current version of the lab.
The result is a new attempt; the earlier attempt is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.batch.attempts import choose
from labwright.batch.grading import portable_lab_name
from labwright.batch.task import Task, definition_of
from labwright.grading.judge_again import points_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.batch.grading import Grading, Spread
    from labwright.batch.journal import Attempt
    from labwright.batch.stop import Stop
    from labwright.batch.student import Student
    from labwright.batch.task import Examined
    from labwright.grading.run import RunOptions
    from labwright.lab.model import Lab

MARK = "#"
"""Separates the student's id and the attempt's number in a task's id; not allowed in ids."""


@dataclass(frozen=True)
class Judgement:
    """The result of judging one attempt's record again."""

    attempt: Attempt
    """The attempt with its latest judgement until now."""
    examined: Examined
    """The new result, for :meth:`labwright.batch.grading.Grading.keep`."""

    @property
    def changed(self) -> bool:
        """Whether any step's outcome or points differ."""
        score = self.examined.score
        now = (
            {s.id: (s.outcome.value, s.points, s.max_points) for s in score.steps} if score else {}
        )
        return now != self.attempt.steps

    @property
    def changes(self) -> list[str]:
        """The steps whose judgement changed, in words."""
        score = self.examined.score
        before = dict(self.attempt.steps)
        said = []
        for step in score.steps if score else ():
            was = before.pop(step.id, None)
            now = (step.outcome.value, step.points, step.max_points)
            if was is None:
                said.append(f"{step.id}: new, {step.outcome}")
            elif was != now:
                said.append(f"{step.id}: {points_of(*was)} -> {points_of(*now)}")
        return said + [f"{id}: gone, was {was[0]}" for id, was in before.items()]


@dataclass(frozen=True)
class Change:
    """A student whose grade changes."""

    student: str
    before: Attempt | None
    after: Attempt | None
    why: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change and its reasons as a sentence."""
        was = f"{self.before.points:g} of {self.before.max_points:g}" if self.before else "none"
        now = f"{self.after.points:g} of {self.after.max_points:g}" if self.after else "none"
        gain = (self.after.points if self.after else 0) - (self.before.points if self.before else 0)
        return f"{self.student}: {was} -> {now} ({gain:+g}): {'; '.join(self.why)}"


def judge(
    grading: Grading,
    lab: Lab,
    options: RunOptions,
    spread: Spread,
    stop: Stop,
    told: Callable[[Examined], None],
) -> list[Judgement]:
    """Judge every record of the class again, without saving anything.

    :param options: the same for all students.
    """
    known: dict[str, Attempt] = {}
    groups = []
    for student in grading.students:
        for attempt in _works(grading.records[student.id].attempts):
            task = _task(grading, lab, student, attempt, options)
            known[task.id] = attempt
            groups.append([task])
    found: list[Judgement] = []

    class Collect:
        def started(self, id: str) -> None:
            """Ignore it: nothing is shown."""

        def ended(self, examined: Examined) -> None:
            """Collect the result."""
            attempt = known[examined.id]
            latest = _latest(grading.records[attempt.id].attempts, attempt)
            found.append(Judgement(latest, replace(examined, id=attempt.id)))
            told(examined)

    spread(groups, stop, Collect())
    order = {student.id: place for place, student in enumerate(grading.students)}
    return sorted(found, key=lambda each: (order[each.attempt.id], each.attempt.number))


def _works(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the original attempts that have a record."""
    return [attempt for attempt in attempts if not attempt.of and attempt.digest]


def _latest(attempts: Sequence[Attempt], work: Attempt) -> Attempt:
    return [a for a in attempts if a is work or a.of == work.number][-1]


def _task(
    grading: Grading, lab: Lab, student: Student, attempt: Attempt, options: RunOptions
) -> Task:
    settings = (*student.settings, *options.settings)
    return Task(
        id=f"{student.id}{MARK}{attempt.number}",
        target=student.target,
        lab=portable_lab_name(lab),
        options=replace(options, settings=settings),
        limit_s=120,
        record=str(grading.folder.attempt(student.id, attempt.number)),
        editions=grading.editions,
        definition=definition_of(lab.folder),
    )


def changes(grading: Grading, judgements: Sequence[Judgement]) -> list[Change]:
    """Return the grades that would change."""
    by_student: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        if judgement.changed:
            by_student.setdefault(judgement.attempt.id, []).append(judgement)
    found = []
    for id, judged in by_student.items():
        record = grading.records[id]
        before = record.choice.attempt if record.graded else None
        number = max(attempt.number for attempt in record.attempts)
        new = [
            grading.attempt_of(each.examined, number + place, "record", each.attempt)
            for place, each in enumerate(judged, 1)
        ]
        after = choose([*record.attempts, *new], grading.policy).attempt
        after = after if after and after.graded else None
        if (before and before.points) != (after and after.points):
            why = [said for each in judged for said in each.changes]
            found.append(Change(id, before, after, tuple(why)))
    return found


def not_judged(judgements: Sequence[Judgement]) -> list[str]:
    """Return the attempts that could not be judged again, with reasons; their grades stay."""
    return [
        f"{each.attempt.id}: attempt {each.attempt.number} cannot be judged again and keeps "
        f"its points: {each.examined.problem}"
        for each in judgements
        if each.attempt.graded and not each.examined.graded
    ]


def apply(grading: Grading, judgements: Sequence[Judgement]) -> None:
    """Save the changed judgements as new attempts."""
    if grading.folder.journal.begun != grading.begun:
        grading.folder.journal.write(grading.begun)
    for each in judgements:
        if each.changed:
            grading.keep(each.examined, "record", each.attempt)
