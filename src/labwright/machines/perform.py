"""Plays the student: performs a lab's steps on a machine by the commands of its definition."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING

from labwright.errors import PerformError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labwright.lab.model import Command, Lab, Step
    from labwright.machines.machine import Machine

COMMAND_TIMEOUT_S = 180.0
READY_TIMEOUT_S = 180.0


def perform(lab: Lab, steps: Iterable[Step], machine: Machine) -> Iterator[tuple[Step, str]]:
    """Perform steps one after another; yield each with what its commands printed.

    What the document asks for between two of them is done as well, also if it has no check.

    :raises PerformError: a command failed, or a foreground program did not get ready.
    """
    last = 0
    for step in steps:
        printed = ""
        for waived in lab.waived:
            if last < waived.at < step.line:
                printed += "".join(run(lab, waived.id, c, machine) for c in waived.perform)
        last = max(last, step.line)
        printed += "".join(run(lab, step.id, command, machine) for command in step.perform)
        yield step, printed


def run(lab: Lab, step: str, command: Command, machine: Machine) -> str:
    """Perform one command as ``lab.toml`` says; return what it printed.

    :raises PerformError: it failed, or did not get ready.
    """
    before = "\n".join(filter(None, (lab.opening, lab.prelude)))
    if command.terminal:
        return _in_a_terminal(before, step, command, machine)
    script = _script(before, command.run)
    if command.interrupt_s:
        return _interrupted(script, step, command, machine)
    result = machine.run("bash -c %s", script, timeout=COMMAND_TIMEOUT_S)
    if not result.ok:
        raise PerformError(
            f"step {step}: `{_first_line(command.run)}` exited {result.exit_status} "
            f"on {machine.target}: {_last_line(result.stderr or result.stdout)}"
        )
    return result.stdout


def _interrupted(script: str, step: str, command: Command, machine: Machine) -> str:
    """Run a program for a while and then interrupt it, as Ctrl-C does."""
    for_a_while = "timeout --signal=INT --kill-after=10 %s bash -c %s"
    limit = command.interrupt_s + COMMAND_TIMEOUT_S
    result = machine.run(for_a_while, str(command.interrupt_s), script, timeout=limit)
    if result.exit_status not in (0, 124, 130):
        raise PerformError(
            f"step {step}: `{_first_line(command.run)}` exited {result.exit_status} before it "
            f"was interrupted, on {machine.target}: {_last_line(result.stderr or result.stdout)}"
        )
    return result.stdout


def _script(prelude: str, command: str) -> str:
    """Return a command with the prelude before it, if it uses anything that it defines.

    Looking up addresses takes longer than most commands, on an emulated processor.
    """
    names = re.findall(r"^\s*(?:export\s+)?(\w+)(?==|\(\))", prelude, re.MULTILINE)
    used = any(re.search(rf"\b{name}\b", command) for name in names)
    return f"set -euo pipefail\n{prelude if used else ''}\n{command}"


def _in_a_terminal(prelude: str, step: str, command: Command, machine: Machine) -> str:
    """Leave a foreground program in a terminal of its own, and wait until it is ready.

    The terminal is one of ``script`` (util-linux), whose session outlives ours: a
    student's second terminal stays open too.
    """
    log = f"/tmp/labwright-{command.terminal}.log"  # noqa: S108  on the target
    terminal = "SHELL=/bin/bash exec setsid -f script -qfec %s %s </dev/null >/dev/null 2>&1"
    machine.run(terminal, _script(prelude, command.run), log)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while command.ready:
        if machine.run("bash -c %s", _script(prelude, command.ready)).ok:
            break
        text = machine.read(log) or ""
        if "COMMAND_EXIT_CODE" in text or time.monotonic() > deadline:
            raise PerformError(
                f"step {step}: `{_first_line(command.run)}` did not get ready "
                f"on {machine.target}: {_last_line(text)}"
            )
        time.sleep(0.2)
    return machine.read(log) or ""


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[0] + (" ..." if len(lines) > 1 else "")


def _last_line(text: str) -> str:
    """Return the last line that says something; ``script`` ends its log with its own."""
    lines = [line for line in text.splitlines() if line.strip() and "COMMAND_EXIT" not in line]
    return shlex.quote(lines[-1][:300]) if lines else "it printed nothing"
