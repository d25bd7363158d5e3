"""Draws how a program scaled: the load and the number of servers over time."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.reports.evidence_data import Request, in_flight, requests_of, seconds
from labwright.reports.svg import Canvas, Picture
from labwright.reports.wording import number, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

LEFT, WIDTH, RIGHT = 36, 560, 12
KEY, RATE, GAP, FLIGHT, SERVERS, AXIS = 44, 120, 30, 50, 50, 34
MOST_S = 1200.0
MOST_POINTS = 5000


@dataclass(frozen=True)
class Drawn:
    """The validated data of evidence of the kind ``behaviour``."""

    requests: list[Request]
    phases: list[tuple[float, float, float]]
    """Rate, start and end of each phase."""
    serving: list[tuple[float, float]]
    """Times from which a number of servers took part."""
    per_server: float
    events: list[tuple[float, str]]
    end_s: float

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Drawn:
        """Read the data.

        :raises ValueError: it cannot be drawn; also TypeError and KeyError.
        """
        requests = requests_of(data, "intended_s")
        phases = [(seconds(r), seconds(a), seconds(b)) for r, a, b in data["phases"]]
        serving = [(seconds(at), seconds(count)) for at, count in data["serving"]]
        events = [(seconds(at), line(str(what), 60)) for at, what in data["events"]]
        ends = [one.end_s for one in requests if one.end_s is not None]
        end_s = max([phase[2] for phase in phases] + ends)
        if not requests or not phases or not 0 < end_s <= MOST_S or len(serving) > MOST_POINTS:
            raise ValueError("no behaviour that can be drawn")
        per_server = seconds(data["capacity_per_server"])
        if per_server <= 0:
            raise ValueError("a server that answers nothing")
        return cls(requests, phases, serving, per_server, events, end_s)

    def answered(self) -> list[int]:
        """Return the number of answers in each second."""
        counts = Counter(int(one.end_s) for one in self.requests if one.ok and one.end_s)
        return [counts[second] for second in range(math.ceil(self.end_s))]

    def needed(self) -> list[tuple[float, float]]:
        """Return the times from which a number of servers just suffices for the load."""
        return [(start, float(math.ceil(rate / self.per_server))) for rate, start, _ in self.phases]

    def lost(self) -> list[Request]:
        """Return the requests without a good answer."""
        return [one for one in self.requests if not one.ok]


def draw(data: Mapping[str, Any]) -> Picture:
    """Draw evidence of the kind ``behaviour``."""
    seen = Drawn.read(data)
    words = _words(seen)
    height = KEY + RATE + GAP + FLIGHT + GAP + SERVERS + AXIS
    canvas = Canvas(LEFT + WIDTH + RIGHT, height, words)
    entries = [("line offered", "offered"), ("s0", "answered"), ("line capacity", "capacity")]
    entries += [("line bad", "lost")] if seen.lost() else []
    canvas.key(LEFT, 12, entries)
    _rates(canvas, seen)
    levels = [(at, float(level)) for at, level in in_flight(seen.requests)]
    _level(canvas, seen, levels, KEY + RATE + GAP + FLIGHT, FLIGHT, "in flight")
    foot = KEY + RATE + GAP + FLIGHT + GAP + SERVERS
    _level(canvas, seen, seen.serving, foot, SERVERS, "servers that take part, and that suffice")
    top = max([1.0, *(count for _, count in seen.serving)])
    canvas.path(_staircase(seen, seen.needed(), foot, SERVERS, top), "line offered")
    _events(canvas, seen, foot)
    return Picture("behaviour", words, str(canvas))


def _x(seen: Drawn, at_s: float) -> float:
    return LEFT + WIDTH * min(max(at_s, 0.0), seen.end_s) / seen.end_s


def _rates(canvas: Canvas, seen: Drawn) -> None:
    foot, answered = KEY + RATE, seen.answered()
    capacity = [(at, count * seen.per_server) for at, count in seen.serving]
    highest = max([*answered, *(rate for rate, _, _ in seen.phases), *(c for _, c in capacity)])
    top = math.ceil(highest) or 1
    _scale(canvas, foot, RATE, top, "requests/s")
    for second, count in enumerate(answered):
        x, right = _x(seen, second), _x(seen, second + 1)
        tip = f"{second} s: {count} answered"
        height = RATE * count / top
        if count:
            canvas.box(x, foot - height, (right - x) * 0.9, height, "s0", tip)
    offered: list[tuple[float, float]] = []
    for rate, start, end in seen.phases:
        y = foot - RATE * rate / top
        offered += [(_x(seen, start), y), (_x(seen, end), y)]
    canvas.path(offered, "line offered")
    canvas.path(_staircase(seen, capacity, foot, RATE, top), "line capacity")
    for one in seen.lost():
        canvas.cross(_x(seen, one.start_s), foot - 4, 3, "line bad")


def _level(
    canvas: Canvas,
    seen: Drawn,
    levels: list[tuple[float, float]],
    foot: float,
    height: float,
    words: str,
) -> None:
    top = max([1.0, *(level for _, level in levels)])
    _scale(canvas, foot, height, top, words)
    points = _staircase(seen, levels, foot, height, top)
    canvas.path([(LEFT, foot), *points, (_x(seen, seen.end_s), foot)], "area")


def _staircase(
    seen: Drawn,
    levels: list[tuple[float, float]],
    foot: float,
    height: float,
    top: float,
) -> list[tuple[float, float]]:
    points, before = [], 0.0
    for at, level in [*levels, (seen.end_s, levels[-1][1] if levels else 0.0)]:
        x = _x(seen, at)
        points += [(x, foot - height * before / top), (x, foot - height * level / top)]
        before = level
    return points


def _events(canvas: Canvas, seen: Drawn, foot: float) -> None:
    for place, (at, _) in enumerate(seen.events, 1):
        x = _x(seen, at)
        canvas.line(x, KEY, x, foot, "line thread")
        canvas.text(x + 3, KEY + 10, str(place), "strong")
    step = max(1, 5 * math.ceil(seen.end_s / 50))
    for tick in range(0, math.ceil(seen.end_s), step):
        canvas.text(_x(seen, tick), foot + 15, str(tick), "quiet", "middle")
    named = "; ".join(f"{place} {what}" for place, (_, what) in enumerate(seen.events, 1))
    canvas.text(LEFT, foot + 30, named, "quiet")
    canvas.text(LEFT + WIDTH, foot + 30, "seconds", "quiet", "end")


def _scale(canvas: Canvas, foot: float, height: float, top: float, words: str) -> None:
    for value in (0.0, top):
        y = foot - height * value / top
        canvas.line(LEFT, y, LEFT + WIDTH, y, "line grid")
        canvas.text(LEFT - 6, y + 4, number(value), "quiet", "end")
    canvas.text(LEFT, foot - height - 6, words, "quiet")


def _words(seen: Drawn) -> str:
    rates = ", ".join(number(rate) for rate, _, _ in seen.phases)
    counts = [int(count) for _, count in seen.serving] or [0]
    peak = max(level for _, level in in_flight(seen.requests))
    first = (
        f"{plural(len(seen.requests), 'request')} in {seen.end_s:.0f} s, at {rates} a second "
        f"one after the other. From {min(counts)} to {max(counts)} servers took part; at most "
        f"{peak} requests waited."
    )
    said = [first]
    said += [f"After {at:.0f} s {what}." for at, what in seen.events]
    lost = seen.lost()
    if lost:
        said.append(f"{len(lost)} were lost, the first with: {line(lost[0].problem, 80)}.")
    return " ".join(said)
