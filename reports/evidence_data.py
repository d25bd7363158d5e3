"""Reads the data of evidence that can be drawn.

A score is read from a file, and what is in it began on a machine that is not trusted:
everything is converted, and what cannot be is a ValueError, TypeError or KeyError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_REQUESTS = 100_000
"""More requests than this are not drawn."""


@dataclass(frozen=True)
class Request:
    """One request of a sequence or a load; times in seconds from the beginning."""

    start_s: float
    end_s: float | None
    """None: it had not been answered when the check ended."""
    server: str | None
    """None: it is unknown which server it went to."""
    status: int | None
    error: str
    n: int = 0

    @property
    def ok(self) -> bool:
        """Whether it has a good answer."""
        return self.status == 200 and not self.error

    @property
    def pending(self) -> bool:
        """Whether the check ended before it was answered or failed."""
        return self.end_s is None and self.status is None and not self.error

    @property
    def problem(self) -> str:
        """Why it has no good answer."""
        return self.error or (f"HTTP status {self.status}" if self.status else "no answer")


def requests_of(data: Mapping[str, Any], start: str) -> list[Request]:
    """Return the requests, in the order given; ``start`` is the key of their beginning."""
    raw = data["requests"]
    if not isinstance(raw, list) or len(raw) > MOST_REQUESTS:
        raise ValueError("requests must be a list, and not too long")
    return [
        Request(
            start_s=seconds(one.get(start, 0.0)),
            end_s=None if one.get("end_s") is None else seconds(one["end_s"]),
            server=None if one.get("server") is None else str(one["server"]),
            status=None if one.get("status") is None else int(one["status"]),
            error=str(one.get("error") or ""),
            n=int(one.get("n", place)),
        )
        for place, one in enumerate(raw, 1)
    ]


def in_flight(requests: Sequence[Request]) -> list[tuple[float, int]]:
    """Return when the number of unanswered requests changed, and to what."""
    sent = [(one.start_s, 1) for one in requests]
    ended = [(one.end_s, -1) for one in requests if one.end_s is not None]
    level, levels = 0, [(0.0, 0)]
    for time, change in sorted([*sent, *ended]):
        level += change
        levels.append((time, level))
    return levels


def seconds(value: Any) -> float:
    """Return a finite number."""
    result = float(value)
    if not math.isfinite(result):
        raise ValueError(f"not a finite number: {value!r}")
    return result


def servers_of(data: Mapping[str, Any], requests: list[Request]) -> list[str]:
    """Return the servers that are named, then those that only the requests name."""
    named = [str(server) for server in data.get("servers") or []]
    met = sorted({one.server for one in requests if one.server is not None})
    return list(dict.fromkeys([*named, *met]))
