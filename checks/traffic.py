"""Requests through the service, each attributed to the server that the kernel chose.

The probe remembers the local port of each request; the kernel's connection table tells
which server that port was handed to, and the servers' consoles tell what they handled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.checks.kernel import Connection, parse_connections
from labwright.errors import CheckFailed, ProbeError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labwright.checks.docker import DockerEngine
    from labwright.machines.machine import Machine

CONNECTIONS = "/proc/net/ip_vs_conn"
HANDLED = "Response sent"
"""What a server prints for each request that it has answered."""


@dataclass(frozen=True)
class Request:
    """One request, from its intended start to its answer; times in seconds."""

    n: int
    intended_s: float
    end_s: float | None
    status: int | None
    body: str
    error: str
    server: str | None
    """The container that the kernel chose, or None if it chose none that we know."""

    @property
    def succeeded(self) -> bool:
        """Whether the server's answer came, and is the one of the document."""
        return self.status == 200 and self.body.startswith(HANDLED)


@dataclass(frozen=True)
class Traffic:
    """What was sent to the service, and what three witnesses say became of it."""

    url: str
    servers: tuple[str, ...]
    requests: tuple[Request, ...]
    foreign: tuple[Connection, ...]
    """Connections to the service that appeared meanwhile and are not ours."""
    consoles: Mapping[str, int]
    """How many requests each server says it has handled meanwhile."""

    @property
    def scheduled(self) -> Counter[str]:
        """How many requests the kernel gave to each server."""
        return Counter(dict.fromkeys(self.servers, 0)) + Counter(
            request.server for request in self.requests if request.server
        )

    def evidence(self, kind: str, **data: Any) -> Evidence:
        """Return the requests as evidence that a report can draw."""
        counts = ", ".join(f"{server} {self.count(server)}" for server in self.servers)
        rows = [
            {
                "n": request.n,
                "server": request.server,
                "status": request.status,
                "error": request.error,
                "intended_s": request.intended_s,
                "start_s": request.intended_s,
                "end_s": request.end_s,
            }
            for request in self.requests
        ]
        return Evidence(
            "which server each request was handed to, by the kernel's connection table",
            f"{len(rows)} requests, each on a connection of its own: curl {self.url}; "
            f"cat {CONNECTIONS}",
            f"scheduled: {counts}",
            {"kind": kind, "servers": list(self.servers), "requests": rows, **data},
        )

    def console_evidence(self) -> Evidence:
        """Return what the servers printed, as evidence."""
        return Evidence(
            "how many requests the servers say they handled",
            "; ".join(f"docker logs {s} | grep -c '{HANDLED}'" for s in self.servers),
            ", ".join(f"{server} {count}" for server, count in self.consoles.items()),
        )

    def count(self, server: str) -> int:
        """How many requests the kernel gave to a server."""
        return self.scheduled[server]


def send(
    machine: Machine,
    docker_engine: DockerEngine,
    task: Mapping[str, Any],
    servers: tuple[str, ...],
    timeout: float,
) -> Traffic:
    """Have the probe send requests, and gather what the witnesses say.

    :param task: a ``traffic`` or ``load`` task of :mod:`labwright.workload.probe`.
    :param timeout: seconds for all of it.
    """
    addresses = {docker_engine.container(server).address: server for server in servers}
    answer = machine.probe(task, timeout=timeout)
    since = answer["started_at"]
    consoles = {s: docker_engine.console(s, since=since).count(HANDLED) for s in servers}
    try:
        return attribute(str(task["url"]), answer, addresses, consoles)
    except (KeyError, TypeError, ValueError) as problem:
        raise ProbeError(
            f"the probe on {machine.target} answered something odd: {problem!r}"
        ) from problem


def attribute(
    url: str,
    answer: Mapping[str, Any],
    addresses: Mapping[str, str],
    consoles: Mapping[str, int],
) -> Traffic:
    """Join the probe's requests with the kernel's connection table."""
    host, _, port = url.split("/")[2].rpartition(":")
    virtual = (host, int(port))
    after = [c for c in parse_connections(_table(answer, "after")) if c.virtual == virtual]
    before = {c.client for c in parse_connections(_table(answer, "before"))}
    chosen = {c.client: c.destination[0] for c in after}
    ours = set()
    requests = []
    for row in answer["requests"]:
        client = (str(row["local_address"]), int(row["local_port"] or 0))
        ours.add(client)
        requests.append(
            Request(
                n=int(row["n"]),
                intended_s=float(row.get("intended_s", row["start_s"])),
                end_s=None if row["end_s"] is None else float(row["end_s"]),
                status=row["status"],
                body=str(row["body"]),
                error=str(row["error"]),
                server=addresses.get(chosen.get(client, "")),
            )
        )
    foreign = tuple(c for c in after if c.client not in ours and c.client not in before)
    return Traffic(url, tuple(addresses.values()), tuple(requests), foreign, consoles)


def _table(answer: Mapping[str, Any], when: str) -> str:
    return str(answer[when].get(CONNECTIONS) or "")


def nobody_else(traffic: Traffic) -> None:
    """Fail if others sent requests meanwhile: no verdict on the split could be trusted."""
    if traffic.foreign:
        clients = sorted({connection.client[0] for connection in traffic.foreign})
        raise CheckFailed(
            "no other traffic on the service while it is checked",
            f"{len(traffic.foreign)} other connections came from {', '.join(clients)}",
            "Stop whatever else sends requests to the service (the client, say), "
            "wait until the servers are idle, and check again.",
        )


def requests_succeed(traffic: Traffic, *, requests: int) -> Iterator[Evidence]:
    """Each of the document's requests is answered as a server answers."""
    yield traffic.evidence("sequence")
    bad = [request for request in traffic.requests if not request.succeeded]
    if len(traffic.requests) != requests or bad:
        first = bad[0] if bad else None
        saw = "" if not first else first.error or f"{first.status} {first.body.strip()[:100]}"
        raise CheckFailed(
            f"all of {requests} requests to {traffic.url} to be answered",
            f"{len(bad)} were not; request {first.n}: {saw}" if first else "fewer were sent",
        )


def load_exceeds_capacity(load: Traffic, *, server_rate: float) -> Iterator[Evidence]:
    """The client's load is more than the servers answer: they fall behind, and lose nothing.

    Open loop: the requests are sent at their intended times, whatever has come back.
    """
    capacity = server_rate * len(load.servers)
    yield load.evidence("load", bin_s=1.0, capacity_per_s=capacity)
    lost = [request for request in load.requests if not request.succeeded]
    if lost:
        raise CheckFailed(
            "every request of the load to be answered in the end",
            f"{len(lost)} of {len(load.requests)} were not ({lost[0].error or lost[0].status})",
        )
    end = max(request.intended_s for request in load.requests)
    behind = sum(request.end_s is None or request.end_s > end for request in load.requests)
    # What must be left over when the last request is sent, if the servers work as slowly
    # as the document says; half of it, since they may have finished one more each.
    surplus = len(load.requests) - capacity * end
    offered = len(load.requests) / end
    yield Evidence(
        "the servers fall behind",
        f"{offered:.1f} requests a second for {end:.1f} s; the servers can answer {capacity:g}",
        f"{behind} were unanswered when the last was sent",
    )
    if behind < max(2.0, surplus / 2):
        raise CheckFailed(
            f"{len(load.servers)} servers to fall behind at {offered:.1f} requests a second",
            f"only {behind} requests were unanswered when the last was sent",
            "Something other than the two servers answers, or a server does not take 500 ms.",
        )
