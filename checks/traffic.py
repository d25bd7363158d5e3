"""Requests through the service, each attributed to the server that the kernel chose.

The probe remembers the local port of each request; the kernel's connection table tells
which server that port was handed to, and the servers' consoles tell what they handled.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright.checks.docker import HANDLED
from labwright.checks.kernel import TABLE, Connection, parse_connections, parse_table
from labwright.errors import CheckFailed, ProbeError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labwright.checks.kernel import Kernel
    from labwright.machines.engine import Engine
    from labwright.machines.machine import Machine

CONNECTIONS = "/proc/net/ip_vs_conn"
DRAIN_S = 30.0
"""How long the servers may take for what is left over when the last request is sent."""
CONSOLE_S = 5.0
"""How long what a server has printed may take to be seen."""


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


@dataclass(frozen=True)
class Traffic:
    """What was sent to the service, and what three witnesses say became of it."""

    url: str
    servers: tuple[str, ...]
    """In the order in which the kernel has them: round-robin takes them in turn."""
    requests: tuple[Request, ...]
    """In the order in which their connections were opened."""
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
        saw = f"scheduled: {counts}"
        if self.foreign:
            saw += f"; beside them {len(self.foreign)} connections of others: {self.clients()}"
        return Evidence(
            "which server each request was handed to, by the kernel's connection table",
            f"{len(rows)} requests, each on a connection of its own: curl {self.url}; "
            f"cat {CONNECTIONS}",
            saw,
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

    def clients(self) -> str:
        """Return the addresses from which others came."""
        return ", ".join(sorted({connection.client[0] for connection in self.foreign}))


class Sender:
    """Sends requests to the service, the same ones only once for all who judge them."""

    def __init__(
        self,
        machine: Machine,
        docker_engine: Engine,
        url: str,
        servers: tuple[str, ...],
        requests: int,
        load_windows: list[list[float]],
    ) -> None:
        self._machine = machine
        self._docker = docker_engine
        self.url = url
        self._servers = servers
        self._requests = requests
        self._windows = load_windows
        self.rounds: list[Traffic] = []

    def refresh(self) -> None:
        """Send again when it is next asked for: time has passed."""
        for kept in ("requests", "load"):
            self.__dict__.pop(kept, None)
        self.rounds.clear()

    @cached_property
    def requests(self) -> Traffic:
        """The document's 10 to 15 requests."""
        return self.another_round()

    def another_round(self) -> Traffic:
        """Send the document's requests (once more), and remember the round.

        The next connection is opened without waiting for the last one's answer: the kernel
        decides when a connection is opened, so the order is known, and all servers work.
        """
        task = {
            "task": "traffic",
            "url": self.url,
            "count": self._requests,
            "pipeline": True,
            "timeout": DRAIN_S,
        }
        self.rounds.append(self._send(task, DRAIN_S + 15))
        return self.rounds[-1]

    @cached_property
    def load(self) -> Traffic:
        """The client's variable load: the document's random profile, its windows shortened."""
        task = {
            "task": "load",
            "url": self.url,
            "gaps_ms": self._windows,
            "drain_s": DRAIN_S,
        }
        return self._send(task, sum(window for _, window in self._windows) + DRAIN_S + 15)

    def _send(self, task: Mapping[str, Any], timeout: float) -> Traffic:
        """Have the probe send requests, and gather what the witnesses say."""
        addresses = {self._docker.container(server).address: server for server in self._servers}
        answer = self._machine.probe(task, timeout=timeout)
        try:
            since = float(answer["started_at"])
            sent = attribute(str(task["url"]), answer, addresses)
        except (KeyError, TypeError, ValueError) as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} answered something odd: {problem!r}"
            ) from problem
        return Traffic(**{**vars(sent), "consoles": self._consoles(sent, since)})

    def _consoles(self, sent: Traffic, since: float) -> dict[str, int]:
        """Count what the servers printed; the last line may come after its answer."""
        deadline = time.monotonic() + CONSOLE_S
        while True:
            said = {s: self._docker.console(s, since=since).count(HANDLED) for s in self._servers}
            if all(said[server] >= count for server, count in sent.scheduled.items()):
                return said
            if time.monotonic() > deadline:
                return said
            time.sleep(0.2)


def attribute(url: str, answer: Mapping[str, Any], addresses: Mapping[str, str]) -> Traffic:
    """Join the probe's requests with the kernel's connection table.

    :param addresses: the servers by their addresses.
    """
    host, _, port = url.split("/")[2].rpartition(":")
    virtual = (host, int(port))
    after = [c for c in parse_connections(_file(answer, "after")) if c.virtual == virtual]
    before = {c.client for c in parse_connections(_file(answer, "before"))}
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
    servers = _in_turn(_file(answer, "after", TABLE), virtual, addresses)
    return Traffic(url, servers, tuple(requests), foreign, {})


def _in_turn(table: str, virtual: tuple[str, int], addresses: Mapping[str, str]) -> tuple[str, ...]:
    """Return the servers in the order in which the kernel lists, and takes, them."""
    listed = [
        addresses[destination.address]
        for service in parse_table(table)
        if (service.address, service.port) == virtual
        for destination in service.destinations
        if destination.address in addresses
    ]
    return tuple(dict.fromkeys([*listed, *addresses.values()]))


def _file(answer: Mapping[str, Any], when: str, path: str = CONNECTIONS) -> str:
    return str(answer[when].get(path) or "")


def requests_succeed(
    kernel: Kernel,
    docker_engine: Engine,
    sender: Sender,
    *,
    interface: str,
    service_port: int,
    servers: list[str],
    requests: int,
    work_answer: str,
) -> Iterator[Evidence]:
    """Each of the document's requests is answered as a server answers."""
    held, table = kernel.service(kernel.address_of(interface), service_port)
    yield table
    known = {docker_engine.container(server).address for server in servers}
    strangers = [d for d in (held.destinations if held else ()) if d.address not in known]
    if strangers:
        raise CheckFailed(
            f"{' and '.join(servers)} behind the service, and nothing else",
            f"the kernel also has {strangers[0].address}:{strangers[0].port}",
            "Delete the backend that the document does not ask for; see `cat /proc/net/ip_vs`.",
        )
    traffic = sender.requests
    yield traffic.evidence("sequence")
    bad = [r for r in traffic.requests if r.status != 200 or r.body != work_answer]
    if len(traffic.requests) != requests or bad:
        first = bad[0] if bad else None
        saw = "" if not first else first.error or f"{first.status} {first.body.strip()[:100]}"
        raise CheckFailed(
            f"all of {requests} requests to {traffic.url} to be answered `{work_answer.strip()}`",
            f"{len(bad)} were not; request {first.n}: {saw}" if first else "fewer were sent",
        )


def load_exceeds_capacity(
    sender: Sender, *, server_rate: float, work_answer: str
) -> Iterator[Evidence]:
    """The client's load is more than the servers answer: they fall behind, and lose nothing.

    Open loop: the requests are sent at their intended times, whatever has come back.
    """
    load = sender.load
    capacity = server_rate * len(load.servers)
    yield load.evidence("load", bin_s=1.0, capacity_per_s=capacity)
    lost = [r for r in load.requests if r.status != 200 or r.body != work_answer]
    if lost:
        raise CheckFailed(
            "every request of the load to be answered in the end",
            f"{len(lost)} of {len(load.requests)} were not ({lost[0].error or lost[0].status})",
        )
    end = max(request.intended_s for request in load.requests)
    answered = sum(r.end_s is not None and r.end_s <= end for r in load.requests)
    # By then each server can have ended what the document lets it, and one more.
    most = capacity * end + len(load.servers)
    offered = len(load.requests) / end
    yield Evidence(
        "the servers fall behind",
        f"{offered:.1f} requests a second for {end:.1f} s; the servers can answer {capacity:g}",
        f"{len(load.requests) - answered} were unanswered when the last was sent",
    )
    if answered > most or answered == len(load.requests):
        raise CheckFailed(
            f"{len(load.servers)} servers to fall behind at {offered:.1f} requests a second",
            f"they had answered {answered} of {len(load.requests)} when the last was sent; "
            f"one at a time, {1000 / server_rate:.0f} ms each, they could have answered "
            f"{most:.0f}",
            "Something other than the servers answers, or a server works on several "
            "requests at a time. Do all run from the document's image, without options?",
        )
