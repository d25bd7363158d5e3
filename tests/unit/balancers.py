"""Balancers, right and wrong, and labs in which they hand out connections."""

from __future__ import annotations

import random
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from labwright.checks.attribution import Request, Traffic
from labwright.checks.kernel import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Balancer = Callable[[random.Random, int], Callable[[int], int]]
    """Makes, for so many servers, what hands a client's connection to a server."""

OURS = 0
"""The client that is the grader; others have other numbers."""


def round_robin(draw: random.Random, servers: int) -> Callable[[int], int]:
    last = draw.randrange(servers)

    def hand(_client: int) -> int:
        nonlocal last
        last = (last + 1) % servers
        return last

    return hand


def at_random(draw: random.Random, servers: int) -> Callable[[int], int]:
    return lambda _client: draw.randrange(servers)


def one_server(draw: random.Random, servers: int) -> Callable[[int], int]:
    only = draw.randrange(servers)
    return lambda _client: only


def sticky(draw: random.Random, servers: int) -> Callable[[int], int]:
    kept: dict[int, int] = {}
    return lambda client: kept.setdefault(client, draw.randrange(servers))


def weighted(draw: random.Random, servers: int) -> Callable[[int], int]:
    """Hand out in turn by weight: the first server has twice that of each other."""
    return _cycle(draw, [0, *range(servers)])


def turned_groups(draw: random.Random, servers: int) -> Callable[[int], int]:
    """Give each server one of each group, every other group backwards: 1 2 2 1 1 2 2 1."""
    return _cycle(draw, [*range(servers), *reversed(range(servers))])


def _cycle(draw: random.Random, order: list[int]) -> Callable[[int], int]:
    at = draw.randrange(len(order))

    def hand(_client: int) -> int:
        nonlocal at
        at = (at + 1) % len(order)
        return order[at]

    return hand


def shuffled_groups(draw: random.Random, servers: int) -> Callable[[int], int]:
    """Give each server one of each group, each group in an order of its own.

    So does a balancer that takes the server with the fewest connections, and any of them
    where several have the fewest, while no connection ends.
    """
    group: list[int] = []

    def hand(_client: int) -> int:
        if not group:
            group.extend(draw.sample(range(servers), servers))
        return group.pop()

    return hand


def least_connections(draw: random.Random, servers: int) -> Callable[[int], int]:
    """Take the server with the fewest connections; some end at random between."""
    held = [0] * servers

    def hand(_client: int) -> int:
        busy = [place for place in range(servers) if held[place]]
        if busy and draw.random() < 0.3:
            held[draw.choice(busy)] -= 1
        fewest = min(held)
        chosen = draw.choice([place for place in range(servers) if held[place] == fewest])
        held[chosen] += 1
        return chosen

    return hand


WRONG = {
    "random": at_random,
    "sticky": sticky,
    "weighted 2:1": weighted,
    "least connections": least_connections,
    "one server": one_server,
    "turned groups": turned_groups,
    "shuffled groups": shuffled_groups,
}


class Lab:
    """A lab whose balancer hands out our connections and those of others."""

    def __init__(
        self, draw: random.Random, balancer: Balancer, servers: int, requests: int, others: float
    ) -> None:
        """Make one in which ``others`` connections of others come for each of ours."""
        self.servers = tuple(f"server{n + 1}" for n in range(servers))
        self.rounds: list[Traffic] = []
        self._draw = draw
        self._hand = balancer(draw, servers)
        self._requests = requests
        self._others = others

    @cached_property
    def requests(self) -> Traffic:
        return self.another_round()

    @cached_property
    def load(self) -> Traffic:
        return self._sent()

    def another_round(self) -> Traffic:
        self.rounds.append(self._sent())
        return self.rounds[-1]

    def _sent(self) -> Traffic:
        requests, foreign, beside, unseen = [], [], Counter(), 0
        for client in self._clients():
            server = self.servers[self._hand(client)]
            if client == OURS:
                n = len(requests) + 1
                requests.append(Request(n, n * 0.1, n * 0.5, 200, "", "", server))
            elif self._draw.random() < 0.05:
                unseen += 1  # reset, and its entry is gone before the table is read
            else:
                beside[server] += 1
                foreign.append(Connection("tcp", (f"10.0.0.{client}", 1), ("", 1), ("", 1), ""))
        handled = dict.fromkeys(self.servers, self._requests)
        return Traffic(
            "http://10.0.2.15:4444/doWork",
            self.servers,
            tuple(requests),
            foreign=tuple(foreign),
            consoles=handled,
            beside=beside,
            unseen=unseen,
        )

    def _clients(self) -> Iterator[int]:
        """Yield whose the connections are, in the order in which they are opened."""
        rest = self._requests
        others = self._others / (1 + self._others)
        while rest:
            if self._draw.random() < others:
                yield self._draw.randint(1, 3)
            else:
                rest -= 1
                yield OURS
        while self._draw.random() < others:
            yield self._draw.randint(1, 3)
