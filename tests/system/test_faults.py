"""Whatever fails that is not the student's, no step fails for it, and other results are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.system

EVERYTHING = 12


def labwright(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labwright", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def on(guest, command: str) -> None:
    done = labwright("vm", "ssh", guest.name, "--", command)
    assert done.returncode == 0, done.stderr


def outcomes(guest) -> tuple[dict[str, str], dict]:
    done = labwright("check", "--target", f"vm:{guest.name}", "--json", "-")
    assert done.stdout.startswith("{"), done.stderr
    score = json.loads(done.stdout)
    assert len(score["steps"]) == EVERYTHING
    return {step["id"]: step["outcome"] for step in score["steps"]}, score


@pytest.mark.parametrize(
    "fault",
    [
        "sudo fallocate --length $(df --output=avail --block-size=1 / | tail -1) /filler",
        "sudo date --set 2001-01-01 >/dev/null",
        "sudo date --set 2037-01-01 >/dev/null",
        'sudo sh -c \'printf "%s\\n" "echo noise; sleep 3" >/etc/profile.d/slow.sh\'',
        "printf '\\377\\033[2J<script>=cmd\\n' | sudo tee /etc/motd /etc/issue >/dev/null",
    ],
    ids=["disk-full", "clock-behind", "clock-ahead", "slow-profile", "odd-banner"],
)
def test_a_machine_that_is_right_passes_though_something_else_is_odd(lab_machine, fault):
    guest = lab_machine("deployed")
    on(guest, fault)
    seen, score = outcomes(guest)
    assert set(seen.values()) == {"passed"}, [step["reason"] for step in score["steps"]]


def test_a_machine_without_python_is_broken_and_says_what_is_missing(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "sudo rm /usr/bin/python3")
    seen, score = outcomes(guest)
    assert "failed" not in seen.values()
    assert (seen["ip-vs-available"], seen["gorb-image-present"]) == ("broken", "passed")
    reasons = {step["id"]: step["reason"] for step in score["steps"]}
    assert "has no python3" in reasons["ip-vs-available"]


def test_a_connection_that_is_lost_half_way_keeps_what_was_seen_before(lab_machine):
    guest = lab_machine("deployed")
    # It goes with the first requests to the service: all before them has been seen then.
    cut = "until grep -q '115C AC11' /proc/net/ip_vs_conn; do sleep 0.2; done; pkill -9 sshd"
    on(guest, f'sudo sh -c "setsid -f sh -c \\"{cut}\\" </dev/null >/dev/null 2>&1"')
    seen, score = outcomes(guest)
    assert "failed" not in seen.values()
    assert seen["server2-registered"] == "passed"
    assert seen["requests-succeed"] == "broken"
    assert not score["graded"]


@pytest.mark.thorough
def test_a_machine_that_stalls_for_a_while_does_not_fail(lab_machine):
    guest = lab_machine("deployed")
    stall = threading.Timer(6.0, os.kill, (guest.pid, signal.SIGSTOP))
    resume = threading.Timer(26.0, os.kill, (guest.pid, signal.SIGCONT))
    stall.start()
    resume.start()
    try:
        seen, _ = outcomes(guest)
    finally:
        stall.cancel()
        resume.join()
    assert "failed" not in seen.values(), seen


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_of_the_grader_is_one_sentence(lab_machine, tmp_path):
    guest = lab_machine("deployed")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=True)
    try:
        target = ("--target", f"vm:{guest.name}", "--step", "ip-vs-available")
        done = labwright("check", *target, "--out", str(tmp_path / "out"))
        assert done.returncode == 2
        assert "No space left on device; free some space" in done.stderr
        assert "Traceback" not in done.stderr
        assert "passed" in done.stdout  # what was found is told all the same
    finally:
        subprocess.run(["umount", tmp_path], check=True)
