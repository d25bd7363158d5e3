"""A step is performed by its own commands, in a shell that knows what a student's would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labwright.errors import PerformError
from labwright.lab.model import Command, Lab, Step, Waived
from labwright.machines.machine import CommandResult
from labwright.machines.perform import perform


class Shell:
    """A machine that remembers the scripts it was given, and answers each alike."""

    target = "vm:x"

    def __init__(self, status: int = 0) -> None:
        self.scripts: list[str] = []
        self.status = status

    def run(self, _command, script, timeout=0.0):
        self.scripts.append(script)
        return CommandResult("", self.status, "out\n", "why it did not\n", 0.0)


def lab_of(prelude: str, command: Command) -> Lab:
    """Return a lab of the one step ``a``."""
    step = Step("a", "A", "", 100, (), "m.f", {}, "", (command,), 1)
    return Lab("l", "L", Path(), Path("lab.md"), {}, {}, prelude, (step,))


PRELUDE = """
IP_ADDR=$(ip address)
address() { docker inspect "$1"; }
"""


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("sudo modprobe ip_vs", False),
        ("curl http://$IP_ADDR:4444", True),
        ("curl http://${IP_ADDR}:4444", True),
        ("register $(address server1)", True),
        ("echo MY_IP_ADDRESS", False),
    ],
)
def test_the_prelude_stands_before_what_uses_it_and_costs_nothing_else(command, known):
    lab = lab_of(PRELUDE, Command(command))
    machine = Shell()
    ((step, printed),) = perform(lab, lab.steps, machine)
    assert (step.id, printed) == ("a", "out\n")
    (script,) = machine.scripts
    assert (PRELUDE in script) == known
    assert script.startswith("set -euo pipefail\n")
    assert script.endswith(f"\n{command}")


def test_a_command_that_fails_is_named_with_what_it_said():
    lab = lab_of("", Command("false\ntrue"))
    with pytest.raises(PerformError, match=r"step a: `false ...` exited 3 on vm:x: .*why"):
        list(perform(lab, lab.steps, Shell(3)))


def test_what_is_waived_is_performed_between_the_steps():
    step = lab_of("", Command("second")).steps[0]
    first = replace(step, id="z", line=1, perform=(Command("first"),))
    waived = (Waived("w", "no check", 9, (Command("between"),), at=2),)
    lab = replace(
        lab_of("", Command("")), steps=(first, replace(step, line=3)), waived=waived, opening="X=1"
    )
    machine = Shell()
    list(perform(lab, lab.steps, machine))
    assert [script.split("\n")[-1] for script in machine.scripts] == ["first", "between", "second"]
    assert "X=1" not in machine.scripts[0], "nothing uses it"


def test_a_program_is_interrupted_after_its_time():
    class Watched(Shell):
        def run(self, command, *arguments, timeout=0.0):
            self.scripts.append(" ".join((command, *map(str, arguments))))
            return CommandResult("", self.status, "", "", 0.0)

    lab = lab_of("", Command("ping x", interrupt_s=3.0))
    machine = Watched(124)
    list(perform(lab, lab.steps, machine))
    assert machine.scripts[0].startswith("timeout --signal=INT --kill-after=10 %s bash -c %s 3.0")
    with pytest.raises(PerformError, match="before it was interrupted"):
        list(perform(lab, lab.steps, Watched(2)))
