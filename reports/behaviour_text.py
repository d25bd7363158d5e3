"""Shows in a terminal how a program scaled: a row of marks for each quantity over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labwright.reports.behaviour_chart import Drawn
from labwright.reports.evidence_data import in_flight
from labwright.reports.wording import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BLOCKS, PLAIN = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", " .:-=+*#@"
COLUMNS = 60
LABEL = 19


def rows(data: Mapping[str, Any], encoding: str = "utf-8") -> list[str]:
    """Return the rows for evidence of the kind ``behaviour``; empty if it cannot be drawn."""
    if data.get("kind") != "behaviour":
        return []
    try:
        return _rows(Drawn.read(data), _marks(encoding))
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return []


def _marks(encoding: str) -> str:
    try:
        BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BLOCKS


def _rows(seen: Drawn, marks: str) -> list[str]:
    step = seen.end_s / COLUMNS
    answered = [0] * COLUMNS
    for one in seen.requests:
        if one.ok and one.end_s is not None:
            answered[min(int(one.end_s / step), COLUMNS - 1)] += 1
    offered = [(start, rate) for rate, start, _ in seen.phases] + [(seen.phases[-1][2], 0.0)]
    flight = [(at, float(level)) for at, level in in_flight(seen.requests)]
    needed = [*seen.needed(), (seen.phases[-1][2], 0.0)]
    rates = _at(offered, step), [count / step for count in answered]
    counts = _at(needed, step), _at(seen.serving, step)
    top_rate = max(map(max, rates))
    top_count = max(map(max, counts))
    found = [
        _row("requests/s offered", rates[0], top_rate, marks),
        _row("requests/s answered", rates[1], top_rate, marks),
        _row("waiting", _at(flight, step, max), None, marks),
        _row("servers that suffice", counts[0], top_count, marks),
        _row("servers there", counts[1], top_count, marks),
    ]
    lost = [one.start_s for one in seen.lost()]
    if lost:
        found.append(_points("lost", [(at, "x") for at in lost], step))
    if seen.events:
        events = [(at, str(place)) for place, (at, _) in enumerate(seen.events, 1)]
        found.append(_points("events", events, step))
        found += [f"{'':{LABEL}}  {n} {what}" for n, (_, what) in enumerate(seen.events, 1)]
    ticks = [(float(at), f"{at} s") for at in range(0, int(seen.end_s) - 5, 20)]
    found.append(_points("", ticks, step))
    return found


def _at(
    levels: Sequence[tuple[float, float]],
    step: float,
    of: Callable[[list[float]], float] = lambda found: found[-1],
) -> list[float]:
    """Return the level in each column: the last one in it, or one chosen by a function."""
    columns, now, place = [], 0.0, 0
    for column in range(COLUMNS):
        found = [now]
        while place < len(levels) and levels[place][0] < (column + 1) * step:
            found.append(levels[place][1])
            place += 1
        now = found[-1]
        columns.append(of(found))
    return columns


def _row(label: str, values: Sequence[float], top: float | None, marks: str) -> str:
    most = max(values)
    scale = top or most or 1.0
    # Every value above 0 is visible.
    drawn = "".join(
        marks[max(1, round(value / scale * (len(marks) - 1)))] if value > 0 else marks[0]
        for value in values
    )
    return f"{label:<{LABEL + 1}} {drawn}  {number(round(most, 1))}"


def _points(label: str, points: Sequence[tuple[float, str]], step: float) -> str:
    line = [" "] * (COLUMNS + 6)
    for at, mark in points:
        column = min(int(max(at, 0.0) / step), COLUMNS - 1)
        line[column : column + len(mark)] = mark
    return f"{label:<{LABEL + 1}} {''.join(line)}".rstrip()
