"""The outcome of a step, its evidence, and the recorded questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The outcome of a step; it always tells whose fault a problem is."""

    PASSED = "passed"
    """The claim holds."""
    FAILED = "failed"
    """The claim does not hold: the student's doing."""
    BLOCKED = "blocked"
    """A step that this one needs did not pass; the reason names it."""
    BROKEN = "broken"
    """A fault of labwright, the machine or the network: never a zero, never a pass."""


@dataclass(frozen=True)
class Observation:
    """One question to a machine and its answer, so that it can be judged again."""

    asked: str
    """The question: a command, a task of the probe, a request to Docker."""
    answered: Any = None
    """The answer as plain data, of limited size, not trusted."""
    error: str = ""
    """The class of the machine error, if there was one; the answer is then its message."""


@dataclass(frozen=True)
class Evidence:
    """One thing that was run or read on the machine, and its result."""

    claim: str
    """The claim for which this is evidence, as a short sentence."""
    ran: str = ""
    """The command, request or file, in a form that a person can repeat."""
    saw: str = ""
    """The result: text from the target, of limited size, not trusted."""
    data: dict[str, Any] = field(default_factory=dict)
    """Machine-readable data, for charts in reports and for judging again."""


@dataclass(frozen=True)
class Notice:
    """A remark about a step that costs no points."""

    text: str
    """A sentence; it may quote the target."""
