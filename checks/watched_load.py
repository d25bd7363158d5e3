"""Sends a load that is known, and sees what the machine does meanwhile.

One task of the probe sends the load, reads the kernel's table of services again and again,
serves the numbers by which an orchestrator decides, and does to the machine what is to happen
meanwhile. All of it is in the machine's record, so it can be judged again.
"""

from __future__ import annotations

import json
import random
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
)
from labwright.checks.kernel import parse_table
from labwright.errors import MachineError, ProbeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labwright.machines.machine import Machine

DRAIN_S = 15.0
"""Seconds that answers may take after the last request was sent."""
SHIFT_S = 2.0
"""By how much the seed makes the first phase shorter or longer, at most."""
AFTER_S = 4.0
"""Seconds that are watched after the last request was due."""
EVENTS_S = 30.0
MOST_EVENTS = 2000


class WatchedLoad:
    """Sends a load and watches, once for all checks that judge it."""

    def __init__(
        self,
        machine: Machine,
        url: str,
        steps: Sequence[Sequence[float]],
        happens: Sequence[Mapping[str, Any]],
        statistics_port: int,
        seed: int,
    ) -> None:
        """Say what will be sent.

        :param steps: ``[requests a second, seconds]``, one after the other.
        :param happens: ``{"after_s", "kind", "what", "run"}``: what the grader does meanwhile.
        :param seed: decides by how much the first step is shorter or longer.
        """
        self._machine = machine
        self._url = url
        shift = random.Random(seed).randint(-8, 8) / 8 * SHIFT_S  # noqa: S311  no secret
        (rate, seconds), *others = steps
        self._steps = [(float(r), float(s)) for r, s in [(rate, seconds + shift), *others]]
        self._happens = sorted(
            ({**one, "after_s": float(one["after_s"]) + shift} for one in happens),
            key=lambda one: (one["after_s"], str(one["run"])),
        )
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
                f"Docker on {self._machine.target} does not give its events: "
                f"{result.stderr.strip()[:200]}"
            )
        events = []
        for line in result.stdout.splitlines()[:MOST_EVENTS]:
            told = json.loads(line)
            at_s = int(told["timeNano"]) / 1e9 - started_at
            actor = told.get("Actor", {})
            name = str(actor.get("Attributes", {}).get("name", ""))
            # Later versions leave the id at the top out.
            id = str(told.get("id") or actor.get("ID", ""))
            events.append(Event(round(at_s, 3), str(told.get("Action", "")), name, id))
        return events

    def _left(self) -> list[Left]:
        """Return all containers that are there now."""
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
