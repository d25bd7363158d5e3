"""Scores as they come out of the gorb lab, for the tests of what is made of them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from labwright.outcome import Evidence, Outcome
from labwright.score import Score, StepResult

BEFORE = "Before you begin"
DEPLOY = "Part (1/3): Deploy the Gorb load balancer"
REGISTER = "Part (2/3): Register the servers with the load balancer"
TEST = "Part (3/3): Test the load balancing"

STEPS: tuple[tuple[str, str, str, float, tuple[str, ...], int], ...] = (
    ("server1-running", "server1 runs and answers on port 4444", BEFORE, 5, (), 23),
    ("server2-running", "server2 runs and answers on port 4444", BEFORE, 5, (), 30),
    ("ip-vs-available", "The kernel has ip_vs", DEPLOY, 5, (), 39),
    ("gorb-image-present", "Gorb's image is present", DEPLOY, 5, (), 46),
    (
        "gorb-running",
        "Gorb runs in Docker and answers on port 4672",
        DEPLOY,
        15,
        ("ip-vs-available", "gorb-image-present"),
        53,
    ),
    (
        "service-created",
        "Service 0 is round-robin over TCP on port 4444 of the interface",
        REGISTER,
        15,
        ("gorb-running",),
        89,
    ),
    (
        "server1-registered",
        "server1 is registered as backend 0",
        REGISTER,
        10,
        ("service-created", "server1-running"),
        101,
    ),
    (
        "server2-registered",
        "server2 is registered as backend 1",
        REGISTER,
        10,
        ("service-created", "server2-running"),
        112,
    ),
    (
        "requests-succeed",
        "10 to 15 requests to the service all succeed",
        TEST,
        10,
        ("server1-registered", "server2-registered"),
        131,
    ),
    (
        "split-round-robin",
        "The kernel splits them round-robin",
        TEST,
        10,
        ("requests-succeed",),
        140,
    ),
    (
        "client-overload",
        "The client's variable load runs, and two servers cannot handle all of it",
        TEST,
        5,
        ("requests-succeed",),
        153,
    ),
    (
        "client-split",
        "server1 handles about half of the client's load",
        TEST,
        5,
        ("client-overload",),
        163,
    ),
)

KERNEL_TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A00020F:115C rr
  -> AC110003:115C      Masq    100    0          6
  -> AC110002:115C      Masq    100    0          6
"""
SERVICE = """\
{
\t"options": {
\t\t"host": "10.0.2.15",
\t\t"port": 4444,
\t\t"protocol": "tcp",
\t\t"method": "rr",
\t\t"flags": "",
\t\t"persistent": false
\t},
\t"health": 1,
\t"backends": [
\t\t"0",
\t\t"1"
\t]
}"""
BACKEND = """\
{
\t"options": {
\t\t"host": "%s",
\t\t"port": 4444,
\t\t"weight": 100,
\t\t"method": "nat",
\t\t"pulse": {
\t\t\t"type": "tcp",
\t\t\t"interval": "1m",
\t\t\t"args": null
\t\t}
\t},
\t"metrics": {
\t\t"status": 0,
\t\t"health": 1,
\t\t"uptime": 61000000000
\t}
}"""


def sequence(servers: str = "121212121212", failed: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return a sequence's data; ``servers`` has a digit for each request, 0 for none."""
    return {
        "kind": "sequence",
        "servers": ["server1", "server2"],
        "requests": [
            {
                "n": n,
                "server": f"server{digit}" if digit != "0" else None,
                "status": None if n in failed else 200,
                "error": "connection refused" if n in failed else "",
                "start_s": round((n - 1) * 0.52, 3),
                "end_s": round((n - 1) * 0.52 + 0.51, 3),
            }
            for n, digit in enumerate(servers, 1)
        ],
    }


def load(seed: int = 7, failed: int = 0) -> dict[str, Any]:
    """Return a load's data: two servers of 2/s each, the offered rate changing."""
    chance = random.Random(seed)
    free = {"server1": 0.0, "server2": 0.0}
    requests: list[dict[str, Any]] = []
    time = 0.0
    for gap, until in ((0.4, 5.0), (0.11, 10.0), (0.7, 15.0)):
        while time < until:
            server = "server1" if len(requests) % 2 == 0 else "server2"
            free[server] = max(free[server], time) + 0.5
            end = free[server] + chance.random() * 0.01
            lost = len(requests) < failed
            requests.append(
                {
                    "intended_s": round(time, 3),
                    "end_s": round(end, 3) if end < 18 else None,
                    "server": None if lost else server,
                    "status": None if lost or end >= 18 else 200,
                    "error": "timeout" if lost else "",
                }
            )
            time += gap
    return {"kind": "load", "bin_s": 1.0, "capacity_per_s": 4.0, "requests": requests}


def split(first: int = 6, second: int = 6, tolerance: float = 0.1) -> dict[str, Any]:
    """Return a split's data: server1 is asked to have a half, within the tolerance."""
    return {
        "kind": "split",
        "counts": {"server1": first, "server2": second},
        "share": {"server1": first / (first + second)},
        "low": 0.5 - tolerance,
        "high": 0.5 + tolerance,
        "tolerance": tolerance,
    }


def _inspect(name: str) -> Evidence:
    return Evidence(
        f"The container {name} is running",
        f"docker inspect {name}",
        f'[\n    {{\n        "Name": "/{name}",\n        "State": {{"Status": "running", '
        '"ExitCode": 0}\n    }\n]',
    )


def _curl(claim: str, url: str, body: str) -> Evidence:
    return Evidence(
        claim,
        f"curl --include http://{url}",
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}",
    )


def _evidence(id: str) -> tuple[Evidence, ...]:
    kernel = Evidence("The kernel has the service", "cat /proc/net/ip_vs", KERNEL_TABLE)
    found = {
        "server1-running": (
            _inspect("server1"),
            _curl("It answers", "172.17.0.2:4444/heartbeat", "tick\n"),
        ),
        "server2-running": (
            _inspect("server2"),
            _curl("It answers", "172.17.0.3:4444/heartbeat", "tick\n"),
        ),
        "ip-vs-available": (
            Evidence("The kernel has ip_vs", "cat /proc/net/ip_vs", KERNEL_TABLE[:125]),
        ),
        "gorb-image-present": (
            Evidence(
                "Docker has the image",
                "docker image inspect kobolog/gorb:latest",
                "sha256:8e4f5d1c0b7a kobolog/gorb:latest, 41.2 MB",
            ),
        ),
        "gorb-running": (
            _inspect("gorb"),
            _curl("Gorb answers", "10.0.2.15:4672/service", '[\n\t"0"\n]'),
        ),
        "service-created": (
            _curl("Gorb claims the service", "10.0.2.15:4672/service/0", SERVICE),
            kernel,
        ),
        "server1-registered": (
            _curl("Gorb claims the backend", "10.0.2.15:4672/service/0/0", BACKEND % "172.17.0.2"),
            kernel,
        ),
        "server2-registered": (
            _curl("Gorb claims the backend", "10.0.2.15:4672/service/0/1", BACKEND % "172.17.0.3"),
            kernel,
        ),
        "requests-succeed": (
            Evidence(
                "Each of 12 requests is answered with 200",
                "12 times: curl http://10.0.2.15:4444/doWork",
                "12 of 12 answered with 200 and `Response sent after 500 ms`",
                sequence(),
            ),
        ),
        "split-round-robin": (
            Evidence(
                "The kernel's connection table attributes each request to a server",
                "cat /proc/net/ip_vs_conn",
                "12 of 12 local ports found",
                sequence(),
            ),
            Evidence(
                "server1 has handled about half of them",
                "docker logs server1 | grep --count 'Response sent'",
                "6",
                split(tolerance=0.0),
            ),
        ),
        "client-overload": (
            Evidence(
                "More is offered than two servers can answer",
                "client 10.0.2.15 for 15 s, seed 7",
                "",
                load(),
            ),
        ),
        "client-split": (
            Evidence(
                "server1 has answered about half",
                "cat /proc/net/ip_vs_conn",
                "",
                split(32, 33),
            ),
        ),
    }
    return found[id]


def all_passed() -> Score:
    """Return a score of 100 of 100."""
    steps = tuple(
        StepResult(
            id=id,
            title=title,
            part=part,
            points=points,
            max_points=points,
            outcome=Outcome.PASSED,
            needs=needs,
            reason="",
            expected="",
            actual="",
            hint="",
            evidence=_evidence(id),
            duration_s=18.4 if id == "client-overload" else 0.18,
            file="lab.md",
            line=line,
        )
        for id, title, part, points, needs, line in STEPS
    )
    return Score(
        lab="gorb",
        title="Balance two servers with Gorb and IPVS",
        target="vm:a",
        started="2024-03-09T10:15:02+00:00",
        finished="2024-03-09T10:15:33.500000+00:00",
        steps=steps,
        labwright="0.1.0",
        seed=7,
    )


def changed(score: Score, id: str, **values: Any) -> Score:
    """Return the score with one step's values changed; a step that is not passed earns 0."""
    if values.get("outcome", Outcome.PASSED) is not Outcome.PASSED:
        values = {"points": 0.0, **values}
    steps = tuple(replace(step, **values) if step.id == id else step for step in score.steps)
    return replace(score, steps=steps)


def _block(score: Score, blocked: dict[str, str]) -> Score:
    titles = {step.id: step.title for step in score.steps}
    for id, by in blocked.items():
        score = changed(
            score,
            id,
            outcome=Outcome.BLOCKED,
            reason=f"needs {by} ({titles[by]}), which did not pass",
            evidence=(),
            duration_s=0.0,
        )
    return score


def server2_stopped() -> Score:
    """Return the score after ``docker stop server2``."""
    score = changed(
        all_passed(),
        "server2-running",
        outcome=Outcome.FAILED,
        reason="server2 does not run",
        expected="the container server2 to be running",
        actual="it exited with status 0, 41 seconds ago",
        hint="Start it with `docker start server2`, or make it with "
        "`docker run --detach --name server2 server`.",
        evidence=(
            Evidence(
                "The container server2 is running",
                "docker inspect server2",
                '[\n    {\n        "Name": "/server2",\n        "State": {"Status": "exited", '
                '"ExitCode": 0, "FinishedAt": "2024-03-09T10:14:21Z"}\n    }\n]',
            ),
        ),
    )
    return _block(
        score,
        {
            "server2-registered": "server2-running",
            "requests-succeed": "server2-registered",
            "split-round-robin": "requests-succeed",
            "client-overload": "requests-succeed",
            "client-split": "client-overload",
        },
    )


def not_round_robin() -> Score:
    """Return the score of a service that is scheduled by weight, one of them higher."""
    return changed(
        all_passed(),
        "split-round-robin",
        outcome=Outcome.FAILED,
        reason="the requests do not alternate",
        expected="each request to go to the other server than the one before",
        actual="request 4 went to server1 again, and request 9 was not answered",
        hint="The service's method must be `rr` and both backends must have weight 100: "
        "see `cat /proc/net/ip_vs`.",
        evidence=(
            Evidence(
                "The kernel's connection table attributes each request to a server",
                "cat /proc/net/ip_vs_conn",
                "11 of 12 local ports found",
                sequence("121121210121", failed=(9,)),
            ),
            Evidence(
                "server1 has handled about half of them",
                "docker logs server1 | grep --count 'Response sent'",
                "7",
                split(7, 4, 0.0),
            ),
        ),
    )


def ssh_broken() -> Score:
    """Return the score of a machine that was lost half way."""
    score = changed(
        all_passed(),
        "service-created",
        outcome=Outcome.BROKEN,
        reason="no connection to vm:a: kex_exchange_identification: read: Connection reset by peer",
        evidence=(),
        duration_s=10.02,
    )
    return _block(
        score,
        {
            "server1-registered": "service-created",
            "server2-registered": "service-created",
            "requests-succeed": "server1-registered",
            "split-round-robin": "requests-succeed",
            "client-overload": "requests-succeed",
            "client-split": "client-overload",
        },
    )


NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;</pre></style>"
    "\x1b[2J\x1b[31mred\x1b]0;title\x07 \x00null \u202eright to left\u2066 \ud800half "
    '\ufffe\uffff \x9b31m [bold]markup[/bold] =HYPERLINK("http://x") {{ 7*7 }} ]]> \r\n%0A'
)


def hostile() -> Score:
    """Return a score in which the target wrote all that it could think of."""
    piece = Evidence(NASTY, NASTY, NASTY * 3, {"kind": "odd", NASTY: [NASTY, float("1e300")]})
    score = all_passed()
    for number, step in enumerate(score.steps):
        if number % 3 == 0:
            score = changed(
                score,
                step.id,
                outcome=Outcome.FAILED,
                reason=NASTY,
                expected=NASTY,
                actual=NASTY,
                hint=NASTY + " `code` ` odd",
                evidence=(piece, *step.evidence),
            )
    drawn = sequence()
    for request in drawn["requests"]:
        request["server"] = NASTY if request["n"] % 2 else "server1"
    drawn["servers"] = [NASTY, "server1"]
    shares = {"kind": "split", "counts": {NASTY: 6, "x": 6}, "share": {NASTY: 0.5}}
    return replace(
        changed(
            score,
            "split-round-robin",
            outcome=Outcome.FAILED,
            reason=NASTY,
            evidence=(
                Evidence("drawn", data=drawn),
                Evidence("shared", data={**shares, "low": 0.4, "high": 0.6, "tolerance": 0.1}),
            ),
        ),
        target=NASTY,
        title=NASTY,
    )


MALFORMED: tuple[dict[str, Any], ...] = (
    {"kind": "sequence"},
    {"kind": "sequence", "servers": 5, "requests": [{"n": 1}]},
    {"kind": "sequence", "servers": ["a"], "requests": "many"},
    {"kind": "sequence", "servers": ["a"], "requests": [1, 2]},
    {"kind": "sequence", "servers": [], "requests": []},
    {"kind": "load", "bin_s": 0, "capacity_per_s": 4, "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1e-9, "capacity_per_s": 4, "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": 4, "requests": [{"intended_s": float("inf")}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": float("nan"), "requests": [{"intended_s": 1}]},
    {"kind": "load", "bin_s": 1, "capacity_per_s": 4, "requests": [{"intended_s": "soon"}]},
    {"kind": "split", "counts": [], "share": {}, "low": 0, "high": 1},
    {"kind": "split", "counts": {"a": -1}, "share": {}, "low": 0, "high": 1},
    {"kind": "split", "counts": {"a": 1}, "share": {}, "low": 0.6, "high": 0.4},
    {"kind": ["sequence"]},
    {"kind": "hologram", "of": "a request"},
)


def malformed() -> Score:
    """Return a score with data of evidence that cannot be drawn."""
    pieces = tuple(Evidence(f"piece {n}", data=data) for n, data in enumerate(MALFORMED, 1))
    return changed(all_passed(), "split-round-robin", evidence=pieces)


def huge() -> Score:
    """Return a score with a mebibyte of output, a very long line and many requests."""
    many = "".join(f"line {n}: the same thing over and over\n" for n in range(30_000))
    pieces = (
        Evidence("A mebibyte of lines", "cat /var/log/syslog", many[: 1 << 20]),
        Evidence("One long line", "cat /dev/zero", "0" * 300_000),
        Evidence("Many requests", "curl", "", sequence("12" * 150)),
    )
    return changed(
        all_passed(),
        "requests-succeed",
        outcome=Outcome.FAILED,
        reason="too much",
        expected="little",
        actual="much " * 5_000,
        hint="Less.",
        evidence=pieces,
    )


def nothing() -> Score:
    """Return a score of no steps at all."""
    return replace(all_passed(), steps=())


EVERY_KIND = {
    "all passed": all_passed,
    "server2 stopped": server2_stopped,
    "not round-robin": not_round_robin,
    "ssh broken": ssh_broken,
    "hostile": hostile,
    "huge": huge,
    "malformed": malformed,
    "nothing": nothing,
}
