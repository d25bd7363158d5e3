"""Sends a known load, and observes the machine in the meantime.

One task of the probe sends the load, reads the kernel's table of services repeatedly, serves
the numbers by which an orchestrator decides, and carries out the planned actions on the machine.
The whole answer is in the machine's record, so it can be judged again.
"""

from __future__ import annotations

import json
import random
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright.checks.behaviour import (
    SAMPLE_S,
    Behaviour,
    Event,
    Happening,
    Held,
    Left,
    Moment,
    Phase,
    Sent,
    server_takes_s,
)
from labwright.checks.kernel import parse_table
from labwright.errors import MachineError, ProbeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labwright.machines.machine import Machine

DRAIN_S = 120.0
"""Seconds that answers can take after the last request was sent, as long as answers come."""
QUIET_S = 10.0
"""Seconds without an answer after which no more are expected, since a server was killed."""
SHIFT_S = 2.0
"""Maximum seconds by which the seed makes the first phase shorter or longer."""
AFTER_S = 4.0
"""Seconds of observation after the last request was due."""
PLANNED_S = 7.5
"""Seconds. The load's times are planned for machines on which a server takes at most this."""
MOST_STRETCH = 2.5
LONGEST_START_S = 60.0
"""Seconds. A container that took longer from creation to start was not started at once."""
EVENTS_S = 30.0
MOST_EVENTS = 2000


class WatchedLoad:
    """Sends the load and observes, once for all checks that judge it."""

    def __init__(
        self,
        machine: Machine,
        url: str,
        steps: Sequence[Sequence[float]],
        happens: Sequence[Mapping[str, Any]],
        statistics_port: int,
        seed: int,
    ) -> None:
        """Prepare the load; nothing is sent yet.

        :param steps: ``[requests a second, seconds]`` for each phase.
        :param happens: ``{"after_s", "kind", "what", "run"}`` for each action of the grader.
        :param seed: determines by how much the first phase is shorter or longer.
        """
        self._machine = machine
        self._url = url
        self._shift = random.Random(seed).randint(-8, 8) / 8 * SHIFT_S  # noqa: S311  no secret
        self._planned = steps
        self._planned_happens = happens
        self._port = statistics_port

    @cached_property
    def stretch(self) -> float:
        """The factor for the load's times: more than 1 if servers start slowly.

        It follows from how long the containers that run took on average from created to started.
        """
        command = (
            "docker ps --quiet | xargs --no-run-if-empty docker inspect "
            "--format '{{.RestartCount}} {{.Created}} {{.State.StartedAt}}'"
        )
        result = self._machine.run(command, timeout=EVENTS_S)
        took = [_start_s(line) for line in result.stdout.splitlines()] if result.ok else []
        known = [seconds for seconds in took if seconds is not None]
        mean = sum(known) / len(known) if known else 0.0
        return round(min(MOST_STRETCH, max(1.0, server_takes_s(mean) / PLANNED_S)), 1)

    @cached_property
    def _steps(self) -> list[tuple[float, float]]:
        (rate, seconds), *others = self._planned
        shifted = [(rate, seconds + self._shift), *others]
        return [(float(r), float(s) * self.stretch) for r, s in shifted]

    @cached_property
    def _happens(self) -> list[dict[str, Any]]:
        moved = (
            {**one, "after_s": (float(one["after_s"]) + self._shift) * self.stretch}
            for one in self._planned_happens
        )
        return sorted(moved, key=lambda one: (one["after_s"], str(one["run"])))

    @cached_property
    def seen(self) -> Behaviour:
        """The observed behaviour; the load is sent at the first access."""
        total = sum(seconds for _, seconds in self._steps)
        task = {
            "task": "load",
            "url": self._url,
            "gaps_ms": [[1000 / rate, seconds] for rate, seconds in self._steps],
            "drain_s": DRAIN_S,
            "quiet_s": QUIET_S,
            "watch_s": total + AFTER_S,
            "sample_s": SAMPLE_S,
            "statistics_port": self._port,
            "commands": [
                {
                    "after_s": h["after_s"],
                    "run": f"STRETCH_PERCENT={100 * self.stretch:.0f}\n{h['run']}",
                }
                for h in self._happens
            ],
        }
        answer = self._machine.probe(task, timeout=total + DRAIN_S + 60)
        try:
            return self._read(answer)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
            raise ProbeError(
                f"the probe on {self._machine.target} gave a malformed answer: {problem!r}"
            ) from problem

    def _read(self, answer: Mapping[str, Any]) -> Behaviour:
        watch = answer["watch"]
        if watch["cut"]:
            raise MachineError("the kernel's table changed more often than can be kept")
        happened = []
        for happens, row in zip(self._happens, watch["commands"], strict=True):
            output = str(row["output"]).strip()
            problem = "" if row["status"] == 0 else output[:200] or f"status {row['status']}"
            happened.append(
                Happening(
                    str(happens["kind"]),
                    str(happens["what"]),
                    float(row["after_s"]),
                    float(row["took_s"]),
                    output,
                    problem,
                )
            )
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
            happened=tuple(happened),
            containers=tuple(self._events(started_at)),
            left=tuple(self._left()),
            unseen=tuple((float(start), float(end)) for start, end in watch["unseen"]),
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
        """Return Docker's events about containers during the load."""
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
                f"Docker on {self._machine.target} does not give its events: "
                f"{result.stderr.strip()[:200]}"
            )
        events = []
        for line in result.stdout.splitlines()[:MOST_EVENTS]:
            told = json.loads(line)
            at_s = int(told["timeNano"]) / 1e9 - started_at
            actor = told.get("Actor", {})
            name = str(actor.get("Attributes", {}).get("name", ""))
            # Later versions do not have the id at the top level.
            id = str(told.get("id") or actor.get("ID", ""))
            events.append(Event(round(at_s, 3), str(told.get("Action", "")), name, id))
        return events

    def _left(self) -> list[Left]:
        """Return all existing containers."""
        command = "docker ps --all --no-trunc --format '{{json .}}'"
        result = self._machine.run(command, timeout=EVENTS_S)
        if not result.ok:
            raise MachineError(
                f"Docker on {self._machine.target} does not list its containers: "
                f"{result.stderr.strip()[:200]}"
            )
        rows = [json.loads(line) for line in result.stdout.splitlines()[:MOST_EVENTS]]
        return [
            Left(str(row["ID"]), str(row["Names"]), str(row["Image"]), row["State"] == "running")
            for row in rows
        ]


def _start_s(line: str) -> float | None:
    """Return the seconds from a container's creation to its start; None if unknown."""
    try:
        restarts, created, started = line.split()
        took = (datetime.fromisoformat(started) - datetime.fromisoformat(created)).total_seconds()
    except ValueError:
        return None
    return took if restarts == "0" and 0 <= took <= LONGEST_START_S else None
