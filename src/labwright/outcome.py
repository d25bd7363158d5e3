"""The outcome of a step, and what was run and seen for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a step ended; it always says whose doing that is."""

    PASSED = "passed"
    """The claim holds."""
    FAILED = "failed"
    """The claim does not hold: the student's doing."""
    BLOCKED = "blocked"
    """A step that this one needs did not pass; the reason names it."""
    BROKEN = "broken"
    """Our fault or the network's: never a zero, never a pass."""


@dataclass(frozen=True)
class Observation:
    """One question that was put to a machine, and its answer, so that it can be judged again."""

    asked: str
    """The question: a command, a task of the probe, a request to Docker."""
    answered: Any = None
    """Plain data: what came back, bounded, never trusted."""
    error: str = ""
    """The class of the machine error that it ended with; the answer is its message then."""


@dataclass(frozen=True)
class Evidence:
    """One thing that was run or read on the machine, and what was seen."""

    claim: str
    """What this is evidence for, as a short sentence."""
    ran: str = ""
    """The command, request or file, as a person would repeat it."""
    saw: str = ""
    """What came back: text from the target, bounded, never trusted."""
    data: dict[str, Any] = field(default_factory=dict)
    """Machine-readable: what a report draws and what can be judged again."""


@dataclass(frozen=True)
class Notice:
    """Something about a step that is worth knowing and costs nothing."""

    text: str
    """A sentence; it may quote the target."""
