"""How the kernel split the requests. docs/statistics.md derives the error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.checks.statistics import false_pass
from labwright.errors import CheckFailed, Disturbed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.checks.traffic import Sender, Traffic

MOST_ROUNDS = 4
"""How often the requests are sent again while others disturb them."""


def round_robin(sender: Sender, *, tolerance: float, false_pass_limit: float) -> Iterator[Evidence]:
    """The requests went to the servers in turn, and the servers say the same.

    Others' connections take turns too. Each excuses one request that is out of turn, and
    more requests are sent until chance is as improbable as it must be.
    """
    traffic = sender.requests
    yield traffic.evidence("sequence")
    yield traffic.console_evidence()
    for n in range(MOST_ROUNDS):
        rounds = sender.rounds
        _all_attributed(rounds[-1])
        _in_turn(rounds)
        chance = _chance(rounds)
        if chance <= false_pass_limit:
            break
        if n + 1 < MOST_ROUNDS:
            yield sender.another_round().evidence("sequence")
    else:
        raise Disturbed(
            f"{sum(len(r.foreign) for r in rounds)} connections of others "
            f"({rounds[-1].clients()}) came between {sum(len(r.requests) for r in rounds)} of "
            "ours, too many to tell how they are split: stop what sends requests to the service "
            "(the client, say), wait until the servers are idle, and check again"
        )
    yield Evidence(
        "the servers took turns",
        "",
        f"a balancer that chooses at random would do so with a probability of {chance:.2g}; "
        f"at most {false_pass_limit:g} is accepted",
    )
    for server in traffic.servers:
        yield _share(traffic, server, tolerance)
    for each in rounds:
        _consoles_agree(each)


def about_half(sender: Sender, *, container: str, tolerance: float) -> Iterator[Evidence]:
    """A server was given its share of the load, in turn, by what the kernel scheduled."""
    load = sender.load
    _all_attributed(load)
    yield _share(load, container, tolerance)
    yield load.console_evidence()
    _in_turn([load])
    _consoles_agree(load)


def _in_turn(rounds: Sequence[Traffic]) -> None:
    """Hold the order in which the kernel handed out connections against its list of servers."""
    foreign = sum(len(each.foreign) for each in rounds)
    out_of_turn = []
    for each in rounds:
        place = {server: n for n, server in enumerate(each.servers)}
        order = [request.server for request in each.requests]
        for n in range(1, len(order)):
            turn = (place[str(order[n])] - place[str(order[n - 1])]) % len(place)
            if turn != 1 % len(place):
                out_of_turn.append((each.requests[n], order))
    if len(out_of_turn) > foreign:
        request, order = out_of_turn[0]
        if len(set(order)) == 1:
            raise CheckFailed(
                f"requests to go to {' and '.join(rounds[0].servers)}", f"all went to {order[0]}"
            )
        beside = f", beside {foreign} connections of others" if foreign else ""
        raise CheckFailed(
            "each request to go to the next server in turn",
            f"request {request.n} went to {request.server}, out of turn{beside}: "
            f"{' '.join(map(str, order))}",
        )


def _chance(rounds: Sequence[Traffic]) -> float:
    """Return with what probability a random balancer would have looked like this."""
    turns = sum(len(each.requests) - 1 for each in rounds)
    foreign = sum(len(each.foreign) for each in rounds)
    return false_pass(turns, foreign, len(rounds[0].servers))


def _share(traffic: Traffic, server: str, tolerance: float) -> Evidence:
    """Hold a server's share against an equal one; tolerance is a share, 0.1 is 10 %."""
    fair = 1 / len(traffic.servers)
    share = traffic.count(server) / len(traffic.requests)
    # Each connection of somebody else can have taken a turn that would have been ours.
    allowed = tolerance + len(traffic.foreign) / len(traffic.requests)
    counts = {name: traffic.count(name) for name in traffic.servers}
    evidence = Evidence(
        f"{server} was given its share",
        "the kernel's connection table",
        f"{counts[server]} of {len(traffic.requests)} ({share:.0%}); "
        f"asked for: {fair:.0%}, give or take {allowed:.0%}",
        {
            "kind": "split",
            "counts": counts,
            "share": {server: share},
            "low": fair - allowed,
            "high": fair + allowed,
            "tolerance": allowed,
        },
    )
    if abs(share - fair) > allowed + 1e-9:
        raise CheckFailed(
            f"{server} to be given {fair:.0%} of the requests, give or take {allowed:.0%}",
            f"it was given {counts[server]} of {len(traffic.requests)} ({share:.0%})",
            evidence=(evidence,),
        )
    return evidence


def _all_attributed(traffic: Traffic) -> None:
    lost = [request.n for request in traffic.requests if request.server is None]
    if lost:
        raise CheckFailed(
            "every request to go through IPVS to one of the servers",
            f"{len(lost)} of {len(traffic.requests)} did not (the first is number {lost[0]})",
            "Something takes them before IPVS does. See `sudo iptables -t nat -L -n` and "
            "`sudo ss -ltnp`: does anything else answer on, or redirect, the service's port?",
        )


def _consoles_agree(traffic: Traffic) -> None:
    """The third witness: the servers printed no less than the kernel gave them.

    They may have printed more: what others sent, through the service or past it.
    """
    for server in traffic.servers:
        if traffic.consoles[server] < traffic.count(server):
            raise CheckFailed(
                f"{server} to have handled the {traffic.count(server)} requests it was given",
                f"its console says {traffic.consoles[server]}",
                f"See `docker logs --tail 30 {server}`: does another program answer there?",
            )
