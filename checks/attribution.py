"""Finds the server that each request was handed to, from the kernel's tables.

The probe notes the local port of each request. The kernel's connection table has the
destination of each port, its table of services has the order of the destinations, and its
counters have the total number of connections.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labwright.checks.docker import HANDLED
from labwright.checks.kernel import TABLE, Connection, parse_connections, parse_table
from labwright.checks.statistics import in_turn
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labwright.checks.kernel import Destination, Endpoint

CONNECTIONS = "/proc/net/ip_vs_conn"
COUNTERS = "/proc/net/ip_vs_stats_percpu"
WHEN = ("before", "after")


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
    """The server that the kernel chose, or the address and port of another destination; None
    if the kernel has no entry for this request."""
    connect_s: float | None = None
    """Seconds until it was connected."""


@dataclass(frozen=True)
class Traffic:
    """The requests that were sent to the service, with the evidence of three witnesses."""

    url: str
    servers: tuple[str, ...]
    """The servers in the kernel's order, in which round-robin uses them."""
    requests: tuple[Request, ...]
    """The requests, in the order in which their connections were opened."""
    foreign: tuple[Connection, ...] = ()
    """New connections to the service that others made in the meantime."""
    consoles: Mapping[str, int | None] = field(default_factory=dict)
    """The number of requests that each server printed in the meantime; None if its output
    cannot be read."""
    beside: Mapping[str, int] = field(default_factory=dict)
    """The number of connections of others that each server was handed."""
    unseen: int = 0
    """The number of connections that the kernel counted but does not list."""
    steady: bool = True
    """Whether the kernel had the same servers before and after."""

    @property
    def scheduled(self) -> Counter[str]:
        """The number of requests that the kernel gave to each server."""
        return Counter(dict.fromkeys(self.servers, 0)) + Counter(
            request.server for request in self.requests if request.server
        )

    @property
    def others(self) -> int:
        """The largest possible number of connections of others."""
        return len(self.foreign) + self.unseen

    @property
    def order(self) -> list[int]:
        """For each request, the index of its server in the kernel's list."""
        place = {server: n for n, server in enumerate(self.servers)}
        return [place[r.server] for r in self.requests if r.server in place]

    @property
    def in_turn(self) -> bool:
        """Whether round-robin can have produced this distribution."""
        return in_turn(self.order, [self.beside.get(s, 0) for s in self.servers], self.unseen)

    def count(self, server: str) -> int:
        """Return the number of requests that the kernel gave to a server."""
        return self.scheduled[server]

    def total(self, server: str) -> int:
        """Return the number of connections that the kernel gave to a server, including others'."""
        return self.scheduled[server] + self.beside.get(server, 0)

    def told_of_others(self) -> str:
        """Return the number and origin of others' connections, in words."""
        clients = ", ".join(sorted({connection.client[0] for connection in self.foreign}))
        told = [f"{len(self.foreign)} connections of others ({clients})"] if self.foreign else []
        if self.unseen:
            told.append(f"{self.unseen} connections that the kernel no longer lists")
        return " and ".join(told)

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
        if self.others:
            handed = ", ".join(f"{server} {n}" for server, n in self.beside.items())
            saw += f"; beside them {self.told_of_others()}"
            saw += f", handed to: {handed}" if handed else ""
        return Evidence(
            "which server each request was handed to, by the kernel's connection table",
            f"{len(rows)} requests, each on a connection of its own: curl {self.url}; "
            f"cat {CONNECTIONS}",
            saw,
            {"kind": kind, "servers": list(self.servers), "requests": rows, **data},
        )

    def console_evidence(self) -> Evidence:
        """Return what the servers printed, as evidence."""
        told = [
            f"{server} {'cannot be read' if count is None else count}"
            for server, count in self.consoles.items()
        ]
        return Evidence(
            "how many requests the servers say they handled",
            "; ".join(f"docker logs {s} | grep -c '{HANDLED}'" for s in self.consoles),
            ", ".join(told),
        )


def attribute(url: str, answer: Mapping[str, Any], addresses: Mapping[str, str]) -> Traffic:
    """Combine the probe's requests with the kernel's tables.

    :param addresses: the servers by address; a server can have several addresses.
    """
    host, _, port = url.split("/")[2].rpartition(":")
    virtual = (host, int(port))
    before, after = (parse_connections(_file(answer, when)) for when in ("before", "after"))
    destinations = [_destinations(_file(answer, when, TABLE), virtual) for when in WHEN]
    names = endpoint_names([*destinations[1], *destinations[0]], addresses, virtual[1])
    entries = {(c.client, c.destination) for c in before}
    ours = {(str(row["local_address"]), int(row["local_port"] or 0)) for row in answer["requests"]}
    new = [c for c in after if c.client not in ours and (c.client, c.destination) not in entries]
    handed = {c.client: c.destination for c in after if c.virtual == virtual}
    foreign = tuple(c for c in new if c.virtual == virtual)
    order = [tuple(names[d.endpoint] for d in those if d.weight) for those in destinations]
    return Traffic(
        url=url,
        servers=order[1],
        requests=tuple(_request(row, handed, names) for row in answer["requests"]),
        foreign=foreign,
        consoles={},
        beside=Counter(names.get(c.destination, _written(c.destination)) for c in foreign),
        unseen=_unseen(answer, len(new) + len(ours & set(handed))),
        steady=order[0] == order[1],
    )


def endpoint_names(
    destinations: list[Destination], addresses: Mapping[str, str], port: int
) -> dict[Endpoint, str]:
    """Return the name of each destination: its server's, or its address and port.

    If several destinations have a server's address, the one with the expected port is the server.
    """
    names: dict[Endpoint, str] = {}
    for destination in sorted(destinations, key=lambda d: d.port != port):
        server = addresses.get(destination.address)
        taken = server is None or server in names.values()
        if destination.endpoint not in names:
            written = _written(destination.endpoint)
            names[destination.endpoint] = written if taken or server is None else server
    return names


def _written(endpoint: Endpoint) -> str:
    return f"{endpoint[0]}:{endpoint[1]}"


def _request(
    row: Mapping[str, Any],
    handed: Mapping[Endpoint, Endpoint],
    names: Mapping[Endpoint, str],
) -> Request:
    client = (str(row["local_address"]), int(row["local_port"] or 0))
    destination = handed.get(client)
    connected = row.get("connected_s")
    return Request(
        n=int(row["n"]),
        intended_s=float(row.get("intended_s", row["start_s"])),
        end_s=None if row["end_s"] is None else float(row["end_s"]),
        status=row["status"],
        body=str(row["body"]),
        error=str(row["error"]),
        server=None if destination is None else names.get(destination, _written(destination)),
        connect_s=None if connected is None else float(connected) - float(row["start_s"]),
    )


def _destinations(table: str, virtual: Endpoint) -> list[Destination]:
    """Return a service's destinations in the kernel's order, in which round-robin uses them."""
    return [
        destination
        for service in parse_table(table)
        if service.protocol == "tcp" and (service.address, service.port) == virtual
        for destination in service.destinations
    ]


def _unseen(answer: Mapping[str, Any], listed: int) -> int:
    """Return the number of connections that the kernel counted but no longer lists.

    An entry can disappear before it is read: after a reset, it is kept for only 10 s.
    """
    counted = [_counted(_file(answer, when, COUNTERS)) for when in WHEN]
    if None in counted:
        return 0
    return max(0, int(counted[1] or 0) - int(counted[0] or 0) - listed)


def _counted(counters: str) -> int | None:
    """Return the number of connections of all services, summed over all processors."""
    rows = [line.split() for line in counters.splitlines()]
    # CPU Conns InPkts OutPkts InBytes OutBytes, in hex; `~` marks the estimator's totals.
    found = [
        int(row[1], 16) for row in rows if len(row) == 6 and row[0].isalnum() and row[0] != "CPU"
    ]
    return sum(found) if found else None


def _file(answer: Mapping[str, Any], when: str, path: str = CONNECTIONS) -> str:
    return str(answer[when].get(path) or "")
