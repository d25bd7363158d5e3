"""Error probabilities for the split of requests; docs/statistics.md derives the formulas."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def least_between(order: Sequence[int], servers: int) -> int:
    """Return the least number of others' connections between ours, under round-robin.

    :param order: for each of our connections, the index of its server in the kernel's list.
    """
    return sum((after - before - 1) % servers for before, after in pairwise(order))


def in_turn(order: Sequence[int], beside: Sequence[int], unseen: int = 0) -> bool:
    """Return whether round-robin can have distributed these connections. The result is exact.

    Round-robin moves to the next server with each connection, ours or others'. So all connections
    together are one cyclic run through the list, which contains ours in order. The distribution
    is possible if there is such a run, long enough for ours, in which each server occurs as often
    as it got a connection.

    :param order: for each of our connections, in order, the index of its server.
    :param beside: for each server, the number of others' connections in the meantime.
    :param unseen: the possible number of further connections, of which nothing is known.
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
    """Return an upper bound on the probability that a random balancer looks like round-robin.

    At each turn, a random balancer skips 0 to ``servers - 1`` servers with equal probability. It
    looks like round-robin only if it skips no more servers than there were connections of
    others.

    :param turns: the number of pairs of consecutive connections of ours.
    :param foreign: the number of others' connections in the meantime.
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
    """Return the number of requests for which a false pass is at most as probable as the limit.

    :raises ValueError: there are fewer than two servers, or the limit is not above 0.
    """
    if servers < 2 or limit <= 0:
        raise ValueError("no number of requests shows how they are split")
    turns = 1
    while false_pass(turns, 0, servers) > limit:
        turns += 1
    return turns + 1
