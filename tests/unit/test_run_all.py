"""Several commands are run in one visit to a machine, and each is kept by itself."""

from __future__ import annotations

import pytest

from labwright.errors import CommandTimedOut, MachineError
from labwright.machines.local import LocalMachine
from labwright.machines.recorded import NotRecorded, RecordedMachine, RecordingMachine


@pytest.fixture
def machine():
    machine = LocalMachine()
    yield machine
    machine.close()


def test_each_command_has_its_own_end_and_outputs(machine):
    first, second, third = machine.run_all(["echo one", "echo two >&2; exit 3", "kill -9 $$"])
    assert (first.stdout, first.exit_status) == ("one\n", 0)
    assert (second.stderr, second.exit_status) == ("two\n", 3)
    assert third.exit_status == 137


def test_one_that_does_not_end_is_its_own_error(machine):
    slow, fast = machine.run_all(["sleep 60", "echo fast"], timeout=0.5)
    assert isinstance(slow, CommandTimedOut)
    assert fast.stdout == "fast\n"


def test_what_a_command_leaves_running_is_ended_and_not_waited_for(machine):
    (result,) = machine.run_all(["sleep 60 & echo $!"])
    assert result.ok
    (left,) = machine.run_all([f"ps -o stat= -p {int(result.stdout)} | grep -v Z"])
    assert not left.stdout


def test_output_beyond_the_limit_is_thrown_away(machine):
    (result,) = machine.run_all(["yes | head -c 3000000"])
    assert result.truncated
    assert len(result.stdout) < 1 << 20


def test_a_command_has_no_input_and_speaks_english(machine):
    read, language = machine.run_all(["cat", "echo $LC_ALL"])
    assert (read.stdout, language.stdout) == ("", "C\n")


def test_the_record_answers_each_command_by_itself(machine):
    tape: list = []
    RecordingMachine(machine, tape).run_all(["echo one", "sleep 60"], timeout=0.5)
    again = RecordedMachine("local", tape)
    slow, one, new = again.run_all(["sleep 60", "echo one", "echo new"])
    assert isinstance(slow, CommandTimedOut)
    assert one.stdout == "one\n"
    assert isinstance(new, NotRecorded)
    assert isinstance(new, MachineError)
