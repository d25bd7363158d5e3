"""The lab machine of the system tests: one at a time, restored anew for each test."""

from __future__ import annotations

import secrets

import pytest

from labwright.definition import load_lab
from labwright.lab import DEFAULT, find_lab
from labwright.lab_machine import states as lab_states
from labwright.machines import guest


@pytest.fixture(scope="session", autouse=True)
def image():
    """Build what is missing of the lab machine before the first test, not within one."""
    from labwright.machines.vm import states

    for state in lab_states(load_lab(find_lab(DEFAULT))).values():
        states.saved(state)


@pytest.fixture
def lab_machine():
    """Return a function that starts a machine in a state; all are gone after the test."""
    names = []

    def start(state: str, lab: str = DEFAULT) -> guest.Guest:
        names.append(f"test-{secrets.token_hex(4)}")
        known = lab_states(load_lab(find_lab(lab)))
        return guest.up(names[-1], state, known, lab=lab, dies_with_us=True)

    yield start
    for name in names:
        guest.down(name)
