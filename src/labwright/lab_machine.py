"""The lab machine with the states of the lab: what a lab's definition makes of a guest."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

from labwright.definition import load_lab
from labwright.lab import find_lab
from labwright.machines import guest
from labwright.machines.vm.states import DOCKER, State
from labwright.perform import perform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab import Lab, Step
    from labwright.machines.guest import Guest
    from labwright.machines.machine import Machine

LAB = "gorb"
SECONDS_PER_STEP = 6.0


def states() -> dict[str, State]:
    """Return the lab's states, each on top of the one before it."""
    lab = load_lab(find_lab(LAB))
    found: dict[str, State] = {}
    parent, done = DOCKER, set[str]()
    for name, ids in lab.states.items():
        steps = tuple(step for step in lab.with_needs(list(ids)) if step.id not in done)
        done |= {step.id for step in steps}
        found[name] = State(
            name=name,
            parent=parent,
            key=_key(lab, steps),
            prepare=lambda machine, steps=steps: _prepare(lab, steps, machine),  # type: ignore[misc]
            estimate_s=SECONDS_PER_STEP * len(steps),
        )
        parent = name
    return found


def up(name: str, state: str) -> Guest:
    """Start a machine in a state, or return the one of this name that runs."""
    return guest.up(name, state, states())


@contextmanager
def ephemeral(state: str) -> Iterator[Guest]:
    """Run a machine that is gone afterwards, also when we are killed."""
    with guest.ephemeral(state, states()) as found:
        yield found


def _prepare(lab: Lab, steps: tuple[Step, ...], machine: Machine) -> None:
    for _ in perform(lab, steps, machine):
        pass


def _key(lab: Lab, steps: tuple[Step, ...]) -> str:
    """Return what makes a state another one: what is performed, and how."""
    how = resources.files("labwright").joinpath("perform.py").read_text(encoding="utf-8")
    return "\0".join([how, lab.prelude, *(repr(step.perform) for step in steps)])
