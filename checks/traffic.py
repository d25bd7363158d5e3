"""Sends requests through the service, and checks their answers."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright.checks.attribution import attribute
from labwright.checks.docker import HANDLED
from labwright.errors import CheckFailed, Disturbed, EngineRefused, ProbeError
from labwright.machines.recorded import NotRecorded
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labwright.checks.attribution import Request, Traffic
    from labwright.checks.kernel import Kernel, Service
    from labwright.machines.engine import Engine
    from labwright.machines.machine import Machine

DRAIN_S = 30.0
"""Seconds that the servers have for the remaining requests after the last one was sent."""
CONNECT_S = 20.0
"""Maximum seconds for connecting: a lost first packet is sent again after 1, 3, 7 and 15 s."""
SECOND_SYN_S = 0.95
"""Seconds. A connection that took longer needed a second first packet; see RFC 6298, 2.1."""
CONSOLE_S = 5.0
"""Seconds until a server's output can be read."""


class Sender:
    """Sends requests to the service, once for all checks that judge them."""

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
        self.servers = servers
        self._requests = requests
        self._windows = load_windows
        self.rounds: list[Traffic] = []
        self._sent = 0

    def refresh(self) -> None:
        """Forget the requests, so that they are sent again."""
        for kept in ("requests", "load"):
            self.__dict__.pop(kept, None)
        self.rounds.clear()

    @cached_property
    def requests(self) -> Traffic:
        """The document's 10 to 15 requests."""
        return self.another_round()

    def another_round(self) -> Traffic:
        """Send the document's requests again, and keep the round.

        Each connection is opened without waiting for the last answer. The kernel chooses the server
        when a connection is opened, so the order is known, and all servers work in parallel.

        :raises NotRecorded: the machine is a record without this round.
        """
        task = {
            "task": "traffic",
            "url": self.url,
            "count": self._requests,
            "pipeline": True,
            "timeout": DRAIN_S,
            "connect_s": CONNECT_S,
            # Differs from the last round's question, or a record would repeat the same answer.
            "round": self._sent + 1,
        }
        self._sent += 1
        try:
            self.rounds.append(self._send(task, DRAIN_S + 15))
        except NotRecorded:
            if not self.rounds:
                raise
            raise NotRecorded(
                f"the {sum(len(r.requests) for r in self.rounds)} requests that were recorded of "
                f"{self._machine.target} are not enough to know how they were split, and a record "
                "cannot be sent more: grade the machine again"
            ) from None
        return self.rounds[-1]

    @cached_property
    def load(self) -> Traffic:
        """The client's varying load: the document's random profile with shorter windows."""
        task = {
            "task": "load",
            "url": self.url,
            "gaps_ms": self._windows,
            "drain_s": DRAIN_S,
        }
        return self._send(task, sum(window for _, window in self._windows) + DRAIN_S + 15)

    def _send(self, task: Mapping[str, Any], timeout: float) -> Traffic:
        """Send requests with the probe, and collect the witnesses' evidence."""
        addresses = {
            address: server
            for server in self.servers
            for address in self._docker.container(server).addresses
        }
        answer = self._machine.probe(task, timeout=timeout)
        try:
            since = float(answer["started_at"])
            sent = attribute(str(task["url"]), answer, addresses)
        except (KeyError, TypeError, ValueError) as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} gave a malformed answer: {problem!r}"
            ) from problem
        return replace(sent, consoles={s: self._handled(s, sent, since) for s in self.servers})

    def _handled(self, server: str, sent: Traffic, since: float) -> int | None:
        """Count a server's output lines; the last line can appear after its answer."""
        deadline = self._machine.now() + CONSOLE_S
        try:
            while True:
                said = self._docker.console(server, since=since).count(HANDLED)
                if said >= sent.count(server) or self._machine.now() > deadline:
                    return said
                self._machine.pause(0.2)
        except EngineRefused:
            return None


def console_notices(traffic: Traffic) -> Iterator[Notice]:
    """Return notices about servers that printed fewer lines than requests they handled.

    The answers and the kernel agree, so this is not a failure: Docker's log can end at a line that
    was damaged when the disk was full, and some logging drivers keep no log. A server may have
    printed more lines, for requests of others.
    """
    for server, said in traffic.consoles.items():
        given = traffic.count(server)
        if said is None:
            yield Notice(
                f"`docker logs {server}` cannot be read: its logging driver keeps no log. The "
                "kernel's table and the answers say what it handled."
            )
        elif said < given:
            yield Notice(
                f"{server}'s console shows {said} of the {given} requests that it was given "
                "and that were answered. Docker's log ends at a damaged line if the disk was once "
                f"full; see `docker logs --tail 30 {server}` and `df -h`."
            )


def requests_succeed(
    kernel: Kernel,
    docker_engine: Engine,
    sender: Sender,
    *,
    interface: str,
    service_port: int,
    server_port: int,
    servers: list[str],
    requests: int,
    work_answer: str,
) -> Iterator[Evidence | Notice]:
    """Each of the document's requests gets a server's answer."""
    held, table = kernel.service_on(interface, service_port)
    yield table
    yield from _only_the_servers(held, docker_engine, servers, server_port)
    traffic = sender.requests
    yield traffic.evidence("sequence")
    bad = [r for r in traffic.requests if r.status != 200 or r.body != work_answer]
    if len(traffic.requests) != requests or bad:
        _undisturbed(traffic, bad)
        first = bad[0] if bad else None
        saw = "" if not first else first.error or f"{first.status} {first.body.strip()[:100]}"
        raise CheckFailed(
            f"all of {requests} requests to {traffic.url} to be answered `{work_answer.strip()}`",
            f"{len(bad)} were not; request {first.n}: {saw}" if first else "fewer were sent",
        )
    late = [r for r in traffic.requests if (r.connect_s or 0.0) >= SECOND_SYN_S]
    if late:
        yield Notice(
            f"request {late[0].n} was connected only after {late[0].connect_s:.1f} s: its first "
            "packet was lost, or found the server's queue full, and was sent again"
        )


def _only_the_servers(
    held: Service | None, docker_engine: Engine, servers: list[str], port: int
) -> Iterator[Notice]:
    """Check that nothing else gets requests; a backend with weight 0 gives a notice."""
    left = {server: docker_engine.container(server).addresses for server in servers}
    for destination in held.destinations if held else ():
        at = [s for s, found in left.items() if destination.address in found]
        if at and destination.port == port:
            del left[at[0]]
        elif destination.weight == 0:
            yield Notice(
                f"the kernel also has {destination} behind the service, with weight 0: it gets no "
                "requests, and the document does not ask for it"
            )
        else:
            raise CheckFailed(
                f"{' and '.join(servers)} behind the service, and nothing else",
                f"the kernel also has {destination}",
                "Delete the backend that the document does not ask for; see `cat /proc/net/ip_vs`.",
            )


def _undisturbed(traffic: Traffic, lost: Sequence[Request]) -> None:
    """Check that no requests of others delayed the answers.

    :raises Disturbed: there were requests of others.
    """
    if traffic.others and all(request.error == "timeout" for request in lost):
        raise Disturbed(
            f"{len(lost)} of {len(traffic.requests)} requests got no answer in time, beside "
            f"{traffic.told_of_others()}: stop what sends requests to the service (the client, "
            "say), wait until the servers are idle, and check again"
        )


def load_exceeds_capacity(
    sender: Sender, *, server_rate: float, work_answer: str
) -> Iterator[Evidence]:
    """The client's load exceeds the servers' capacity: they fall behind, but lose nothing.

    Open loop: the requests are sent at their intended times, without waiting for answers.
    """
    load = sender.load
    capacity = server_rate * len(sender.servers)
    yield load.evidence("load", bin_s=1.0, capacity_per_s=capacity)
    lost = [r for r in load.requests if r.status != 200 or r.body != work_answer]
    if lost:
        _undisturbed(load, lost)
        raise CheckFailed(
            "every request of the load to be answered in the end",
            f"{len(lost)} of {len(load.requests)} were not ({lost[0].error or lost[0].status})",
        )
    end = max(request.intended_s for request in load.requests)
    answered = sum(r.end_s is not None and r.end_s <= end for r in load.requests)
    # Until then each server can have finished its capacity, and one request more.
    most = capacity * end + len(sender.servers)
    offered = len(load.requests) / end
    yield Evidence(
        "the servers fall behind",
        f"{offered:.1f} requests a second for {end:.1f} s; the servers can answer {capacity:g}",
        f"{len(load.requests) - answered} were unanswered when the last was sent",
    )
    if answered > most or answered == len(load.requests):
        raise CheckFailed(
            f"{len(sender.servers)} servers to fall behind at {offered:.1f} requests a second",
            f"they had answered {answered} of {len(load.requests)} when the last was sent; "
            f"one at a time, {1000 / server_rate:.0f} ms each, they could have answered "
            f"{most:.0f}",
            "Something other than the servers answers, or a server works on several "
            "requests at a time. Do all run from the document's image, without options?",
        )
