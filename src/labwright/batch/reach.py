"""Connects to a student's machine: host keys pinned, nothing forwarded, no prompts."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labwright.batch.task import Identity
from labwright.errors import LabwrightError, MachineError
from labwright.machines.destination import Destination
from labwright.machines.ssh import SshMachine
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labwright.batch.task import Task
    from labwright.machines.machine import Machine

REACH_S = 40.0
"""Time limit, in seconds, of the probe that decides whether a machine is reachable."""
MOST_CONTAINERS = 64
HASH = re.compile(r"[0-9a-f]{64}")
BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def connection(task: Task, folder: Path) -> Machine:
    """Return the machine of a task, not yet connected.

    A known host key must match. An unknown one is accepted the first time, and :func:`pins`
    returns it.

    :param folder: a private folder for ssh's files.
    :raises UsageError: the target is invalid, or names a guest that does not run.
    """
    if not task.target.startswith("ssh://"):
        return open_machine(task.target)
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(f"{line}\n" for line in task.pins))
    parsed = Destination.parse(task.target)
    known = any(line.split(" ", 1)[0] == task.id for line in task.pins)
    destination = replace(
        parsed, known_hosts=known_hosts, strict=known, alias=task.id, jump=task.jump
    )
    return SshMachine(task.target, destination)


def pins(folder: Path) -> tuple[str, ...]:
    """Return the host keys that are known now, as lines of known_hosts."""
    known_hosts = folder / "known_hosts"
    lines = known_hosts.read_text().splitlines() if known_hosts.exists() else []
    return tuple(line.strip() for line in lines if line.strip())


def probe(task: Task, machine: Machine, folder: Path) -> Identity:
    """Connect to a machine, and return what identifies it.

    :raises HostUnreachable: no connection could be made.
    :raises CommandTimedOut: it does not answer.
    """
    clock: Any = {}
    try:
        clock = machine.probe({"task": "clock"}, timeout=REACH_S)
    except MachineError as problem:
        # A machine without python3 is reachable, too; its steps report what is missing.
        if not machine.run("true", timeout=REACH_S).ok:
            raise MachineError(f"{machine.target} runs no commands: {problem}") from problem
    keys = [" ".join(p.split()[1:3]) for p in pins(folder) if p.split()[0] == task.id]
    return _identity(machine, clock, tuple(keys))


def identity_of(machine: Machine) -> Identity:
    """Return what identifies a machine; fields that it does not reveal stay empty.

    :raises MachineError: it does not answer.
    """
    return _identity(machine, machine.probe({"task": "clock"}, timeout=REACH_S), ())


def _identity(machine: Machine, clock: Any, keys: tuple[str, ...]) -> Identity:
    engine, containers = _docker(machine)
    return Identity(
        host_keys=keys,
        machine=_matching(HASH, clock, "machine"),
        boot=_matching(BOOT, clock, "boot_id"),
        engine=engine,
        containers=containers,
    )


def _matching(pattern: re.Pattern[str], answer: Any, key: str) -> str:
    value = answer.get(key) if isinstance(answer, dict) else None
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _docker(machine: Machine) -> tuple[str, tuple[str, ...]]:
    """Return the ids of the Docker Engine and its containers.

    A failure of the Engine is ignored here: the steps report it.
    """
    # The machine is hostile: its answer can make docker's client raise anything.
    with contextlib.suppress(LabwrightError, Exception):
        engine = machine.docker.api.info().get("ID")
        found: list[Mapping[str, Any]] = machine.docker.api.containers(all=True)
        ids = [str(each.get("Id")) for each in found[:MOST_CONTAINERS]]
        shown = engine if isinstance(engine, str) and engine.isprintable() else ""
        return shown[:100], tuple(sorted(id for id in ids if HASH.fullmatch(id)))
    return "", ()
