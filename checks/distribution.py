"""How the kernel split the requests. docs/statistics.md derives the error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.checks.traffic import nobody_else
from labwright.errors import CheckFailed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.traffic import Traffic


def round_robin(traffic: Traffic, *, tolerance: float) -> Iterator[Evidence]:
    """The requests went to the servers in turn, and the servers say the same.

    A random balancer passes with probability 2 * 0.5**n over n requests and two servers.
    """
    yield traffic.evidence("sequence")
    yield traffic.console_evidence()
    nobody_else(traffic)
    _all_attributed(traffic)
    order = [request.server for request in traffic.requests]
    turns = len(traffic.servers)
    for n, server in enumerate(order):
        if n >= turns and server != order[n - turns]:
            raise CheckFailed(
                "each request to go to the next server in turn",
                f"request {n + 1} went to {server}, out of turn: {_in_words(order)}",
            )
    if len(set(order)) != turns:
        raise CheckFailed(
            f"requests to go to {' and '.join(traffic.servers)}", f"all went to {order[0]}"
        )
    for server in traffic.servers:
        yield _share(traffic, server, tolerance)
    _consoles_agree(traffic)


def about_half(load: Traffic, *, container: str, tolerance: float) -> Iterator[Evidence]:
    """A server was given its share of the load, by what the kernel scheduled."""
    _all_attributed(load)
    nobody_else(load)
    yield _share(load, container, tolerance)
    yield load.console_evidence()
    _consoles_agree(load)


def _share(traffic: Traffic, server: str, tolerance: float) -> Evidence:
    """Hold a server's share against an equal one; tolerance is a share, 0.1 is 10 %."""
    fair = 1 / len(traffic.servers)
    share = traffic.count(server) / len(traffic.requests)
    counts = {name: traffic.count(name) for name in traffic.servers}
    evidence = Evidence(
        f"{server} was given its share",
        "the kernel's connection table",
        f"{counts[server]} of {len(traffic.requests)} ({share:.0%}); "
        f"asked for: {fair:.0%}, give or take {tolerance:.0%}",
        {
            "kind": "split",
            "counts": counts,
            "share": {server: share},
            "low": fair - tolerance,
            "high": fair + tolerance,
            "tolerance": tolerance,
        },
    )
    if abs(share - fair) > tolerance + 1e-9:
        raise CheckFailed(
            f"{server} to be given {fair:.0%} of the requests, give or take {tolerance:.0%}",
            f"it was given {counts[server]} of {len(traffic.requests)} ({share:.0%})",
            evidence=(evidence,),
        )
    return evidence


def _all_attributed(traffic: Traffic) -> None:
    lost = [request.n for request in traffic.requests if request.server is None]
    if lost:
        raise CheckFailed(
            "every request to go through IPVS to one of the two servers",
            f"{len(lost)} of {len(traffic.requests)} did not (the first is number {lost[0]})",
            "Is something else answering on the service's port, or a third backend registered? "
            "See `cat /proc/net/ip_vs`, `docker ps` and `sudo iptables -t nat -L -n`.",
        )


def _consoles_agree(traffic: Traffic) -> None:
    """The third witness: what the servers printed must be what the kernel scheduled."""
    for server in traffic.servers:
        if traffic.consoles[server] != traffic.count(server):
            raise CheckFailed(
                f"{server} to have handled the {traffic.count(server)} requests it was given",
                f"its console says {traffic.consoles[server]}",
                f"See `docker logs --tail 30 {server}`: does another program answer there?",
            )


def _in_words(order: list[str | None]) -> str:
    return " ".join(str(server) for server in order)
