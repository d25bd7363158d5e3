"""What is known of a student: every attempt, the one that counts, and its score."""

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
    """What is known of a student."""

    attempts: list[Attempt] = field(default_factory=list)
    choice: Choice = field(default_factory=Choice)
    score: Score | None = None
    """Of the attempt that counts, bare: what was seen stays in the attempt's file."""
    note: str = ""
    """What is unusual about it."""
    tried: str | None = None
    """Where only that was tried: why the machine cannot be reached; empty: it can."""

    @property
    def graded(self) -> bool:
        """Whether there is a grade."""
        return self.choice.attempt is not None and self.choice.attempt.graded

    @property
    def problem(self) -> str:
        """Why there is no grade; empty when there is one."""
        if self.choice.attempt is None:
            return self.choice.why if self.tried is None else self.tried
        return self.choice.attempt.problem

    @property
    def failed_since(self) -> str:
        """What kept the machine from being graded since the attempt that counts."""
        machines = [attempt for attempt in self.attempts if not attempt.of]
        last = machines[-1] if machines else None
        if last is None or last.graded or not self.graded:
            return ""
        return f"attempt {last.number} could not be graded: {last.problem}"

    @property
    def reached(self) -> bool:
        """Whether the machine was ever reached."""
        return any(attempt.reached for attempt in self.attempts)

    @property
    def identity(self) -> Identity:
        """What identifies the machine, as it was seen last."""
        seen = [attempt.identity for attempt in self.attempts]
        return next((one for one in reversed(seen) if one != Identity()), Identity())


def from_journal(attempt: Attempt, lab: Lab | None = None) -> Score:
    """Return the score of an attempt as far as the journal has it.

    :param lab: for the titles of its steps; without it they are called by their ids.
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
