"""However labwright ends, no ssh of its is left."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

CONNECT = """
import sys
from pathlib import Path
from labwright.machines.destination import Destination
from labwright.machines.ssh import SshMachine
port, user, key, known = sys.argv[1:]
where = Destination("127.0.0.1", int(port), user, Path(key), Path(known), strict=False)
machine = SshMachine("ssh://there", where)
print("begun", flush=True)
machine.probe({"task": "clock"}, timeout=30)
print("connected", flush=True)
sys.stdin.read()
"""


def ours(user: str) -> list[str]:
    listed = subprocess.run(["ps", "-wweo", "args="], capture_output=True, text=True, timeout=30)
    return [line for line in listed.stdout.splitlines() if f"-l{user} " in line]


@pytest.mark.parametrize("hangs", [True, False])
def test_nothing_is_left_of_a_labwright_that_was_killed(hangs, account, server, tmp_path):
    user = account()
    if hangs:
        user.write(".bashrc", "echo wait; sleep 300\n")
    argv = [str(server.port), user.name, str(server.folder / "key"), str(tmp_path / "known")]
    process = subprocess.Popen(
        [sys.executable, "-c", CONNECT, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        if hangs:
            deadline = time.monotonic() + 30
            while not ours(user.name) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(1)
        else:
            assert process.stdout.readline() == b"connected\n"
        assert ours(user.name)
    finally:
        process.kill()
        process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while ours(user.name) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ours(user.name) == []
