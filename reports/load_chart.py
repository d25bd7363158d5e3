"""Draws a load over time: the offered load, each server's answers, and the queue."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.reports.evidence_data import Request, in_flight, requests_of, seconds, servers_of
from labwright.reports.svg import Canvas, Picture, colour, label
from labwright.reports.wording import number, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

LEFT, WIDTH, RIGHT = 36, 470, 12
KEY, RATE, GAP, FLIGHT, AXIS = 44, 140, 30, 60, 34
MOST_BINS = 600


@dataclass(frozen=True)
class _Load:
    """The requests of a load, counted in bins of time."""

    requests: list[Request]
    servers: list[str]
    capacity: float
    bin_s: float
    bins: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> _Load:
        requests = requests_of(data, "intended_s")
        servers = servers_of(data, requests)
        capacity, bin_s = seconds(data["capacity_per_s"]), seconds(data["bin_s"])
        if not requests or len(servers) > 6 or bin_s <= 0 or capacity < 0:
            raise ValueError("no load that can be drawn")
        if min(one.start_s for one in requests) < 0:
            raise ValueError("a request before the beginning")
        last = max(max(one.start_s, one.end_s or 0.0) for one in requests)
        bins = math.floor(last / bin_s) + 1
        if bins > MOST_BINS:
            raise ValueError("too long to draw")
        return cls(requests, servers, capacity, bin_s, bins)

    def rates(self, times: list[float]) -> list[float]:
        """Return the events per second in each bin."""
        counts = Counter(int(time / self.bin_s) for time in times)
        return [counts[number] / self.bin_s for number in range(self.bins)]

    def offered(self) -> list[float]:
        return self.rates([one.start_s for one in self.requests])

    def served(self, server: str | None) -> list[float]:
        return self.rates([one.end_s for one in self.answered(server) if one.end_s is not None])

    def answered(self, server: str | None) -> list[Request]:
        return [one for one in self.requests if one.ok and one.server == server]

    def failed(self) -> list[Request]:
        return [one for one in self.requests if not one.ok and not one.pending]


def draw(data: Mapping[str, Any]) -> Picture:
    """Draw evidence of the kind ``load``."""
    load = _Load.read(data)
    words = _words(load)
    canvas = Canvas(LEFT + WIDTH + RIGHT, KEY + RATE + GAP + FLIGHT + AXIS, words)
    _key(canvas, load)
    _rates(canvas, load)
    _flight(canvas, load)
    return Picture("load", words, str(canvas))


def _key(canvas: Canvas, load: _Load) -> None:
    entries = [("line offered", "offered")]
    entries += [(colour(n), f"{label(s)} answered") for n, s in enumerate(load.servers[:3])]
    entries.append(("line capacity", f"capacity {number(load.capacity)}/s"))
    if load.failed():
        entries.append(("line bad", "failed"))
    canvas.key(LEFT, 12, entries)


def _x(load: _Load, time: float) -> float:
    return LEFT + WIDTH * time / (load.bins * load.bin_s)


def _rates(canvas: Canvas, load: _Load) -> None:
    offered = load.offered()
    stacks: list[str | None] = [*load.servers, None]
    served = [load.served(server) for server in stacks]
    top = _ceiling(max([*offered, load.capacity, *map(sum, zip(*served, strict=True))]))
    foot = KEY + RATE
    _scale(canvas, foot, RATE, top, "requests/s")
    for bin in range(load.bins):
        x, width = _x(load, bin * load.bin_s), WIDTH / load.bins
        y = float(foot)
        for place, rates in enumerate(served):
            height = RATE * rates[bin] / top
            y -= height
            look = colour(place) if place < len(load.servers) else "unknown"
            if height:
                name = stacks[place]
                who = "answered by an unknown server" if name is None else f"{label(name)} answered"
                tip = f"{number(bin * load.bin_s)} s: {who} {number(rates[bin])}/s"
                canvas.box(x + width * 0.1, y, width * 0.8, height, look, tip)
    _steps(canvas, load, [foot - RATE * rate / top for rate in offered])
    limit = foot - RATE * load.capacity / top
    canvas.line(LEFT, limit, LEFT + WIDTH, limit, "line capacity")
    for one in load.failed():
        canvas.cross(_x(load, one.start_s), foot - 4, 3, "line bad")


def _steps(canvas: Canvas, load: _Load, heights: list[float]) -> None:
    points = []
    for bin, y in enumerate(heights):
        points += [(_x(load, bin * load.bin_s), y), (_x(load, (bin + 1) * load.bin_s), y)]
    canvas.path(points, "line offered")


def _flight(canvas: Canvas, load: _Load) -> None:
    levels = in_flight(load.requests)
    top = _ceiling(max(level for _, level in levels))
    foot = KEY + RATE + GAP + FLIGHT
    _scale(canvas, foot, FLIGHT, top, "in flight")
    points: list[tuple[float, float]] = []
    before = 0
    for time, level in [*levels, (load.bins * load.bin_s, levels[-1][1])]:
        x = _x(load, time)
        points += [(x, foot - FLIGHT * before / top), (x, foot - FLIGHT * level / top)]
        before = level
    canvas.path([(LEFT, foot), *points, (LEFT + WIDTH, foot)], "area")
    total = load.bins * load.bin_s
    step = _ceiling(total / 8)
    for tick in range(int(total / step) + 1):
        canvas.text(_x(load, tick * step), foot + 15, number(tick * step), "quiet", "middle")
    canvas.text(LEFT + WIDTH, foot + 29, "seconds", "quiet", "end")


def _scale(canvas: Canvas, foot: float, height: float, top: float, words: str) -> None:
    for value in (0.0, top / 2, top):
        y = foot - height * value / top
        canvas.line(LEFT, y, LEFT + WIDTH, y, "line grid")
        canvas.text(LEFT - 6, y + 4, number(value), "quiet", "end")
    canvas.text(LEFT, foot - height - 6, words, "quiet")


def _ceiling(value: float) -> float:
    """Round up to 1, 2, 4, 5, 6 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 2, 4, 5, 6, 8, 10) if m * power >= value), 10 * power)


def _words(load: _Load) -> str:
    offered, levels = load.offered(), in_flight(load.requests)
    most = max(level for _, level in levels)
    at = next(time for time, level in levels if level == most)
    end = max(one.start_s for one in load.requests)
    shares = [f"{label(s)} answered {len(load.answered(s))}" for s in load.servers]
    failed = load.failed()
    said = [
        (
            f"{plural(len(load.requests), 'request')} offered in {end:.1f} s, "
            f"at most {number(max(offered))}/s against a capacity of {number(load.capacity)}/s."
        )
    ]
    if shares:
        said.append("; ".join(shares) + ".")
    said.append(f"At most {most} were in flight, after {at:.1f} s.")
    pending = sum(one.pending for one in load.requests)
    if pending:
        said.append(f"{pending} had not been answered when the check ended.")
    if failed:
        said.append(f"{len(failed)} failed, the first with: {line(failed[0].problem, 80)}.")
    return " ".join(said)
