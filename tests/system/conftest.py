"""The lab machine of the system tests: one at a time, restored anew for each test."""

from __future__ import annotations

import secrets

import pytest

from labwright.lab_machine import states as lab_states
from labwright.machines import guest


@pytest.fixture(scope="session")
def image():
    """Build what is missing of the lab machine before the first test, not within one."""
    from labwright.machines.vm import states

    known = lab_states()
    for name in (states.DOCKER, *known):
        states.saved(name, known)


@pytest.fixture
def lab_machine(image):
    """Return a function that starts a machine in a state; all are gone after the test."""
    names = []

    def start(state: str) -> guest.Guest:
        names.append(f"test-{secrets.token_hex(4)}")
        return guest.up(names[-1], state, lab_states(), dies_with_us=True)

    yield start
    for name in names:
        guest.down(name)
