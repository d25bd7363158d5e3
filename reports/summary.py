"""Texts about a score that all reports share."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from labwright.outcome import Outcome
from labwright.reports.wording import listed, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.score import Score, StepResult

MOST_URGENT_FIRST = (Outcome.FAILED, Outcome.BROKEN, Outcome.BLOCKED, Outcome.PASSED)

SYMBOLS = {
    Outcome.PASSED: "\u2713",
    Outcome.FAILED: "\u2717",
    Outcome.BROKEN: "!",
    Outcome.BLOCKED: "\u2013",
}

MEANINGS = {
    Outcome.PASSED: "the step is done correctly",
    Outcome.FAILED: "the step is missing or wrong",
    Outcome.BROKEN: "it could not be checked, which is not the student's fault",
    Outcome.BLOCKED: "it was not checked, because a step that it needs did not pass",
}


def total(score: Score) -> str:
    """Return the points of a score in words, such as "85 of 100 points"."""
    return f"{number(score.points)} of {plural_points(score.max_points)}"


def plural_points(value: float) -> str:
    """Return points with their noun, such as "1 point" or "2.5 points"."""
    return f"{number(value)} point" if value == 1 else f"{number(value)} points"


def counts(score: Score) -> str:
    """Return the number of each outcome, such as "9 passed, 1 failed and 2 blocked"."""
    found = [
        f"{score.count(outcome)} {outcome}"
        for outcome in (Outcome.PASSED, Outcome.FAILED, Outcome.BLOCKED, Outcome.BROKEN)
        if score.count(outcome)
    ]
    return listed(found) or "no step was checked"


def not_a_grade(score: Score) -> str:
    """Return why the score is not a grade, or "" if it is one."""
    if score.graded:
        return ""
    broken = plural(score.count(Outcome.BROKEN), "step")
    return (
        f"Not a grade: {broken} could not be checked. This is not the student's fault: "
        "see the reason, then check again."
    )


def by_part(score: Score) -> Iterator[tuple[str, list[StepResult]]]:
    """Yield the parts of the lab with their steps, in the order of the lab."""
    for part, steps in groupby(score.steps, key=lambda step: step.part):
        yield part, list(steps)


def by_urgency(score: Score) -> Iterator[tuple[Outcome, list[StepResult]]]:
    """Yield the outcomes that occur, with their steps; those that need attention first."""
    for outcome in MOST_URGENT_FIRST:
        steps = [step for step in score.steps if step.outcome is outcome]
        if steps:
            yield outcome, steps


def verdict(step: StepResult) -> list[tuple[str, str]]:
    """Return why a step did not pass, as pairs of a word and a sentence."""
    if step.outcome is Outcome.PASSED:
        return []
    if step.outcome is Outcome.BLOCKED:
        return [("why", step.reason)]
    pairs = [("expected", step.expected), ("seen", step.actual), ("hint", step.hint)]
    # The expected and actual texts are more useful than the reason, which repeats them.
    if step.outcome is not Outcome.FAILED or not step.actual:
        pairs.insert(0, ("why", step.reason))
    return [(word, sentence) for word, sentence in pairs if sentence]


def said(step: StepResult) -> list[tuple[str, str]]:
    """Return the verdict on a step and its notices, as pairs of a word and a sentence."""
    return [*verdict(step), *notices(step)]


def notices(step: StepResult) -> list[tuple[str, str]]:
    """Return the notices of a step, as such pairs."""
    return [("notice", notice) for notice in step.notices]


def explanation(step: StepResult) -> str:
    """Return the verdict on a step as lines of text."""
    return "\n".join(f"{word}: {sentence}" for word, sentence in said(step))
