"""A run: which steps of which lab are graded on which target, and with which options."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labwright.errors import UsageError
from labwright.grading import step_check
from labwright.score import SEED_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from labwright.lab.model import Lab, Step


LIMIT_S = 1800.0
"""Seconds for all steps. Each question has its own time limit; a machine may use all of each."""


@dataclass(frozen=True)
class Run:
    """One run of a lab's steps, with everything that a grading needs."""

    lab: Lab
    target: str = "local"
    selected: tuple[str, ...] = ()
    """The ids of the steps to run, in the document's order, with the steps that they need."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The lab's values for this run."""
    seed: int = 0
    """The seed of all random choices."""
    hints: str = "full"
    """How much of a hint is shown: one of :data:`labwright.grading.step_check.HINTS`."""
    deploy: bool = False
    """Whether the lab's containers are started first, and removed afterwards."""
    reached: bool = False
    """Whether the document has just reached these steps, so that no later step has undone them."""
    alluredir: Path | None = None
    """The folder for Allure's results, if any."""
    patient: bool = True
    """Whether a check with a ``wait`` is repeated until it passes; False in a watch."""
    student: str = ""
    """The student's id, if known."""
    limit_s: float = LIMIT_S
    """Time limit for all steps in seconds; steps that are not checked by then are broken."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The selected steps, in the document's order."""
        chosen = set(self.selected)
        return tuple(step for step in self.lab.steps if step.id in chosen)

    def only(self, ids: Iterable[str], *, needs: bool = True) -> Run:
        """Return the same run with other steps, with or without the steps that they need.

        A needed step that is not selected blocks nothing.
        """
        chosen = set(ids)
        if needs:
            chosen = {step.id for step in self.lab.with_needs(list(chosen))}
        selected = tuple(step.id for step in self.lab.steps if step.id in chosen)
        return replace(self, selected=selected)

    def on(self, target: str) -> Run:
        """Return the same run on another target."""
        return replace(self, target=target)


@dataclass(frozen=True)
class RunOptions:
    """The options of a run as plain data, for the journal of a class and for workers."""

    part: int | None = None
    """Run only this part of the document."""
    steps: tuple[str, ...] = ()
    """Run only these steps, by id."""
    settings: tuple[str, ...] = ()
    """``KEY=VALUE`` settings of the lab's values; the last one for a key counts."""
    seed: int | None = None
    """None: draw a new seed."""
    hints: str = "full"
    """How much of a hint is shown."""

    def __str__(self) -> str:
        """Return the options as command-line arguments."""
        words = [] if self.part is None else [f"--part={self.part}"]
        words += [f"--step={step}" for step in self.steps]
        words += [] if self.hints == "full" else [f"--hints={self.hints}"]
        words += [f"--set={setting}" for setting in self.settings]
        words += [] if self.seed is None else [f"--seed={self.seed}"]
        return " ".join(words)

    def plan(self, lab: Lab, target: str) -> Run:
        """Return the run of a lab with these options; see :func:`plan`."""
        return plan(
            lab,
            target,
            part=self.part,
            steps=self.steps,
            settings=self.settings,
            seed=self.seed,
            hints=self.hints,
        )


def plan(
    lab: Lab,
    target: str = "local",
    *,
    part: int | None = None,
    steps: Iterable[str] = (),
    settings: Iterable[str] = (),
    seed: int | None = None,
    hints: str = "full",
    deploy: bool = False,
    alluredir: Path | None = None,
    limit_s: float = LIMIT_S,
) -> Run:
    """Validate the options and return the run.

    :raises UsageError: the lab has no such part, step or value.
    :raises DefinitionError: a step's check does not exist, or needs a value that is not given.
    """
    if not __debug__:
        # A check that ends in a failed assertion would pass.
        raise UsageError("Python was told to leave out assertions: unset PYTHONOPTIMIZE, drop -O")
    if hints not in step_check.HINTS:
        raise UsageError(f"hints must be one of {', '.join(step_check.HINTS)}, not {hints!r}")
    if (seed or 0).bit_length() > SEED_BITS:
        raise UsageError(f"the seed has more than {SEED_BITS} bits: {str(seed)[:20]}...")
    if not limit_s > 0:
        raise UsageError(f"the time limit must be more than 0 seconds, not {limit_s:g}")
    values = lab.values_with(list(settings))
    chosen = lab.selected(part, list(steps))
    for step in chosen:
        step_check.bind(lab, step, values)
    return Run(
        lab=lab,
        target=target,
        selected=tuple(step.id for step in chosen),
        values=values,
        seed=random.SystemRandom().randrange(1 << 31) if seed is None else seed,
        hints=hints,
        deploy=deploy,
        alluredir=alluredir,
        limit_s=limit_s,
    )
