"""A document is typed into a student's terminal as they have set it up."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from labwright.errors import MachineError
from labwright.machines.terminal import Terminal


def test_an_alias_for_curl_is_used_like_curl(account, reach):
    if not shutil.which("curl", path="/usr/bin:/bin"):
        pytest.skip("needs curl")
    user = account()
    user.write(".bashrc", "echo Welcome\nalias curl='curl --silent'\n")
    with closing(Terminal(reach(user))) as terminal:
        reply = terminal.type("curl http://127.0.0.1:1/", timeout=30)
    assert (reply.exit_status, reply.http, reply.output.strip()) == (7, (0,), "")


def until_it_ends(terminal: Terminal) -> None:
    while terminal.ended() is None:
        time.sleep(0.2)


@pytest.mark.parametrize("stays", [False, True])
def test_a_sudo_that_asks_for_a_password_is_named_at_once(stays, account, reach):
    if not shutil.which("sudo"):
        pytest.skip("needs sudo")
    user = account()
    rule = Path("/etc/sudoers.d", user.name)
    rule.write_text(f"{user.name} ALL=(ALL) ALL\n")
    try:
        with closing(Terminal(reach(user))) as terminal:
            if stays:
                terminal.begin("sudo sleep 600")
            with pytest.raises(MachineError, match=r"sudo on .* asks for a password"):
                terminal.type("sudo true", timeout=75) if not stays else until_it_ends(terminal)
    finally:
        rule.unlink()


def test_nothing_is_left_of_a_terminal(account, reach):
    user = account()
    machine = reach(user)
    with closing(Terminal(machine)) as terminal:
        assert terminal.type("echo hi", timeout=30).output.strip() == "hi"
        mark = terminal.mark
    assert not Path("/tmp", mark).exists()
    listed = subprocess.run(["ps", "-u", user.name], capture_output=True, text=True, timeout=30)
    assert "bash --noediting" not in listed.stdout
