"""The behaviour of a machine during a known load, as data.

:mod:`labwright.checks.watched_load` sends the load and reads the observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


SAMPLE_S = 0.2
"""Seconds between two readings of the kernel's table."""
LISTENS_S = 4.0
"""Seconds from a container's start until its program listens and is registered."""
LEAST_IDLE_S = 0.5
"""Seconds for which a backend must have had the weight 0: a connection that is just being opened
does not count as active yet. A document asks for more, since the table is only sampled."""


def server_takes_s(start_s: float) -> float:
    """Return the seconds from the decision to start a server to its first request.

    :param start_s: how long its container took from created to started; to create it takes a
        quarter of that.
    """
    return 1.25 * start_s + LISTENS_S


@dataclass(frozen=True)
class Phase:
    """A part of the load with a constant rate. Times are seconds from the beginning."""

    rate: float
    """Requests a second."""
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Sent:
    """One request of the load."""

    intended_s: float
    end_s: float | None
    status: int | None
    error: str

    @property
    def lost(self) -> bool:
        """Whether there was no good answer."""
        return self.status != 200 or bool(self.error)


@dataclass(frozen=True)
class Held:
    """A backend in the kernel's table, at one moment."""

    weight: int
    active: int
    """The number of open connections."""


@dataclass(frozen=True)
class Moment:
    """The service in the kernel's table, from this time until the next moment."""

    at_s: float
    backends: Mapping[str, Held]
    """The backends by address and port."""

    @property
    def serving(self) -> int:
        """The number of backends that get new connections."""
        return sum(held.weight > 0 for held in self.backends.values())


@dataclass(frozen=True)
class Event:
    """An event of Docker about a container."""

    at_s: float
    what: str
    """``create``, ``start``, ``die`` or ``destroy``."""
    name: str = ""
    id: str = ""


@dataclass(frozen=True)
class Happening:
    """Something that the grader did while the load ran."""

    kind: str
    what: str
    at_s: float
    took_s: float
    output: str
    problem: str
    """Why it could not be done; empty if it was done."""

    @property
    def end_s(self) -> float:
        """The time at which it was done."""
        return self.at_s + self.took_s

    @property
    def dead(self) -> tuple[str, str]:
        """The id and address of a killed server, from the last line of output."""
        words = [] if self.problem else self.output.split()[-2:]
        return (words[0], words[1]) if len(words) == 2 else ("", "")


@dataclass(frozen=True)
class Left:
    """A container that exists after the load."""

    id: str
    name: str
    image: str
    running: bool


@dataclass(frozen=True)
class Removal:
    """A backend that left the kernel's table, with its last known state."""

    at_s: float
    name: str
    last: Held
    idle_s: float
    """Seconds for which it had had the weight 0."""
    lost: int
    """The number of lost requests that it may have had."""

    @property
    def early(self) -> bool:
        """Whether it could still get requests, or still had some."""
        # A connection that was open in the last sample may have ended since.
        had_some = self.last.active > 0 and self.lost > 0
        return self.last.weight > 0 or self.idle_s < LEAST_IDLE_S or had_some


@dataclass(frozen=True)
class Behaviour:
    """A load, and all observations while it ran."""

    url: str
    phases: tuple[Phase, ...]
    requests: tuple[Sent, ...]
    moments: tuple[Moment, ...]
    asked: Mapping[str, int]
    """How often each of the client's numbers was requested."""
    happened: tuple[Happening, ...]
    """The actions of the grader."""
    containers: tuple[Event, ...]
    """Docker's events about containers."""
    left: tuple[Left, ...]
    """All containers that exist at the end."""
    unseen: tuple[tuple[float, float], ...]
    """Times at which the machine was too busy to read the kernel's table."""

    @property
    def end_s(self) -> float:
        """The end of the load's last phase."""
        return self.phases[-1].end_s

    def serving(self, at_s: float) -> int:
        """Return the number of backends that got new connections at a time."""
        before = [moment for moment in self.moments if moment.at_s <= at_s]
        return before[-1].serving if before else 0

    def within(self, start_s: float, end_s: float) -> list[Moment]:
        """Return the moments in a period, including the state at its beginning."""
        before = [moment for moment in self.moments if moment.at_s <= start_s]
        return before[-1:] + [m for m in self.moments if start_s < m.at_s <= end_s]

    def first(self, start_s: float, holds: Callable[[Moment], bool]) -> float | None:
        """Return the first time from ``start_s`` on at which ``holds`` is true, or None."""
        for moment in self.within(start_s, float("inf")):
            if holds(moment):
                return max(start_s, moment.at_s)
        return None

    def in_flight(self, at_s: float) -> int:
        """Return the number of requests that were sent but not yet answered."""
        return sum(
            one.intended_s <= at_s
            and (one.end_s is None or one.end_s > at_s)
            # A refused request did not wait; the time of the refusal is not recorded.
            and one.error in ("", "timeout")
            for one in self.requests
        )

    def happening(self, kind: str) -> Happening | None:
        """Return the grader's action of a kind; None if this load has no such action."""
        return next((one for one in self.happened if one.kind == kind), None)

    @cached_property
    def removals(self) -> list[Removal]:
        """Return the backends that left the table, except those that were never sampled."""
        found, idle = [], dict[str, float]()
        for before, after in pairwise(self.moments):
            for name, held in before.backends.items():
                if held.weight > 0:
                    idle.pop(name, None)
                else:
                    idle.setdefault(name, before.at_s)
                if name in after.backends:
                    continue
                idle_s = after.at_s - idle.pop(name, after.at_s)
                if not any(a <= after.at_s <= b + SAMPLE_S for a, b in self.unseen):
                    lost = self._lost_before(after.at_s)
                    found.append(Removal(after.at_s, name, held, idle_s, lost))
        return found

    @cached_property
    def taken_out(self) -> list[Removal]:
        """Return the removals, without that of the server that the grader killed."""
        killed = self.happening("kill")
        dead = killed.dead[1] if killed else ""
        return [
            one
            for one in self.removals
            if not (killed and dead and one.at_s >= killed.at_s and one.name.startswith(f"{dead}:"))
        ]

    def _lost_before(self, at_s: float) -> int:
        """Return the number of lost requests of a server that was removed at a time."""
        since = at_s - self.waits_s(at_s) - 1
        return sum(one.lost and since <= one.intended_s <= at_s for one in self.requests)

    def waits_s(self, at_s: float) -> float:
        """Return the longest waiting time of the requests answered shortly before."""
        about = [
            one.end_s - one.intended_s
            for one in self.requests
            if one.end_s is not None and at_s - 5 <= one.end_s <= at_s
        ]
        return max(about, default=0.0)

    def started(self, start_s: float, end_s: float) -> set[str]:
        """Return the ids of the containers that were started in a period."""
        return {e.id for e in self.containers if e.what == "start" and start_s <= e.at_s <= end_s}

    @cached_property
    def _starts_s(self) -> list[float]:
        """For each new container, the seconds until it ran, from Docker's events."""
        created: dict[str, float] = {}
        took = []
        for event in self.containers:
            if event.what == "create":
                created[event.id] = event.at_s
            elif event.what == "start" and event.id in created:
                took.append(event.at_s - created.pop(event.id))
        return took

    @property
    def server_takes_s(self) -> float:
        """The seconds from the decision to start a server to its first request, on this machine.

        Docker's events have the times at which a container was created and started.
        """
        took = self._starts_s
        return server_takes_s(sum(took) / len(took) if took else 0.0)

    @property
    def delay_s(self) -> float:
        """By how many seconds the slowest start was slower than the others; allowed once."""
        took = self._starts_s
        return 2 * (max(took) - sum(took) / len(took)) if took else 0.0

    def evidence(self, capacity_per_server: float) -> Evidence:
        """Return evidence that a report can draw."""
        counts = [[moment.at_s, moment.serving] for moment in self.moments]
        data = {
            "kind": "behaviour",
            "requests": [
                {
                    "intended_s": one.intended_s,
                    "end_s": one.end_s,
                    "status": one.status,
                    "error": one.error,
                }
                for one in self.requests
            ],
            "phases": [[p.rate, p.start_s, p.end_s] for p in self.phases],
            "serving": counts,
            "capacity_per_server": capacity_per_server,
            "events": [[one.end_s, one.what] for one in self.happened if not one.problem],
        }
        lost = sum(one.lost for one in self.requests)
        most = max((moment.serving for moment in self.moments), default=0)
        return Evidence(
            "the load, and how many servers took part over time",
            f"{len(self.requests)} requests in {self.end_s:g} s to {self.url}; "
            "watch cat /proc/net/ip_vs; docker events",
            f"{lost} requests were lost; at most {most} servers took part; its numbers were "
            f"asked for {sum(self.asked.values())} times",
            data,
        )
