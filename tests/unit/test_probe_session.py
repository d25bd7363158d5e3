"""One process of the probe answers task after task, and never one with another's answer."""

import json
import re
import sys

import pytest

from labwright.errors import CommandTimedOut, MachineError, ProbeError
from labwright.machines.local import LocalMachine
from labwright.machines.machine import Machine

CLOCK = {"task": "clock"}


class Pretender(Machine):
    """A machine whose python3 is a program of the test's: it reads the probe, then tasks."""

    target = "pretender"

    def __init__(self, body: str) -> None:
        self._body = (
            "import sys, time\nlines = sys.stdin.buffer\nsay = sys.stdout\n"
            f"say.write('labwright-NONCE 1\\n')\n{body}"
        )
        self.started = 0

    def program(self, command):
        self.started += 1
        nonce = re.search(r"[0-9a-f]{16}", command)[0]
        return [sys.executable, "-u", "-I", "-c", self._body.replace("NONCE", nonce)]

    def execute(self, command, *, timeout, stdin=b"", limit=0):
        raise MachineError("not asked for here")

    def docker_socket(self):
        raise MachineError("not asked for here")


READ_SOURCE = "lines.read(int(lines.readline()))\n"


def answer(result: object) -> str:
    return json.dumps({"probe": "labwright/probe/v1", "result": result}, separators=(",", ":"))


@pytest.fixture
def pretend():
    made = []

    def make(body: str) -> Pretender:
        made.append(Pretender(body))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def local():
    machine = LocalMachine()
    yield machine
    machine.close()


def test_tasks_are_done_one_after_the_other_by_one_process(local):
    first, second = (local.probe(CLOCK, timeout=10) for _ in range(2))
    process = local.session.process
    assert second["monotonic"] >= first["monotonic"]
    assert local.http([{"url": "http://127.0.0.1:1/"}])[0].error == "refused"
    assert local.session.process is process


def test_a_task_that_the_probe_refuses_costs_no_process(local):
    with pytest.raises(ProbeError, match="the task is none of http"):
        local.probe({"task": "dance"}, timeout=10)
    process = local.session.process
    assert "epoch" in local.probe(CLOCK, timeout=10)
    assert local.session.process is process


def test_a_probe_that_was_killed_is_started_again(local):
    local.probe(CLOCK, timeout=10)
    local.session.process.kill()
    local.session.process.wait()
    with pytest.raises(ProbeError, match="exit status -9"):
        local.probe(CLOCK, timeout=10)
    assert "epoch" in local.probe(CLOCK, timeout=10)


def test_it_ends_with_the_input_of_whoever_started_it(local):
    local.probe(CLOCK, timeout=10)
    process = local.session.process
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_after_closing_the_machine_no_process_is_left(local):
    local.prepare()
    process = local.session.process
    local.close()
    assert process.poll() is not None


def test_what_is_printed_before_an_answer_is_no_answer_and_no_later_one_either(pretend):
    machine = pretend(
        READ_SOURCE + "say.write('Welcome!\\n')\n"
        f"for line in lines: time.sleep(0.2); say.write({answer('late')!r} + '\\n')"
    )
    for started in (1, 2):
        with pytest.raises(ProbeError, match="Welcome!"):
            machine.probe(CLOCK, timeout=10)
        assert machine.started == started


def test_an_answer_that_comes_after_the_time_out_is_not_given_to_the_next_task(pretend):
    machine = pretend(
        READ_SOURCE + "task = lines.readline()\ntime.sleep(5 if b'slow' in task else 0)\n"
        f"say.write({answer('quick')!r}.replace('quick', 'slow' if b'slow' in task else 'quick'))"
        "\nsay.write('\\n')\nlines.read()"
    )
    with pytest.raises(CommandTimedOut, match=r"within 0\.3 s"):
        machine.probe({"task": "slow"}, timeout=0.3)
    assert machine.probe(CLOCK, timeout=10) == "quick"


def test_two_answers_to_one_task_are_none(pretend):
    two = f"{answer(1)}\n{answer(2)}\n"
    machine = pretend(READ_SOURCE + f"lines.readline()\nsay.write({two!r})\nlines.read()")
    with pytest.raises(ProbeError):
        machine.probe(CLOCK, timeout=10)
    assert machine.session.ended


@pytest.mark.parametrize("begins", ["", '{"probe":'])
def test_a_flood_is_not_waited_for(pretend, begins):
    machine = pretend(f"say.write({begins!r})\nwhile True: say.write('x' * 1000000)")
    with pytest.raises(ProbeError):  # and not CommandTimedOut
        machine.probe(CLOCK, timeout=60)
    assert machine.session.ended


def test_a_machine_without_python_says_what_to_install(pretend):
    machine = pretend("sys.exit(127)")
    with pytest.raises(MachineError, match="apt-get install python3"):
        machine.probe(CLOCK, timeout=10)


def test_its_last_words_are_told_where_it_dies(pretend):
    machine = pretend(READ_SOURCE + "lines.readline()\nraise MemoryError('no room')")
    with pytest.raises(ProbeError, match=r"exit status 1.*no room"):
        machine.probe(CLOCK, timeout=10)


def test_one_that_closes_its_output_and_stays_is_ended(pretend, monkeypatch):
    monkeypatch.setattr("labwright.machines.probe_session.ENDING_S", 0.2)
    machine = pretend("import os\nos.close(1)\nos.close(2)\ntime.sleep(60)")
    with pytest.raises(CommandTimedOut, match="did not end"):
        machine.probe(CLOCK, timeout=10)
    assert machine.session.process.poll() is not None
