"""Assembles a score from the lab's definition and the results of its checks. Pure functions.

Each selected step is in the score exactly once, in the document's order, whatever tests pytest
collected, reordered, repeated or left out. A step without a result is broken. Only the graph of
needs decides which steps are blocked. So no option, plugin or lost process can raise a score
or lower its maximum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import labwright
from labwright.grading.step_check import pending
from labwright.outcome import Outcome
from labwright.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labwright.grading.run import Run
    from labwright.lab.model import Step
    from labwright.score import StepResult

NO_RESULT = "its check gave no result: the run ended before it, or left it out"
ENDED = {
    Outcome.FAILED: "which failed",
    Outcome.BROKEN: "which could not be checked",
}


def assemble(
    run: Run,
    results: Iterable[StepResult],
    *,
    started: str = "",
    finished: str = "",
    missing: str = NO_RESULT,
) -> Score:
    """Return the score of a run.

    :param results: in any order; there may be unknown steps and several results of a step.
    :param missing: the reason for a step without a result, as a sentence.
    """
    known = {step.id for step in run.steps}
    told: dict[str, list[StepResult]] = {}
    for result in results:
        if result.id in known:
            told.setdefault(result.id, []).append(result)
    steps: dict[str, StepResult] = {}
    charged: dict[str, str] = {}
    roots: dict[str, dict[str, Outcome]] = {}
    for step in run.steps:  # a step comes after the steps it needs
        found = _one(step, run.lab.document.name, told.get(step.id, []), missing)
        causes: dict[str, Outcome] = {}
        for need in step.needs:
            causes.update(roots.get(need, {}))
        if causes:
            found = _blocked(found, causes)
        elif found.outcome is Outcome.FAILED and charged.get(found.cause):
            first = charged[found.cause]
            causes = {first: Outcome.FAILED}
            found = _same_cause(found, first)
        elif found.outcome is not Outcome.PASSED:
            causes = {step.id: found.outcome}
            if found.outcome is Outcome.FAILED and found.cause:
                charged[found.cause] = step.id
        roots[step.id] = causes
        steps[step.id] = found
    return Score(
        lab=run.lab.name,
        title=run.lab.title,
        target=run.target,
        started=started,
        finished=finished,
        steps=tuple(steps.values()),
        labwright=labwright.__version__,
        seed=run.seed,
        whole=len(run.steps) == len(run.lab.steps),
    )


def _one(step: Step, document: str, told: list[StepResult], missing: str) -> StepResult:
    """Return the result of one step without regard to its needs."""
    own = pending(step, document)
    # Blocking is decided in assemble(), so only the results of the check itself count here.
    told = [_by_itself(result) for result in told]
    told = [result for result in told if result.outcome is not Outcome.BLOCKED]
    if not told:
        return replace(own, reason=missing)
    outcomes = list(dict.fromkeys(result.outcome for result in told))
    found = replace(
        told[0],
        **{key: getattr(own, key) for key in ("title", "part", "max_points", "needs")},
        **{key: getattr(own, key) for key in ("file", "line")},
        points=_points(step, told),
    )
    if len(outcomes) > 1:
        return _broken(
            found,
            f"it was checked {len(told)} times, with different results: "
            f"{', '.join(outcome.value for outcome in outcomes)}",
        )
    if found.outcome is Outcome.PASSED and not found.evidence:
        return _broken(found, "its check passed without evidence")
    if found.outcome is Outcome.FAILED and not (found.evidence or found.actual):
        return _broken(found, "its check failed without evidence")
    return found


def _points(step: Step, told: list[StepResult]) -> float:
    """Return the points of a step: all of them, or the smallest share that a failure leaves."""
    if told[0].outcome is Outcome.PASSED:
        return step.points
    if told[0].outcome is Outcome.FAILED:
        return max(0, min([step.points, *(result.points for result in told)]))
    return 0


def _by_itself(result: StepResult) -> StepResult:
    """Return a result as its check gave it: blocked by a shared cause counts as failed."""
    if result.outcome is Outcome.BLOCKED and result.cause:
        return replace(result, outcome=Outcome.FAILED)
    return result


def _broken(found: StepResult, reason: str) -> StepResult:
    return replace(
        found,
        outcome=Outcome.BROKEN,
        points=0,
        reason=reason,
        expected="",
        actual="",
        hint="",
        cause="",
    )


def _blocked(found: StepResult, causes: dict[str, Outcome]) -> StepResult:
    """Return a step as blocked, with a reason that names the root causes."""
    named = [f"{id}, {ENDED[outcome]}" for id, outcome in causes.items()]
    return replace(
        found,
        outcome=Outcome.BLOCKED,
        points=0,
        reason=f"it needs {'; and '.join(named)}",
        expected="",
        actual="",
        hint="",
        cause="",
    )


def _same_cause(found: StepResult, first: str) -> StepResult:
    return replace(
        found,
        outcome=Outcome.BLOCKED,
        points=0,
        reason=f"it fails for the same cause as {first}: {found.actual}",
        hint="",
    )
