"""For ``labwright regrade`` and ``check --repeat``: judges a record again; compares scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.errors import LabwrightError, UsageError
from labwright.machines.recorded import RecordedMachine
from labwright.score import Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labwright.lab.model import Lab
    from labwright.outcome import Outcome


def read_score(path: Path) -> Score:
    """Read a score with its record from a file.

    :raises UsageError: the file cannot be read, is not a score, or has no record.
    """
    try:
        score = Score.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {why}") from None
    except LabwrightError as problem:
        raise UsageError(f"{path}: {problem}") from None
    if not any(step.observations for step in score.steps):
        raise UsageError(f"{path} contains no record of the machine: grade the machine again")
    return score


def recorded(score: Score) -> RecordedMachine:
    """Return a machine that gives the recorded answers of a score."""
    observations = [seen for step in score.steps for seen in step.observations]
    return RecordedMachine(score.target, observations)


def selected(score: Score, lab: Lab) -> list[str]:
    """Return the ids of the steps to judge again; an empty list means all steps.

    If the whole lab was graded, the steps that it has gained since are judged too. Else they would
    be missing in the maximum.
    """
    if score.whole:
        return []
    examined = {step.id for step in score.steps}
    return [step.id for step in lab.steps if step.id in examined]


def with_original_metadata(new: Score, old: Score) -> Score:
    """Return the new score with the target, times and record of the old one."""
    seen = {step.id: step.observations for step in old.steps}
    return replace(
        new,
        target=old.target,
        started=old.started,
        finished=old.finished,
        seed=old.seed,
        # The whole record, including answers that were not needed this time.
        steps=tuple(replace(step, observations=seen.get(step.id, ())) for step in new.steps),
    )


def changes(old: Score, new: Score) -> list[str]:
    """Return a sentence for each step whose outcome or points have changed."""
    before = {step.id: step for step in old.steps}
    found = []
    for step in new.steps:
        was = before.pop(step.id, None)
        if was is None:
            found.append(f"{step.id}: new, {step.outcome}")
            continue
        if (was.outcome, was.points, was.max_points) != (
            step.outcome,
            step.points,
            step.max_points,
        ):
            why = f": {step.reason}" if step.reason else ""
            found.append(
                f"{step.id}: {points_of(was.outcome, was.points, was.max_points)} -> "
                f"{points_of(step.outcome, step.points, step.max_points)}{why}"
            )
    found += [f"{id}: gone, was {was.outcome}" for id, was in before.items()]
    return found


def points_of(outcome: str, points: float, max_points: float) -> str:
    """Return a step's outcome and points in words, such as "passed 5/5"."""
    return f"{outcome} {points:g}/{max_points:g}"


@dataclass(frozen=True)
class Flakes:
    """How often a step had each outcome in several runs on the same machine."""

    step: str
    outcomes: Counter[Outcome]

    @property
    def rate(self) -> float:
        """The share of runs whose outcome is not the most frequent one."""
        return 1 - max(self.outcomes.values()) / self.outcomes.total()


def flakes(scores: Sequence[Score]) -> list[Flakes]:
    """Return the outcomes of each step over several runs."""
    ended: dict[str, Counter[Outcome]] = {}
    for score in scores:
        for step in score.steps:
            ended.setdefault(step.id, Counter())[step.outcome] += 1
    return [Flakes(id, outcomes) for id, outcomes in ended.items()]
