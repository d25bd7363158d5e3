"""The lab machine with the states of a lab: what a lab's definition makes of a guest.

A state is named by its lab and kept under what it was made of. So the states of several labs
lie side by side, all above the same Debian with Docker, and those that are made of the same
are the same.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

from labwright.lab.model import DOCKER
from labwright.machines.image_context import Component
from labwright.machines.perform import perform
from labwright.vm import carry, guest
from labwright.vm.setup import with_setup
from labwright.vm.states import State, with_images
from labwright.vm.systems import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.model import Lab, Step
    from labwright.machines.machine import Machine
    from labwright.vm.guest import Guest
    from labwright.vm.systems import System

SECONDS_PER_STEP = 6.0


def states(lab: Lab, system: System | None = None) -> dict[str, State]:
    """Return a lab's states on a system (its own, if None), each on top of the one before it."""
    system = system or choose(lab, None)
    components = [
        Component(image.name, image.folder, image.package, image.dependencies, image.published)
        for image in lab.images
    ]
    own = with_images(DOCKER, with_setup(system, lab.setup), components)
    imported = carry.find(lab, system)
    found = {DOCKER: carry.imported_state(imported, system) if imported else own}
    below, done = found[DOCKER], set[str]()
    for name, ids in lab.states.items():
        steps = tuple(step for step in lab.with_needs(list(ids)) if step.id not in done)
        done |= {step.id for step in steps}
        below = found[name] = State(
            name=name,
            system=system,
            parent=below,
            key=_key(lab, steps),
            prepare=lambda machine, steps=steps: _prepare(lab, steps, machine),  # type: ignore[misc]
            estimate_s=SECONDS_PER_STEP * len(steps),
        )
    return found


def up(name: str, lab: Lab, state: str, system: System | None = None) -> Guest:
    """Start a machine in a state of a lab, or return the one of this name that runs."""
    return guest.up(name, state, states(lab, system), lab=lab.name)


@contextmanager
def ephemeral(lab: Lab, state: str, system: System | None = None) -> Iterator[Guest]:
    """Run a machine that is gone afterwards, also when we are killed."""
    with guest.ephemeral(state, states(lab, system), lab=lab.name) as found:
        yield found


def _prepare(lab: Lab, steps: tuple[Step, ...], machine: Machine) -> None:
    for _ in perform(lab, steps, machine):
        pass


def _key(lab: Lab, steps: tuple[Step, ...]) -> str:
    """Return what makes a state another one: what is performed, and how."""
    how = resources.files("labwright.machines").joinpath("perform.py").read_text(encoding="utf-8")
    return "\0".join([how, lab.prelude, *(repr(step.perform) for step in steps)])
