"""The lab machine of the system tests, restored anew for each test; and recorded ones."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from labwright.definition import load_lab
from labwright.lab import DEFAULT, find_lab
from labwright.lab_machine import states as lab_states
from labwright.machines import guest


@pytest.fixture(scope="session")
def image():
    """Build what is missing of the lab machine before the first test, not within one."""
    from labwright.machines.vm import states

    for state in lab_states(load_lab(find_lab(DEFAULT))).values():
        states.saved(state)


@pytest.fixture
def lab_machine(image):
    """Return a function that starts a machine in a state; all are gone after the test."""
    names = []

    def start(state: str, lab: str = DEFAULT) -> guest.Guest:
        names.append(f"test-{secrets.token_hex(4)}")
        known = lab_states(load_lab(find_lab(lab)))
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
