"""Prepares the third stage of the gate: a new machine, and the lab's checks."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from labwright.errors import MachineError
from labwright.gate.walkthrough import Walkthrough
from labwright.grading.run import plan
from labwright.host.progress import say
from labwright.plugin.grade import grade
from labwright.vm import lab_states, systems
from labwright.vm.target import guest_machine, open_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.gate.findings import Finding
    from labwright.gate.stages import Course
    from labwright.gate.walkthrough import Progress
    from labwright.lab.model import Lab, Step
    from labwright.machines.machine import Machine
    from labwright.score import StepResult
    from labwright.vm.systems import System

DOCKER_HUB = "https://registry-1.docker.io/v2/"
_REACHED = f"curl --silent --output /dev/null --max-time 3 {DOCKER_HUB}"
_STOP_REGISTRY = "sudo pkill -x docker-registry"


def follow(
    course: Course, target: str | None, system: str | None = None
) -> tuple[list[Finding], str]:
    """Follow a lab's document on a machine; return the findings, and a summary.

    :param target: the machine; None for a new lab machine.
    :param system: the name of the new machine's system; None for the lab's own.
    """
    lab = course.lab
    assert lab  # noqa: S101  a document that belongs to no lab is not followed
    chosen = systems.choose(lab, system)
    with ExitStack() as stack:
        machine = _machine(stack, lab, target, chosen)
        walkthrough = Walkthrough(
            document=course.document,
            lab=lab,
            machine=machine,
            examine=lambda steps: _examined(lab, steps, machine),
            tell=_tell,
            done=frozenset(() if target else (step.id for step in lab.performed(lab.start))),
        )
        found = walkthrough.run()
        where = target or f"a new {chosen.name} in the state {lab.start}"
        if found:
            return found, f"typed {walkthrough.typed} commands on {where}"
        return found, f"on {where}: {walkthrough.summary()}"


def _machine(stack: ExitStack, lab: Lab, target: str | None, system: System) -> Machine:
    if target:
        return stack.enter_context(closing(open_machine(target)))
    guest = stack.enter_context(lab_states.ephemeral(lab, lab.start, system))
    machine = stack.enter_context(closing(guest_machine(guest)))
    if any(image.published for image in lab.images):
        _choose_registry(machine)
    return machine


def _choose_registry(machine: Machine) -> None:
    """Pull images from Docker Hub if it can be reached, as a student does."""
    if machine.run(_REACHED).ok:
        if not machine.run(_STOP_REGISTRY).ok:
            raise MachineError("the lab machine's registry could not be stopped")
        say("images are pulled from Docker Hub")
    else:
        say("Docker Hub cannot be reached: images are pulled from a registry in the machine")


def _examined(lab: Lab, steps: Sequence[Step], machine: Machine) -> tuple[StepResult, ...]:
    # The needed steps were checked when they were performed.
    run = plan(lab, machine.target, seed=1).only((step.id for step in steps), needs=False)
    on_the_way = len(steps) < len(lab.steps)
    return grade(replace(run, reached=on_the_way), machine=machine).steps


def _tell(progress: Progress) -> None:
    took = f" ({progress.seconds:.1f} s)" if progress.seconds else ""
    say(f"  {progress.line or '':>4} {progress.what}{took}")
