"""A student's results: every attempt, the attempt that counts, and its score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labwright.batch.attempts import Choice
from labwright.batch.task import Identity
from labwright.outcome import Outcome
from labwright.score import Score, StepResult

if TYPE_CHECKING:
    from labwright.batch.journal import Attempt
    from labwright.lab.model import Lab


@dataclass
class Record:
    """The results of one student."""

    attempts: list[Attempt] = field(default_factory=list)
    choice: Choice = field(default_factory=Choice)
    score: Score | None = None
    """The score of the attempt that counts, without its record, which stays in its file."""
    note: str = ""
    """Anything unusual about that score."""
    tried: str | None = None
    """After a dry run: why the machine is unreachable; empty: it is reachable."""

    @property
    def graded(self) -> bool:
        """Whether there is a grade."""
        return self.choice.attempt is not None and self.choice.attempt.graded

    @property
    def problem(self) -> str:
        """Why there is no grade; empty if there is one."""
        if self.choice.attempt is None:
            return self.choice.why if self.tried is None else self.tried
        return self.choice.attempt.problem

    @property
    def failed_since(self) -> str:
        """Why the attempt after the one that counts could not be graded; empty: there is none."""
        machines = [attempt for attempt in self.attempts if not attempt.of]
        last = machines[-1] if machines else None
        if last is None or last.graded or not self.graded:
            return ""
        return f"attempt {last.number} could not be graded: {last.problem}"

    @property
    def reached(self) -> bool:
        """Whether any attempt reached the machine."""
        return any(attempt.reached for attempt in self.attempts)

    @property
    def identity(self) -> Identity:
        """What identifies the machine, from the latest attempt that has it."""
        seen = [attempt.identity for attempt in self.attempts]
        return next((one for one in reversed(seen) if one != Identity()), Identity())


def from_journal(attempt: Attempt, lab: Lab | None = None) -> Score:
    """Return the score of an attempt as far as the journal has it: points without a record.

    :param lab: gives the titles of the steps; without it, their ids are shown.
    """
    known = {step.id: step for step in lab.steps} if lab else {}
    steps = []
    for id, (outcome, points, most) in attempt.steps.items():
        step = known.get(id)
        title, part = (step.title, step.part) if step else (id, "")
        needs = step.needs if step else ()
        reason = attempt.problem if outcome == "broken" else "the journal does not say why"
        reason = "" if outcome == "passed" else reason
        steps.append(
            StepResult(
                id, title, part, points, most, Outcome(outcome), needs, reason, "", "", "", (), 0.0
            )
        )
    name, title = (lab.name, lab.title) if lab else ("", "")
    return Score(name, title, "", attempt.made, attempt.made, tuple(steps))
