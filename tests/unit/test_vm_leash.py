"""A process of ours ends when we do, however we end, unless it was released."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

LEASHED = """
import subprocess, sys, time
from labwright.host.leash import Leash
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, start_new_session=True)
leash = Leash(child.pid, group="group" in sys.argv)
if "release" in sys.argv:
    leash.release()
print(child.pid, flush=True)
while True:  # not one long wait: an interruption just before it would be noticed at its end
    time.sleep(0.1)
"""
DYING = """
import subprocess, sys, time
from labwright.host.leash import die_with_us
child = subprocess.Popen(
    ["sleep", "60"],
    stdout=subprocess.DEVNULL,
    start_new_session=True,
    preexec_fn=die_with_us(),
)
print(child.pid, flush=True)
while True:  # not one long wait: an interruption just before it would be noticed at its end
    time.sleep(0.1)
"""
WORKER = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from labwright.host.leash import end_with_parent
fork = multiprocessing.get_context("fork")
with ProcessPoolExecutor(1, mp_context=fork, initializer=end_with_parent) as workers:
    print(workers.submit(os.getpid).result(), flush=True)
    workers.submit(time.sleep, 60)
    while True:
        time.sleep(0.1)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


@pytest.fixture
def owner():
    """Start a process that owns a child; return the two, the child as a pidfd."""
    children = []

    def start(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append((process, os.pidfd_open(int(process.stdout.readline()))))
        return children[-1]

    yield start
    for process, child in children:
        if not has_ended(child, 0):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        process.kill()
        process.communicate()
        os.close(child)


def has_ended(child: int, timeout: float) -> bool:
    return bool(select.select([child], [], [], timeout)[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("script", [LEASHED, DYING], ids=["leash", "kernel"])
def test_a_process_ends_with_its_owner(owner, script, how):
    process, child = owner(script)
    process.send_signal(how)
    assert has_ended(child, 10)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_tries_a_mistake_ends_with_its_owner(owner, how):
    process, child = owner(WORKER)
    process.send_signal(how)
    assert has_ended(child, 10)


def test_a_group_of_processes_ends_with_its_owner(owner):
    process, child = owner(LEASHED, "group")
    process.kill()
    assert has_ended(child, 10)


def test_a_process_that_was_released_outlives_its_owner(owner):
    process, child = owner(LEASHED, "release")
    process.kill()
    process.wait()
    # The watcher ended before the pid was printed: nothing is left that could kill it.
    assert not has_ended(child, 0)
