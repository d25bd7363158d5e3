"""Judges a whole class again from its records, and says whose grade changes.

Nothing is asked of a machine. What was seen is kept in the attempts; each is judged by the
lab as it is now, and what comes of it is an attempt of its own. The earlier one is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.batch.attempts import choose
from labwright.batch.grading import lab_anywhere
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
"""Between a student and the number of their attempt in a task's id; no student's id has it."""


@dataclass(frozen=True)
class Judgement:
    """What came of judging one attempt's record again."""

    attempt: Attempt
    """As it was judged last."""
    examined: Examined
    """Of the student, as :meth:`labwright.batch.grading.Grading.keep` takes it."""

    @property
    def changed(self) -> bool:
        """Whether anything is another one than before."""
        score = self.examined.score
        now = (
            {s.id: (s.outcome.value, s.points, s.max_points) for s in score.steps} if score else {}
        )
        return now != self.attempt.steps

    @property
    def changes(self) -> list[str]:
        """The steps that are judged otherwise now, in words."""
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
        """Say how it changes and why."""
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
    """Judge every record of the class again; change nothing.

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
            """Nothing is shown of it."""

        def ended(self, examined: Examined) -> None:
            """Keep what came of it."""
            attempt = known[examined.id]
            latest = _latest(grading.records[attempt.id].attempts, attempt)
            found.append(Judgement(latest, replace(examined, id=attempt.id)))
            told(examined)

    spread(groups, stop, Collect())
    order = {student.id: place for place, student in enumerate(grading.students)}
    return sorted(found, key=lambda each: (order[each.attempt.id], each.attempt.number))


def _works(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts that saw a machine, and have a record of it."""
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
        lab=lab_anywhere(lab),
        options=replace(options, settings=settings),
        limit_s=120,
        record=str(grading.folder.attempt(student.id, attempt.number)),
        editions=grading.editions,
        definition=definition_of(lab.folder),
    )


def changes(grading: Grading, judgements: Sequence[Judgement]) -> list[Change]:
    """Return whose grade would change, and how."""
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
    """Return who could not be judged again, and why; their grades stay."""
    return [
        f"{each.attempt.id}: attempt {each.attempt.number} cannot be judged again, and stays as "
        f"it is: {each.examined.problem}"
        for each in judgements
        if each.attempt.graded and not each.examined.graded
    ]


def apply(grading: Grading, judgements: Sequence[Judgement]) -> None:
    """Keep what is judged otherwise now, as attempts beside those of before."""
    if grading.folder.journal.begun != grading.begun:
        grading.folder.journal.write(grading.begun)
    for each in judgements:
        if each.changed:
            grading.keep(each.examined, "record", each.attempt)
