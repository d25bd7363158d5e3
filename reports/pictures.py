"""Chooses and draws the chart for a piece of evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.reports import behaviour_chart, load_chart, sequence_chart, split_chart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from labwright.outcome import Evidence
    from labwright.reports.svg import Picture

KINDS: dict[str, Callable[[Mapping[str, Any]], Picture]] = {
    "sequence": sequence_chart.draw,
    "behaviour": behaviour_chart.draw,
    "load": load_chart.draw,
    "split": split_chart.draw,
}


def picture(evidence: Evidence) -> Picture | None:
    """Return a picture of the evidence's data, or None if it cannot be drawn.

    The data comes from a file: its kind can be unknown, and its values can be anything. The report
    must still show everything else.
    """
    draw = KINDS.get(str(evidence.data.get("kind")))
    if draw is None:
        return None
    try:
        return draw(evidence.data)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return None
