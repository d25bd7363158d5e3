"""How a machine behaves over time: a load that is known, and what was seen all along.

One task of the probe sends the load, reads the kernel's table of services again and again,
serves the numbers by which an orchestrator decides, and does to the machine what is to happen
meanwhile. All of it is in the machine's record, so it can be judged again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright.checks.kernel import parse_table
from labwright.errors import MachineError, ProbeError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labwright.machines.machine import Machine

SAMPLE_S = 0.25
"""Seconds between two looks at the kernel's table."""
DRAIN_S = 25.0
"""Seconds that answers may take after the last request was sent."""
AFTER_S = 4.0
"""Seconds that are watched after the last request was due."""
EVENTS_S = 30.0
MOST_EVENTS = 2000


@dataclass(frozen=True)
class Phase:
    """A time of the load in which the rate is the same; seconds from the beginning."""

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
        """Whether no good answer came."""
        return self.status != 200 or bool(self.error)


@dataclass(frozen=True)
class Held:
    """What the kernel held of one backend at a moment."""

    weight: int
    active: int
    """Connections that are open."""


@dataclass(frozen=True)
class Moment:
    """The service in the kernel's table, from this time until the next moment."""

    at_s: float
    backends: Mapping[str, Held]
    """By address and port."""

    @property
    def serving(self) -> int:
        """How many backends are given new connections."""
        return sum(held.weight > 0 for held in self.backends.values())


@dataclass(frozen=True)
class Event:
    """Something that happened: by the grader's hand, or as Docker tells it."""

    at_s: float
    what: str
    name: str = ""


@dataclass(frozen=True)
class Behaviour:
    """A load, and all that was seen while it ran."""

    url: str
    phases: tuple[Phase, ...]
    requests: tuple[Sent, ...]
    moments: tuple[Moment, ...]
    asked: Mapping[str, int]
    """How often each of the client's numbers was asked for."""
    done: tuple[Event, ...]
    """What the grader did, at the time when it was done."""
    containers: tuple[Event, ...]
    """What Docker did with containers: create, start, die, destroy."""

    @property
    def end_s(self) -> float:
        """When the load's last phase was over."""
        return self.phases[-1].end_s

    def serving(self, at_s: float) -> int:
        """How many backends were given new connections at a time."""
        before = [moment for moment in self.moments if moment.at_s <= at_s]
        return before[-1].serving if before else 0

    def within(self, start_s: float, end_s: float) -> list[Moment]:
        """Return what was seen in a time, the state at its beginning included."""
        before = [moment for moment in self.moments if moment.at_s <= start_s]
        return before[-1:] + [m for m in self.moments if start_s < m.at_s <= end_s]

    def first(self, start_s: float, holds: Callable[[Moment], bool]) -> float | None:
        """Return the first time from ``start_s`` on at which something held, or None."""
        for moment in self.within(start_s, float("inf")):
            if holds(moment):
                return max(start_s, moment.at_s)
        return None

    def in_flight(self, at_s: float) -> int:
        """How many requests had been sent and not been answered."""
        return sum(
            one.intended_s <= at_s and (one.end_s is None or one.end_s > at_s)
            for one in self.requests
        )

    @property
    def start_takes_s(self) -> float:
        """How long this machine's Docker took to start a container, at most; 0 if it never did."""
        created: dict[str, float] = {}
        took = [0.0]
        for event in self.containers:
            if event.what == "create":
                created[event.name] = event.at_s
            elif event.what == "start" and event.name in created:
                took.append(event.at_s - created.pop(event.name))
        return max(took)

    def evidence(self, capacity_per_server: float) -> Evidence:
        """Return it as evidence that a report can draw."""
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
            "events": [[event.at_s, event.what] for event in self.done],
        }
        lost = sum(one.lost for one in self.requests)
        most = max((moment.serving for moment in self.moments), default=0)
        return Evidence(
            "what the load came to, and how many servers took part all along",
            f"{len(self.requests)} requests in {self.end_s:g} s to {self.url}; "
            "watch cat /proc/net/ip_vs; docker events",
            f"{lost} requests were lost; at most {most} servers took part; its numbers were "
            f"asked for {sum(self.asked.values())} times",
            data,
        )


class WatchedLoad:
    """Sends a load and watches, once for all checks that judge it."""

    def __init__(
        self,
        machine: Machine,
        url: str,
        steps: Sequence[Sequence[float]],
        happens: Sequence[Mapping[str, Any]],
        statistics_port: int,
    ) -> None:
        """Say what will be sent.

        :param steps: ``[requests a second, seconds]``, one after the other.
        :param happens: ``{"after_s", "what", "run"}``: what the grader does meanwhile.
        """
        self._machine = machine
        self._url = url
        self._steps = [(float(rate), float(seconds)) for rate, seconds in steps]
        self._happens = sorted(happens, key=lambda one: float(one["after_s"]))
        self._port = statistics_port

    @cached_property
    def seen(self) -> Behaviour:
        """What was seen; the load is sent when this is first asked for."""
        total = sum(seconds for _, seconds in self._steps)
        task = {
            "task": "load",
            "url": self._url,
            "gaps_ms": [[1000 / rate, seconds] for rate, seconds in self._steps],
            "drain_s": DRAIN_S,
            "watch_s": total + AFTER_S,
            "sample_s": SAMPLE_S,
            "statistics_port": self._port,
            "commands": [{"after_s": h["after_s"], "run": h["run"]} for h in self._happens],
        }
        answer = self._machine.probe(task, timeout=total + DRAIN_S + 60)
        try:
            return self._read(answer)
        except (KeyError, TypeError, ValueError, IndexError) as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} answered something odd: {problem!r}"
            ) from problem

    def _read(self, answer: Mapping[str, Any]) -> Behaviour:
        watch = answer["watch"]
        if watch["cut"]:
            raise MachineError("the kernel's table changed more often than can be kept")
        done = []
        for happens, row in zip(self._happens, watch["commands"], strict=True):
            if row["status"] != 0:
                raise MachineError(
                    f"{happens['what']} could not be done on {self._machine.target}: "
                    f"{str(row['output']).strip()[:200] or row['status']}"
                )
            done.append(Event(float(row["after_s"]), str(happens["what"])))
        started_at = float(answer["started_at"])
        return Behaviour(
            url=self._url,
            phases=self._phases(),
            requests=tuple(
                Sent(
                    float(row["intended_s"]),
                    None if row["end_s"] is None else float(row["end_s"]),
                    row["status"],
                    str(row["error"]),
                )
                for row in answer["requests"]
            ),
            moments=tuple(self._moments(watch["samples"])),
            asked={str(path): int(count) for path, count in watch["asked"].items()},
            done=tuple(done),
            containers=tuple(self._events(started_at)),
        )

    def _phases(self) -> tuple[Phase, ...]:
        found, start = [], 0.0
        for rate, seconds in self._steps:
            found.append(Phase(rate, start, start + seconds))
            start += seconds
        return tuple(found)

    def _moments(self, samples: Sequence[Sequence[Any]]) -> list[Moment]:
        host, _, port = self._url.split("/")[2].rpartition(":")
        found: list[Moment] = []
        for at_s, text in samples:
            backends = {
                f"{d.address}:{d.port}": Held(d.weight, d.active)
                for service in parse_table(str(text))
                if (service.protocol, service.address, service.port) == ("tcp", host, int(port))
                for d in service.destinations
            }
            if not found or found[-1].backends != backends:
                found.append(Moment(float(at_s), backends))
        return found

    def _events(self, started_at: float) -> list[Event]:
        """Return what Docker did with containers meanwhile."""
        total = self._phases()[-1].end_s + AFTER_S
        actions = ("create", "start", "die", "destroy")
        filters = " ".join(f"--filter event={action}" for action in actions)
        result = self._machine.run(
            f"docker events --since %s --until %s --filter type=container {filters} "
            "--format '{{json .}}'",
            f"{started_at:.3f}",
            f"{started_at + total:.3f}",
            timeout=EVENTS_S,
        )
        if not result.ok:
            raise MachineError(
                f"Docker on {self._machine.target} does not tell its events: "
                f"{result.stderr.strip()[:200]}"
            )
        events = []
        for line in result.stdout.splitlines()[:MOST_EVENTS]:
            told = json.loads(line)
            at_s = int(told["timeNano"]) / 1e9 - started_at
            name = str(told.get("Actor", {}).get("Attributes", {}).get("name", ""))
            events.append(Event(round(at_s, 3), str(told.get("Action", "")), name))
        return events
