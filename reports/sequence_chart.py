"""Draws the server of each request of a sequence, in order.

There is a row for each server and a column for each request. Round-robin looks like a zigzag,
and a request that went to the same server as the one before is easy to see.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labwright.reports.evidence_data import Request, requests_of, servers_of
from labwright.reports.svg import CHARACTER, Canvas, Picture, colour, label
from labwright.reports.wording import listed, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMN, LANE, TOP = 24, 24, 18
PER_ROW = 16
MOST = 320
"""Maximum number of requests in the chart."""
NOWHERE = "no server"


def draw(data: Mapping[str, Any]) -> Picture:
    """Draw evidence of the kind ``sequence``."""
    requests = requests_of(data, "start_s")
    if not 0 < len(requests) <= MOST:
        raise ValueError("no sequence that can be drawn")
    servers = servers_of(data, requests)
    if len(servers) > 12:
        raise ValueError("too many servers to draw")
    repeats = {after.n for before, after in pairwise(requests) if _same(before, after)}
    words = _words(requests, servers, repeats)
    lanes = [*servers] + ([NOWHERE] if any(one.server is None for one in requests) else [])
    rows = [requests[at : at + PER_ROW] for at in range(0, len(requests), PER_ROW)]
    margin = max(len(label(lane)) for lane in lanes) * CHARACTER + 12
    tail = 30
    row_height = TOP + LANE * len(lanes) + 8
    width = margin + COLUMN * min(len(requests), PER_ROW) + tail
    canvas = Canvas(width, row_height * len(rows), words)
    for index, row in enumerate(rows):
        _row(canvas, row, lanes, repeats, margin, index * row_height)
    _sums(canvas, requests, lanes, width, row_height * (len(rows) - 1))
    return Picture("sequence", words, str(canvas))


def _row(
    canvas: Canvas,
    requests: list[Request],
    lanes: list[str],
    repeats: set[int],
    margin: float,
    top: float,
) -> None:
    end = margin + COLUMN * len(requests)
    for place, lane in enumerate(lanes):
        y = top + TOP + LANE * (place + 0.5)
        canvas.text(margin - 8, y + 4, label(lane), anchor="end")
        canvas.line(margin, y, end, y, "line grid")
    path = []
    for column, one in enumerate(requests):
        place = lanes.index(NOWHERE if one.server is None else one.server)
        path.append((margin + COLUMN * (column + 0.5), top + TOP + LANE * (place + 0.5)))
    canvas.path(path, "line thread")
    wide = len(str(requests[-1].n)) * CHARACTER > COLUMN - 6
    for column, ((x, y), one) in enumerate(zip(path, requests, strict=True)):
        # If the numbers would overlap, show each fourth.
        if not wide or column % 4 == 0:
            look = "odd" if one.n in repeats else "quiet"
            canvas.text(x, top + 12, line(str(one.n), 6), look, "middle")
        _mark(canvas, one, lanes, x, y, one.n in repeats)


def _mark(canvas: Canvas, one: Request, lanes: list[str], x: float, y: float, repeat: bool) -> None:
    where = label(one.server) if one.server is not None else NOWHERE
    tip = f"request {one.n}: {where}, {'answered' if one.ok else line(one.problem, 80)}"
    if repeat:
        canvas.box(x - 10, y - 10, 20, 20, "ring")
    if one.ok:
        look = "unknown" if one.server is None else colour(lanes.index(one.server))
        canvas.box(x - 7, y - 7, 14, 14, look, tip)
    else:
        canvas.box(x - 7, y - 7, 14, 14, "blank", tip)
        canvas.cross(x, y, 5, "line bad")


def _sums(
    canvas: Canvas, requests: list[Request], lanes: list[str], width: float, top: float
) -> None:
    for place, lane in enumerate(lanes):
        count = sum((NOWHERE if one.server is None else one.server) == lane for one in requests)
        canvas.text(width - 2, top + TOP + LANE * (place + 0.5) + 4, str(count), "strong", "end")


def _same(before: Request, after: Request) -> bool:
    return before.server is not None and before.server == after.server


def _words(requests: list[Request], servers: list[str], repeats: set[int]) -> str:
    shares = [f"{label(s)} {sum(one.server == s for one in requests)}" for s in servers]
    said = [f"{plural(len(requests), 'request')}: {listed(shares) or 'no server known'}."]
    failed = [str(one.n) for one in requests if not one.ok]
    if repeats:
        many = [str(n) for n in sorted(repeats)]
        said.append(f"{_few(many)} went to the same server as the one before.")
    elif len(requests) > 1 and len(servers) > 1 and all(one.server for one in requests):
        said.append("None went to the same server as the one before.")
    if failed:
        said.append(f"{_few(failed)} failed: {line(_first_problem(requests), 80)}.")
    return " ".join(said)


def _few(numbers: list[str]) -> str:
    shown = numbers[:8] + ([f"{len(numbers) - 8} more"] if len(numbers) > 8 else [])
    noun = "Request" if len(numbers) == 1 else "Requests"
    return f"{noun} {listed(shown)}"


def _first_problem(requests: list[Request]) -> str:
    return next(one.problem for one in requests if not one.ok)
