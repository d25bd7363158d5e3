"""How long answers took, from the time at which their requests were due.

Counted from the intended time, a server that stalls shows in every request that it kept
waiting, and not only in the one that it was at ("coordinated omission").
"""

from __future__ import annotations

from typing import Any

SHOWN = (50.0, 90.0, 99.0, 99.9)
"""Percentiles that are told."""
LONGEST_US = 3_600_000_000
DIGITS = 3
"""Significant digits: an HDR histogram's error is at most 0.1 %, however long the run."""


class Latencies:
    """Histograms of all answers, and of those since the last look."""

    def __init__(self) -> None:
        """Begin to count.

        :raises ImportError: hdrhistogram is not installed, as in the lab's image.
        """
        from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

        self._all = HdrHistogram(1, LONGEST_US, DIGITS)
        self._recent = HdrHistogram(1, LONGEST_US, DIGITS)

    def add(self, seconds: float) -> None:
        """Take note of an answer."""
        microseconds = min(max(1, round(seconds * 1e6)), LONGEST_US)
        self._all.record_value(microseconds)
        self._recent.record_value(microseconds)

    def recent_ms(self) -> dict[str, float]:
        """Return what the answers since the last call took, and begin anew."""
        told = _told(self._recent)
        self._recent.reset()
        return told

    def all_ms(self) -> dict[str, float]:
        """Return what all answers took."""
        return _told(self._all)


def latencies() -> Latencies | None:
    """Return something to count in, or None where it cannot be had."""
    try:
        return Latencies()
    except ImportError:
        return None


def _told(histogram: Any) -> dict[str, float]:
    """Return percentiles in milliseconds by name, and nothing if there was no answer."""
    if not histogram.get_total_count():
        return {}
    told = {f"p{one:g}": histogram.get_value_at_percentile(one) / 1000 for one in SHOWN}
    return told | {"max": histogram.get_max_value() / 1000}
