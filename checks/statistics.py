"""What a verdict on the split is worth; docs/statistics.md derives the formulas."""

from __future__ import annotations

from math import comb


def false_pass(turns: int, foreign: int, servers: int) -> float:
    """Return the probability with which a balancer that chooses at random looks like rr.

    Round-robin takes the next server at every turn, but where a connection of somebody
    else came between. A random balancer takes the next one by chance, ``1 / servers``.

    :param turns: pairs of requests that follow each other.
    :param foreign: connections of others meanwhile; each excuses one turn.
    """
    right = 1 / servers
    return sum(
        comb(turns, wrong) * (1 - right) ** wrong * right ** (turns - wrong)
        for wrong in range(min(foreign, turns) + 1)
    )


def requests_needed(limit: float, servers: int) -> int:
    """Return how many requests make a false pass no more probable than the limit."""
    turns = 1
    while false_pass(turns, 0, servers) > limit:
        turns += 1
    return turns + 1
