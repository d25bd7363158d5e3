"""Draws how requests were split between servers, with the expected share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labwright.reports.evidence_data import seconds
from labwright.reports.svg import CHARACTER, Canvas, Picture, colour, label
from labwright.reports.wording import listed, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

BAR, LANE, TOP, BOTTOM = 260, 26, 18, 20
ROUNDING = 1e-9
BESIDE = 130
"""Width for the numbers beside a bar."""


def draw(data: Mapping[str, Any]) -> Picture:
    """Draw evidence of the kind ``split``."""
    counts = {str(name): int(count) for name, count in data["counts"].items()}
    judged = [str(name) for name in data.get("share") or {}]
    low, high = max(seconds(data["low"]), 0.0), min(seconds(data["high"]), 1.0)
    total = sum(counts.values())
    if not counts or len(counts) > 12 or min(counts.values()) < 0 or low > high:
        raise ValueError("no shares that can be drawn")
    words = _words(counts, total, judged, low, high)
    margin = max(len(label(name)) for name in counts) * CHARACTER + 12
    height = TOP + LANE * len(counts) + BOTTOM
    canvas = Canvas(margin + BAR + BESIDE, height, words)
    _axis(canvas, margin, height)
    for place, (name, count) in enumerate(counts.items()):
        y = TOP + LANE * place
        share = count / total if total else 0.0
        canvas.text(margin - 8, y + 17, label(name), anchor="end")
        canvas.box(margin, y + 6, BAR * share, LANE - 12, colour(place))
        if name in judged:
            _band(canvas, margin, y, low, high)
        canvas.text(margin + BAR + 10, y + 17, f"{count} of {total}, {_percent(share)}", "strong")
    return Picture("split", words, str(canvas))


def _axis(canvas: Canvas, margin: float, height: float) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = margin + BAR * share
        canvas.line(x, TOP, x, height - BOTTOM, "line grid")
        canvas.text(x, height - 5, _percent(share), "quiet", "middle")


def _band(canvas: Canvas, margin: float, y: float, low: float, high: float) -> None:
    """Draw the allowed range as a band; for an exact share, as a line."""
    left, right = margin + BAR * low, margin + BAR * high
    canvas.box(left - 0.5, y + 1, right - left + 1, LANE - 2, "band")
    for x in {left, right}:
        canvas.line(x, y + 1, x, y + LANE - 1, "line limit")
    canvas.text((left + right) / 2, 12, _allowed(low, high), "quiet", "middle")


def _allowed(low: float, high: float) -> str:
    return f"asked for: {_percent(low)}" + (f" to {_percent(high)}" if high > low else "")


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def _words(counts: dict[str, int], total: int, judged: list[str], low: float, high: float) -> str:
    shares = [f"{label(name)} {count}" for name, count in counts.items()]
    said = [f"Of {plural(total, 'request')}: {listed(shares)}."]
    for name in judged:
        share = counts.get(name, 0) / total if total else 0.0
        within = "within" if low - ROUNDING <= share <= high + ROUNDING else "outside"
        asked = _allowed(low, high).removeprefix("asked for: ")
        said.append(f"{label(name)} has {_percent(share)}, {within} the {asked} asked for.")
    return " ".join(said)
