"""The gorb lab as its steps and their evidence come out of a run, for samples.py."""

from __future__ import annotations

import random
from typing import Any

from labwright.outcome import Evidence

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


def evidence_of(id: str) -> tuple[Evidence, ...]:
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
