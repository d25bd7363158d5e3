"""What became of a load, second by second and in all: for people, as JSON and as CSV."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

if TYPE_CHECKING:
    from labwright.components.workload.latency import Latencies
    from labwright.components.workload.load import Load

FORMAT = "labwright/load/v1"


class Second(NamedTuple):
    """One second of a load; what is counted is counted in that second."""

    second: int
    offered_per_s: float
    """The rate asked for at its end."""
    sent: int
    served: int
    errors: int
    in_flight: int
    """At its end."""
    p50_ms: float | None
    p99_ms: float | None
    """Of the answers in it, from their intended time; None if there was none."""


class Record:
    """Keeps each second of a load, and writes it down at once if there is a file for it."""

    def __init__(self, load: Load, latencies: Latencies | None, csv: TextIO | None = None) -> None:
        self.seconds: list[Second] = []
        self.started = time.time()
        self._load = load
        self._latencies = latencies
        self._csv = csv
        self._before = (0, 0, 0)
        if csv:
            csv.write(",".join(Second._fields) + "\n")

    def look(self, second: int) -> Second:
        """Take note of a second that is over."""
        load = self._load
        now = (load.requests, load.served, load.errors)
        sent, served, errors = (a - b for a, b in zip(now, self._before, strict=True))
        self._before = now
        told = self._latencies.recent_ms() if self._latencies else {}
        row = Second(
            second,
            round(load.request_rate, 3),
            sent,
            served,
            errors,
            load.in_flight,
            told.get("p50"),
            told.get("p99"),
        )
        self.seconds.append(row)
        if self._csv:
            self._csv.write(",".join("" if one is None else str(one) for one in row) + "\n")
            self._csv.flush()
        return row

    def finish(self) -> None:
        """Take note of what came after the last second that was looked at."""
        if self._before != (self._load.requests, self._load.served, self._load.errors):
            self.look(self.seconds[-1].second + 1 if self.seconds else 1)

    def latency_ms(self) -> dict[str, float]:
        """Return percentiles over all answers."""
        return self._latencies.all_ms() if self._latencies else {}

    def as_json(self, about: dict[str, Any]) -> dict[str, Any]:
        """Return all of it; ``about`` says what load it was."""
        load = self._load
        return {
            "schema": FORMAT,
            **about,
            "started": self.started,
            "sent": load.requests,
            "served": load.served,
            "errors": dict(load.problems),
            "in_flight": load.in_flight,
            "latency_ms": self.latency_ms(),
            "latest_ms": round(load.latest_s * 1000, 3),
            "seconds": [row._asdict() for row in self.seconds],
        }
