"""One run of a lab's steps: what is graded, and how, in one object."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labwright.errors import UsageError
from labwright.grading import step_check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from labwright.lab.model import Lab, Step


LIMIT_S = 1800.0
"""Seconds: each question has a time limit of its own, and a machine may let all of them pass."""


@dataclass(frozen=True)
class Run:
    """What is graded, and how. It is handed on whole."""

    lab: Lab
    target: str = "local"
    selected: tuple[str, ...] = ()
    """The ids of the steps, in the document's order, with all that they need."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The lab's values, with those that were changed for this run."""
    seed: int = 0
    """Of everything random."""
    hints: str = "full"
    """How much a failed step gives away: one of :data:`labwright.grading.step_check.HINTS`."""
    deploy: bool = False
    """Whether the lab is brought up first, and taken down afterwards."""
    reached: bool = False
    """Whether the document has just come to the steps, so that no later one has undone them."""
    alluredir: Path | None = None
    """Where Allure's results are written, if they are."""
    patient: bool = True
    """Whether a check with a ``wait`` is repeated until it holds; a watch does not wait."""
    student: str = ""
    """Whose machine the target is, where that is known."""
    limit_s: float = LIMIT_S
    """Seconds for all steps together; what is not examined by then is broken."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The selected steps, in the document's order."""
        chosen = set(self.selected)
        return tuple(step for step in self.lab.steps if step.id in chosen)

    def only(self, ids: Iterable[str], *, needs: bool = True) -> Run:
        """Return the same run of these steps, with all that they need or without.

        A need that is not selected is in no step's way.
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
    """How a lab is graded, as plain data: a class keeps it, and workers are sent it."""

    part: int | None = None
    """Only this part of the document."""
    steps: tuple[str, ...] = ()
    """Only these steps, by id."""
    settings: tuple[str, ...] = ()
    """``KEY=VALUE``, which change the lab's values; of two for one key, the later one counts."""
    seed: int | None = None
    """None: a new one is drawn."""
    hints: str = "full"
    """How much a failed step gives away."""

    def __str__(self) -> str:
        """Return them as a command line has them."""
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
    """Return the run that a command line asks for, once all of it is found to be right.

    :raises UsageError: the lab has no such part, step or value.
    :raises DefinitionError: a step's check does not exist, or lacks a value.
    """
    if hints not in step_check.HINTS:
        raise UsageError(f"hints must be one of {', '.join(step_check.HINTS)}, not {hints!r}")
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
