"""The lab machine of the system tests, restored for each test; and recorded ones."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.gorb_in_guest import Gorb, start

from labwright.lab.definition import load_lab
from labwright.lab.model import DEFAULT, find_lab
from labwright.vm import guest, systems
from labwright.vm.lab_states import ephemeral
from labwright.vm.lab_states import states as lab_states
from labwright.vm.target import guest_machine

collect_ignore = ["notes"]
"""A lab that a played term hands in, and no test."""


@pytest.fixture(scope="session")
def image():
    """Build what is missing of the lab machine before the first test, not within one."""
    from labwright.vm import states

    for state in lab_states(load_lab(find_lab(DEFAULT))).values():
        states.saved(state)


@pytest.fixture
def lab_machine(image):
    """Return a function that starts a machine in a state; all are gone after the test."""
    names = []

    def start(state: str, lab: str = DEFAULT, system: str | None = None) -> guest.Guest:
        names.append(f"test-{secrets.token_hex(4)}")
        definition = load_lab(find_lab(lab))
        known = lab_states(definition, systems.choose(definition, system))
        return guest.up(names[-1], state, known, lab=lab, dies_with_us=True)

    yield start
    for name in names:
        guest.down(name)


@pytest.fixture
def serve():
    """Serve recorded machines in these states over SSH; return their ports."""
    running = []

    def serve(*states: str) -> list[int]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("recorded_machines.py")), *states],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return json.loads(process.stdout.readline())

    yield serve
    for process in running:
        process.communicate()


@pytest.fixture(scope="module")
def gorb_machine(image):
    """A lab machine of a module's own, in which the daemon's image is."""
    with ephemeral(load_lab(find_lab("gorb")), "docker") as one:
        machine = guest_machine(one)
        assert machine.run("sudo modprobe ip_vs && docker pull kobolog/gorb", timeout=120).ok
        yield machine
        machine.close()


@pytest.fixture(scope="module")
def gorb_daemon(gorb_machine):
    assert start(gorb_machine, "-f -i enp0s3") == []
    yield Gorb(gorb_machine)
    gorb_machine.run("docker rm --force gorb", timeout=60)


@pytest.fixture
def gorb(gorb_daemon):
    """The daemon; what a test leaves in it is removed after it."""
    yield gorb_daemon
    (listed,) = gorb_daemon.ask(("GET", "/service"))
    ids = listed.json()
    gorb_daemon.ask(*(("DELETE", f"/service/{service}") for service in ids))
    assert gorb_daemon.table() == {}
