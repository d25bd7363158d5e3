"""What a verdict on the split is worth; docs/statistics.md derives the formulas."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def least_between(order: Sequence[int], servers: int) -> int:
    """Return how many connections of others must have come between ours under round-robin.

    :param order: the places, in the kernel's list, of the servers that ours were handed to.
    """
    return sum((after - before - 1) % servers for before, after in pairwise(order))


def in_turn(order: Sequence[int], beside: Sequence[int], unseen: int = 0) -> bool:
    """Return whether round-robin can have handed out these connections. Exact.

    Round-robin moves one place on with every connection, ours or others'. So all of them
    together are one run through the list, from some place on, and ours lie in it in order.
    It is possible if there is such a run that is long enough for ours, and in which each
    server comes as often as it was handed a connection.

    :param order: the places of the servers that ours were handed to, in order.
    :param beside: how many connections of others each server was handed meanwhile.
    :param unseen: how many more there can have been, of which nothing else is known.
    """
    servers, own = len(beside), Counter(order)
    seen = [own[place] + beside[place] for place in range(servers)]
    length = len(order) + least_between(order, servers)
    for start in range(servers):
        least = length + (order[0] - start) % servers if order else 0
        for total in range(max(least, sum(seen)), sum(seen) + unseen + 1):
            whole, rest = divmod(total, servers)
            turns = [whole + ((place - start) % servers < rest) for place in range(servers)]
            if all(has <= due for has, due in zip(seen, turns, strict=True)):
                return True
    return False


def false_pass(turns: int, foreign: int, servers: int) -> float:
    """Return a bound on the probability that chance looks like round-robin.

    A balancer that chooses at random leaves 0 to ``servers - 1`` places out at each turn,
    each as probable as the others. It looks like round-robin only if no more are left out
    than there were connections of others.

    :param turns: pairs of our connections that follow each other.
    :param foreign: connections of others meanwhile.
    """
    most = min(foreign, turns * (servers - 1))
    left_out = [1.0]  # the probability of each sum so far; sums above `most` are dropped
    for _ in range(turns):
        left_out = [
            sum(left_out[max(0, n - servers + 1) : n + 1]) / servers
            for n in range(min(len(left_out) + servers - 1, most + 1))
        ]
    return min(1.0, sum(left_out))


def requests_needed(limit: float, servers: int) -> int:
    """Return how many requests make a false pass no more probable than the limit.

    :raises ValueError: there are no two servers, or the limit is not above 0.
    """
    if servers < 2 or limit <= 0:
        raise ValueError("no number of requests shows how they are split")
    turns = 1
    while false_pass(turns, 0, servers) > limit:
        turns += 1
    return turns + 1
