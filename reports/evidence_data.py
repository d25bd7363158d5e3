"""Validates the data of evidence before it is drawn.

A score comes from a file, and its data from a machine that is not trusted. So all values are
converted; an invalid value raises ValueError, TypeError or KeyError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_REQUESTS = 100_000
"""Maximum number of requests that are drawn."""


@dataclass(frozen=True)
class Request:
    """One request of a sequence or a load. Times are seconds from the beginning."""

    start_s: float
    end_s: float | None
    """None: not answered when the check ended."""
    server: str | None
    """None: unknown server."""
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
        """Why there is no good answer."""
        return self.error or (f"HTTP status {self.status}" if self.status else "no answer")


def requests_of(data: Mapping[str, Any], start: str) -> list[Request]:
    """Return the requests in the given order; ``start`` is the key of their start time."""
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
    """Return the times at which the number of unanswered requests changed, with the new number."""
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
    """Return the servers in the data, then servers that only occur in requests."""
    named = [str(server) for server in data.get("servers") or []]
    met = sorted({one.server for one in requests if one.server is not None})
    return list(dict.fromkeys([*named, *met]))
