"""Checks steps in this process, each once on each target, in any order of tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from labwright.errors import CheckFailed, LabwrightError
from labwright.grading import step_check
from labwright.grading.assemble import assemble
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.grading.run import Run
    from labwright.lab.model import Step
    from labwright.outcome import Observation
    from labwright.score import StepResult


class NotChecked(LabwrightError):  # noqa: N818
    """A step's test ended without running the step's check."""

    def __init__(self) -> None:
        super().__init__("its test ended before the step's check was run")


class Blocked(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # made by a decorator
    """A step was not checked, because a step that it needs did not pass."""


@dataclass
class _Examined:
    result: StepResult
    problem: BaseException | None
    told: bool = False
    """Whether the result was reported."""


class Examiner:
    """Runs the checks of this process, and keeps their results.

    A needed step is checked first, even if pytest has another order, or has given that step to
    another worker: a needed step that was not checked never counts as passed.
    """

    def __init__(self, tape: list[Observation]) -> None:
        self._tape = tape
        self._known: dict[tuple[Path, str], dict[str, _Examined]] = {}
        self._ends: dict[tuple[Path, str], float] = {}
        """The deadline of each run, by the monotonic clock."""

    def examine(self, run: Run, step: Step, request: pytest.FixtureRequest) -> bool:
        """Check a step after all steps that it needs; return whether it passed."""
        known = self._of(run)
        if step.id in known:
            return known[step.id].result.outcome is Outcome.PASSED
        needs = [need for need in run.steps if need.id in step.needs]
        if not all(self.examine(run, need, request) for need in needs):
            return False
        known[step.id] = self._checked(run, step, request)
        return known[step.id].result.outcome is Outcome.PASSED

    def _checked(self, run: Run, step: Step, request: pytest.FixtureRequest) -> _Examined:
        result = step_check.pending(step, run.lab.document.name)
        start = time.monotonic()
        ends = self._ends.setdefault((run.lab.folder, run.target), start + run.limit_s)

        def on_time() -> None:
            if time.monotonic() > ends:
                raise step_check.LimitReached(run.limit_s)

        seen = step_check.Seen(on_time=on_time)
        self._tape.clear()
        problem: BaseException | None = None
        try:
            on_time()
            bound = step_check.bind(run.lab, step, run.values, reached=run.reached)
            witnesses = {name: request.getfixturevalue(name) for name in bound.witnesses}
            wait_s = step.wait_s if run.patient else 0.0
            machine = request.getfixturevalue("machine") if wait_s else None
            step_check.examine(bound, witnesses, seen, wait_s, machine)
            result = step_check.passed(result, seen)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except CheckFailed as failure:
            problem = failure
            hint = step_check.shown_hint(failure.hint or step.hint, run.hints)
            result = step_check.failed(result, failure, seen, hint)
        except BaseException as failure:  # noqa: BLE001  whatever a check may do
            problem = failure
            result = step_check.broken(result, failure, seen)
        took = round(time.monotonic() - start, 3)
        result = replace(result, duration_s=took, observations=tuple(self._tape))
        self._tape.clear()
        return _Examined(result, problem)

    def raise_for(self, run: Run, step: Step) -> None:
        """Raise the error of a step's check, or :class:`Blocked`."""
        __tracebackhide__ = True
        found = self._of(run).get(step.id)
        if found is None:
            raise Blocked(self.shown(run, step).reason)
        if found.problem:
            raise found.problem
        if self.shown(run, step).outcome is Outcome.BLOCKED:
            raise Blocked(self.shown(run, step).reason)

    def blocked_by(self, run: Run, step: Step) -> str:
        """Return why a step is blocked, as far as known; "" if it is not."""
        shown = self.shown(run, step)
        return shown.reason if shown.outcome is Outcome.BLOCKED else ""

    def knows(self, run: Run, step: Step) -> bool:
        """Return whether the step was checked, or is blocked."""
        return step.id in self._of(run) or bool(self.blocked_by(run, step))

    def raised_by_check(self, run: Run, step: Step, problem: BaseException) -> bool:
        """Return whether a test ended with the error that its step's check raised."""
        found = self._of(run).get(step.id)
        return found is not None and found.problem is problem

    def mark_broken(self, run: Run, step: Step, problem: BaseException) -> None:
        """Make a step broken, because its test ended with another error than its check."""
        known = self._of(run)
        before = known.get(step.id)
        result = before.result if before else step_check.pending(step, run.lab.document.name)
        seen = step_check.Seen(list(result.evidence), list(result.notices))
        blank = replace(result, points=0, expected="", actual="", hint="", cause="")
        known[step.id] = _Examined(step_check.broken(blank, problem, seen), problem)

    def shown(self, run: Run, step: Step) -> StepResult:
        """Return a step's result, as far as this process knows it."""
        known = self._of(run)
        bad = {id for id in known if known[id].result.outcome is not Outcome.PASSED}
        chosen = {*known, step.id}
        for need in run.lab.with_needs([step.id]):
            if bad & {each.id for each in run.lab.with_needs([need.id])}:
                chosen.add(need.id)
        part = replace(run, selected=tuple(id for id in run.selected if id in chosen))
        score = assemble(part, [found.result for found in known.values()])
        return next(each for each in score.steps if each.id == step.id)

    def new_results(self, run: Run, step: Step) -> list[StepResult]:
        """Return the results that were not reported yet: the step's, and of the steps it needs."""
        known = self._of(run)
        if step.id in known and self._tape:  # later questions of a fixture
            late = known[step.id]
            late.result = replace(
                late.result, observations=(*late.result.observations, *self._tape)
            )
        self._tape.clear()
        new = [found for found in known.values() if not found.told]
        for found in new:
            found.told = True
        return [found.result for found in new]

    def _of(self, run: Run) -> dict[str, _Examined]:
        return self._known.setdefault((run.lab.folder, run.target), {})
