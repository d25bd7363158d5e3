"""A backend's health, as its pulses tell it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

from labwright.components.gorb.go_json import plain_number

HISTORY = 100
"""How many pulses health is reckoned from."""


class Status(Enum):
    """How the last pulse ended; the numbers are what clients see."""

    UP = 0
    DOWN = 1


@dataclass(frozen=True)
class Health:
    """What is known of a backend. Before its first pulse everything is 0, as in Gorb."""

    status: Status = Status.UP
    health: float = 0.0
    """1 minus the share of failures in the last pulses."""
    uptime_s: int = 0
    """Whole seconds since the pulse before which it was down."""

    def as_json(self) -> dict[str, Any]:
        """Return it as clients see it."""
        return {
            "status": self.status.value,
            "health": plain_number(self.health),
            "uptime": self.uptime_s,
        }


class HealthRecord:
    """The last pulses of a backend."""

    def __init__(self, now_s: float) -> None:
        self._failures: deque[bool] = deque(maxlen=HISTORY)
        self._last_s = now_s
        self._uptime_s = 0.0

    def add(self, up: bool, now_s: float) -> Health:
        """Take a pulse into account, and return what is known then."""
        self._failures.append(not up)
        self._uptime_s = self._uptime_s + now_s - self._last_s if up else 0.0
        self._last_s = now_s
        share = sum(self._failures) / len(self._failures)
        return Health(Status.UP if up else Status.DOWN, 1.0 - share, int(self._uptime_s))
