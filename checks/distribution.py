"""Checks how the kernel split the requests. docs/statistics.md derives the error rates."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from labwright.checks.statistics import false_pass
from labwright.checks.traffic import console_notices
from labwright.errors import CheckFailed, Disturbed
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.attribution import Traffic
    from labwright.checks.traffic import Sender

MOST_ROUNDS = 4
"""Maximum number of rounds of requests while others' connections make the result uncertain."""
ROUNDING = 1e-9
"""For rounding errors: a share of 0.1 of 10 must be 1."""


def round_robin(
    sender: Sender, *, tolerance: float, false_pass_limit: float
) -> Iterator[Evidence | Notice]:
    """The requests went to the servers in turn, which a random balancer would not do.

    Connections of others take turns, too. They are counted, and more requests are sent until a
    random balancer is improbable enough.
    """
    traffic = sender.requests
    yield traffic.evidence("sequence")
    yield traffic.console_evidence()
    chance = _judged(traffic, sender)
    while chance > false_pass_limit:
        if len(sender.rounds) == MOST_ROUNDS:
            raise _undecided(sender, chance, false_pass_limit)
        traffic = sender.another_round()
        yield traffic.evidence("sequence")
        chance *= _judged(traffic, sender)
    yield _improbable(chance, false_pass_limit)
    for server in sender.servers:
        yield _share(next(r for r in sender.rounds if r.steady), server, sender, tolerance)
    for each in sender.rounds:
        yield from console_notices(each)


def about_half(
    sender: Sender, *, container: str, tolerance: float, false_pass_limit: float
) -> Iterator[Evidence | Notice]:
    """A server was given its share of the load, in turn, by the kernel's tables."""
    load = sender.load
    _all_attributed(load)
    yield load.console_evidence()
    _steady(load)
    yield _share(load, container, sender, tolerance)
    chance = _judged(load, sender)
    if chance > false_pass_limit:
        raise Disturbed(
            f"beside the load there were {load.told_of_others()}, too many to know how it was "
            f"split: {ALONE}"
        )
    yield _improbable(chance, false_pass_limit)
    yield from console_notices(load)


ALONE = (
    "stop what sends requests to the service (the client, say), wait until the servers are "
    "idle, and check again"
)


def _judged(traffic: Traffic, sender: Sender) -> float:
    """Judge whether one round can be round-robin.

    :returns: an upper bound on the probability that a random balancer gives this order; 1 if the
        round shows nothing.
    :raises CheckFailed: it cannot be round-robin.
    """
    _all_attributed(traffic)
    if not traffic.steady:
        return 1.0
    names = " and ".join(sender.servers)
    if len(set(traffic.order)) == 1 and not traffic.others and len(traffic.requests) > 1:
        raise CheckFailed(f"requests to go to {names}", f"all went to {traffic.requests[0].server}")
    if not traffic.in_turn:
        raise _out_of_turn(traffic)
    missing = [server for server in sender.servers if server not in traffic.servers]
    if missing:
        raise CheckFailed(
            f"requests to go to {names}", f"the kernel gives {missing[0]} none: its weight is 0"
        )
    return false_pass(len(traffic.requests) - 1, traffic.others, len(traffic.servers))


def _steady(traffic: Traffic) -> None:
    """Check that the kernel had the same servers all the time.

    :raises Disturbed: the servers changed.
    """
    if not traffic.steady:
        raise Disturbed(
            "the servers behind the service changed while requests were sent: Gorb's pulse found "
            "one gone or back, or somebody changed a backend; check again"
        )


def _undecided(sender: Sender, chance: float, limit: float) -> Disturbed:
    """Return the error for the case that all rounds together are not enough."""
    rounds = sender.rounds
    sent = sum(len(each.requests) for each in rounds)
    told = [each.told_of_others() for each in rounds if each.others]
    for each in rounds:
        if not told:
            _steady(each)
    if told:
        return Disturbed(
            f"{told[-1]} came between ours, the last time of {len(rounds)}; after {sent} requests "
            f"it is not known how they are split: {ALONE}"
        )
    return Disturbed(
        f"{sent} requests do not suffice: a balancer that chooses at random would look like this "
        f"with a probability of {chance:.2g}, and at most {limit:g} is accepted; "
        "raise the lab's value `requests`"
    )


def _improbable(chance: float, limit: float) -> Evidence:
    return Evidence(
        "the servers took turns",
        "",
        "a balancer that chooses at random would do so with a probability of at most "
        f"{chance:.2g}; at most {limit:g} is accepted",
    )


def _out_of_turn(traffic: Traffic) -> CheckFailed:
    """Return the failure that shows where the order is not round-robin."""
    names = [str(request.server) for request in traffic.requests]
    cycle = len(traffic.servers)
    wrong = [
        request
        for request, (before, after) in zip(
            traffic.requests[1:], pairwise(traffic.order), strict=True
        )
        if (after - before) % cycle != 1 % cycle
    ]
    beside = ""
    if traffic.others:
        handed = ", ".join(f"{server} {traffic.total(server)}" for server in traffic.servers)
        beside = (
            f", beside {traffic.told_of_others()}; with those, connections handed out: {handed}"
        )
    first = (
        f"request {wrong[0].n} went to {wrong[0].server}, out of turn"
        if wrong
        else ("the servers were not given equally many")
    )
    return CheckFailed(
        "each request to go to the next server in turn", f"{first}{beside}: {' '.join(names)}"
    )


def _share(traffic: Traffic, server: str, sender: Sender, tolerance: float) -> Evidence:
    """Compare a server's share of all connections with an equal share.

    Connections cannot always be divided equally: of 13, one of two servers gets 7, the other 6.

    :param tolerance: as a share of all connections; 0.1 is 10 %.
    """
    fair = 1 / len(sender.servers)
    counts = {name: traffic.total(name) for name in sender.servers}
    given, seen = counts[server], sum(counts.values())
    total = max(1, seen)
    low = math.floor(total * (fair - tolerance) + ROUNDING) - traffic.unseen
    high = math.ceil(total * (fair + tolerance) - ROUNDING) + traffic.unseen
    low, high = max(0, low), min(total, high)
    asked = f"{low}" if low == high else f"{low} to {high}"
    what = f"{given} of {seen} connections ({given / total:.0%})"
    if traffic.others:
        what += f", those of others included; of ours {traffic.count(server)}"
    evidence = Evidence(
        f"{server} was given its share",
        "the kernel's connection table",
        f"{what}; asked for: {asked}",
        {
            "kind": "split",
            "counts": counts,
            "share": {server: given / total},
            "low": low / total,
            "high": high / total,
            "tolerance": tolerance,
        },
    )
    if not low <= given <= high:
        raise CheckFailed(
            f"{server} to be given {fair:.0%} of the requests, that is {asked} of {seen}",
            f"it was given {what}",
            evidence=(evidence,),
        )
    return evidence


def _all_attributed(traffic: Traffic) -> None:
    """Check that the kernel handed each request to a server.

    :raises CheckFailed: a request went to something else, or never reached IPVS.
    :raises Disturbed: the kernel counted the requests, but no longer lists them.
    """
    lost = [request.n for request in traffic.requests if request.server is None]
    if lost and len(lost) <= traffic.unseen:
        raise Disturbed(
            f"the kernel no longer lists {len(lost)} requests, though it counted them: "
            "its table forgot them before it was read; check again when the machine is idle"
        )
    if lost:
        raise CheckFailed(
            "every request to go through IPVS to one of the servers",
            f"{len(lost)} of {len(traffic.requests)} did not (the first is number {lost[0]})",
            "Something takes them before IPVS does. See `sudo iptables -t nat -L -n` and "
            "`sudo ss -ltnp`: does anything else answer on, or redirect, the service's port?",
        )
    elsewhere = [r for r in traffic.requests if r.server not in traffic.servers and traffic.steady]
    if elsewhere:
        raise CheckFailed(
            "every request to go to one of the servers",
            f"request {elsewhere[0].n} went to {elsewhere[0].server}, which is none of them now",
        )
