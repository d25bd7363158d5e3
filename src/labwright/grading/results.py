"""Collects the results of a run's steps into its score."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import labwright
from labwright.score import Score, StepResult, step_from_dict

if TYPE_CHECKING:
    from collections.abc import Callable

PROPERTY = "labwright-step"
"""Name of the property by which a test's report carries its step's result."""


class Recorder:
    """A pytest plugin that hears of each finished step, in this process or in a worker."""

    def __init__(self, target: str, seed: int) -> None:
        self.steps: list[StepResult] = []
        self._lab = self._title = ""
        self.expected: list[StepResult] = []
        """What the steps count as until they have been examined, in their order."""
        self.on_step: Callable[[StepResult], None] = lambda _: None
        self._target = target
        self._seed = seed
        self._started = _now()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take the result out of a report that carries one."""
        for name, value in report.user_properties if report.when == "teardown" else ():
            if name == PROPERTY:
                told = json.loads(value)
                self._lab, self._title = told["lab"], told["title"]
                result = step_from_dict(told["step"])
                self.steps.append(result)
                self.on_step(result)

    def score(self) -> Score:
        """Return the score; a step that the run did not come to is broken, and no grade."""
        examined = {step.id for step in self.steps}
        unexamined = [step for step in self.expected if step.id not in examined]
        return Score(
            lab=self._lab,
            title=self._title,
            target=self._target,
            started=self._started,
            finished=_now(),
            steps=(*self.steps, *unexamined),
            labwright=labwright.__version__,
            seed=self._seed,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
