"""A machine is graded for what it is: right, wrong in a known way, or out of reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system


def labwright(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labwright", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def check(guest, *arguments: str) -> tuple[int, dict]:
    """Grade a guest; return the exit status and the score."""
    done = labwright("check", "--target", f"vm:{guest.name}", "--json", "-", *arguments)
    assert done.stdout.startswith("{"), done.stderr
    return done.returncode, json.loads(done.stdout)


def on(guest, command: str) -> str:
    done = labwright("vm", "ssh", guest.name, "--", command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def outcomes(score: dict) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in score["steps"]}


def reason(score: dict, step_id: str) -> str:
    return next(step["reason"] for step in score["steps"] if step["id"] == step_id)


def test_a_deployed_lab_gets_all_points_and_shows_its_evidence(lab_machine):
    status, score = check(lab_machine("deployed"))
    assert outcomes(score) == dict.fromkeys(outcomes(score), "passed")
    assert (status, score["points"], score["max_points"]) == (0, 100, 100)
    kinds = {e["data"].get("kind") for step in score["steps"] for e in step["evidence"]}
    assert {"sequence", "load", "split"} <= kinds


@pytest.mark.thorough
def test_performing_the_lab_from_its_servers_leads_to_all_points(lab_machine):
    guest = lab_machine("servers")
    _, before = check(guest)
    assert outcomes(before)["ip-vs-available"] == "failed"
    assert outcomes(before)["server1-running"] == "passed"
    done = labwright("perform", "--target", f"vm:{guest.name}")
    assert done.returncode == 0, done.stderr
    status, score = check(guest)
    assert (status, score["points"]) == (0, 100), outcomes(score)


def test_a_machine_on_which_nothing_was_done_gets_nothing(lab_machine):
    status, score = check(lab_machine("docker"))
    assert (status, score["points"]) == (1, 0), outcomes(score)


def test_a_stopped_server_costs_exactly_what_depends_on_it(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "docker stop -t 1 server2")
    status, score = check(guest)
    lost = {step for step, outcome in outcomes(score).items() if outcome != "passed"}
    assert lost == {
        "server2-running",
        "server2-registered",
        "requests-succeed",
        "split-round-robin",
        "client-overload",
        "client-split",
    }
    assert status == 1
    assert outcomes(score)["server2-running"] == "failed"
    assert "its state is exited" in reason(score, "server2-running")
    assert "needs server2-running" in reason(score, "server2-registered")


def test_gorb_that_was_stopped_is_the_one_failure_and_blocks_the_rest(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "docker stop -t 5 gorb")
    status, score = check(guest)
    failed = [step for step, outcome in outcomes(score).items() if outcome == "failed"]
    assert (status, failed) == (1, ["gorb-running"])
    assert "no such container" in reason(score, "gorb-running")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("command", "step", "says"),
    [
        (
            "curl -sX DELETE localhost:4672/service/0/1",
            "server2-registered",
            "server2 as backend 1",
        ),
        (
            "curl -sX PATCH -d '{\"weight\": 0}' localhost:4672/service/0/1",
            "server2-registered",
            "the kernel has weight 0",
        ),
        (
            """curl -sX DELETE localhost:4672/service/0; curl -sX PUT localhost:4672/service/0 \
            -d '{"host": "10.0.2.15", "port": 4444, "method": "wrr"}'""",
            "service-created",
            "its method is wrr",
        ),
        (
            "sudo ipvsadm -E -t 10.0.2.15:4444 -s rr -p 300",
            "service-created",
            "keeps each client with one server",
        ),
        (
            "sudo ipvsadm -E -t 10.0.2.15:4444 -s wlc",
            "service-created",
            "the kernel has wlc",
        ),
        (
            "sudo ipvsadm -d -t 10.0.2.15:4444 -r 172.17.0.2:4444",
            "server1-registered",
            "the two disagree",
        ),
        (
            """sudo iptables -t nat -I OUTPUT -p tcp -d 10.0.2.15 --dport 4444 \
            -j DNAT --to 172.17.0.2:4444""",
            "split-round-robin",
            "go through IPVS",
        ),
    ],
)
def test_a_mistake_fails_the_step_that_it_was_made_in(lab_machine, command, step, says):
    guest = lab_machine("deployed")
    on(guest, command)
    # Without the load, and without any traffic where the mistake is made before it.
    status, score = check(guest, "--step", step)
    failed = [id_ for id_, outcome in outcomes(score).items() if outcome == "failed"]
    assert (status, failed) == (1, [step]), reason(score, step)
    assert says in reason(score, step)


def test_a_machine_without_ssh_is_broken_not_failed(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "sudo kill $(cat /run/sshd.pid)")
    status, score = check(guest)
    assert status == 3
    assert not score["graded"]
    assert set(outcomes(score).values()) == {"broken", "blocked"}
    assert "cannot be reached" in score["steps"][0]["reason"]


def test_a_frozen_machine_is_broken_in_bounded_time(lab_machine):
    guest = lab_machine("deployed")
    os.kill(guest.pid, signal.SIGSTOP)
    try:
        status, score = check(guest)
    finally:
        os.kill(guest.pid, signal.SIGCONT)
    assert status == 3
    assert set(outcomes(score).values()) == {"broken", "blocked"}


def test_a_docker_engine_that_does_not_run_is_no_students_zero(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "sudo service docker stop")
    status, score = check(guest)
    assert status == 3
    assert outcomes(score)["server1-running"] == "broken"
    assert "Docker Engine" in reason(score, "server1-running")
    assert outcomes(score)["ip-vs-available"] == "passed"


def test_a_user_who_may_not_use_docker_is_told_so(lab_machine):
    guest = lab_machine("deployed")
    on(guest, "sudo gpasswd -d student docker; sudo rm /etc/sudoers.d/student")
    status, score = check(guest)
    assert status == 3
    assert "usermod -aG docker student" in reason(score, "server1-running")


@pytest.mark.thorough
def test_deploying_brings_the_lab_up_and_takes_it_down_again(lab_machine):
    guest = lab_machine("docker")
    status, score = check(guest, "--deploy")
    assert (status, score["points"]) == (0, 100), outcomes(score)
    assert on(guest, "docker ps --all --quiet") == ""
    assert "->" not in on(guest, "cat /proc/net/ip_vs").split("RemoteAddress", 1)[1]


@pytest.mark.thorough
def test_deploying_where_the_servers_run_already_is_refused_and_changes_nothing(lab_machine):
    guest = lab_machine("servers")
    status, score = check(guest, "--deploy")
    assert status == 3
    assert "a container named server1 already" in score["steps"][0]["reason"]
    assert on(guest, "docker ps --format '{{.Names}}' | sort").split() == ["server1", "server2"]


@pytest.mark.thorough
def test_plain_pytest_grades_a_guest_too(lab_machine, tmp_path):
    guest = lab_machine("deployed")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "labs/gorb", f"--target=vm:{guest.name}"),
            *(f"--report={tmp_path}", "-q", "--step=gorb-running", f"--alluredir={tmp_path / 'a'}"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert {"score.json", "report.html", "junit.xml"} <= {p.name for p in tmp_path.iterdir()}
    assert list((tmp_path / "a").glob("*-result.json"))
