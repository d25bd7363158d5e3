"""Creates the watch of a lab on a target, which checks steps as a grading does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labwright.grading.watch import Watch
from labwright.outcome import Outcome
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.grading.run import Run
    from labwright.grading.watch import Event
    from labwright.machines.machine import Machine
    from labwright.score import Score, StepResult


def watch(
    run: Run,
    tell: Callable[[Event], None],
    connect: Callable[[], Machine] | None = None,
    traffic: bool = True,
    on_grade: Callable[[Score], None] = lambda _: None,
) -> Watch:
    """Return a watch that checks steps as ``labwright check`` does.

    :param run: the run of the whole lab on the target.
    :param connect: opens the machine; the default opens the target.
    :param on_grade: called with the score when all steps were checked and no failed step
        may still become right by itself: then the score is as good as a grading.
    """

    def examine(
        machine: Machine,
        steps: Sequence[str],
        on_step: Callable[[StepResult], None],
        *,
        patient: bool,
    ) -> Score:
        from labwright.plugin.grade import grade

        asked = replace(run.only(steps), patient=patient)
        score = grade(asked, _Listener(on_step), machine, in_thread=True)
        passed = score.count(Outcome.PASSED) == len(run.lab.steps)
        if passed or (patient and len(steps) == len(run.lab.steps)):
            on_grade(score)
        return score

    target = run.target
    return Watch(run.lab, target, connect or (lambda: open_machine(target)), examine, tell, traffic)


class _Listener:
    def __init__(self, on_step: Callable[[StepResult], None]) -> None:
        self._on_step = on_step

    def step(self, result: StepResult) -> None:
        """Pass on the result of a step."""
        self._on_step(result)
