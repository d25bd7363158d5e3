"""The runs of this process: one for each lab and target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from labwright.grading.run import plan
from labwright.lab.edition import edition

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.grading.run import Run
    from labwright.machines.machine import Machine
    from labwright.score import StepResult


class Listener(Protocol):
    """Receives the results of a run while it runs."""

    def step(self, result: StepResult) -> None:
        """A step has been checked."""


class Given:
    """Passes a run to the plugin as an object, in a process that grades."""

    NAME = "labwright-given"

    def __init__(self, run: Run, listener: Listener, machine: Machine | None) -> None:
        self.run = run
        self.listener = listener
        self.machine = machine


class Runs:
    """Makes the run of each collected lab and target once."""

    def __init__(self, option: Any, given: Given | None) -> None:
        self._option = option
        self._given = given
        self.targets = tuple(dict.fromkeys(option.target)) if given is None else ()
        """The targets of the command line; empty: this machine."""
        self.met: dict[Path, tuple[Run, ...]] = {}
        """The runs of each lab's folder, one for each target."""
        if given:
            self.met[given.run.lab.folder] = (given.run,)

    def of(self, folder: Path) -> tuple[Run, ...]:
        """Return the runs of a lab, one for each target.

        :raises LabwrightError: its definition or the options are wrong.
        """
        if folder not in self.met:
            option = self._option
            run = plan(
                edition(folder, option.set),
                part=option.part,
                steps=option.step,
                settings=option.set,
                seed=option.seed,
                hints=option.hints,
                deploy=option.deploy,
            )
            self.met[folder] = tuple(run.on(target) for target in self.targets or ("local",))
        return self.met[folder]

    def on(self, folder: Path, target: str) -> Run:
        """Return the run of a lab on a target."""
        return next(run for run in self.of(folder) if run.target == target)
