"""Tracks failed steps that may still become right by themselves.

A grading waits for such a step: for the ``wait`` in ``lab.toml``, or in the check itself (for
example for Gorb's next pulse). A watch does not wait, since that would delay all other steps.
It shows the step as changing until the time is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.errors import NotYet
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from labwright.lab.model import Lab
    from labwright.score import StepResult


LONGEST_S = 100.0
"""Seconds for which a step is changing if its check itself would wait."""


@dataclass(frozen=True)
class _Wait:
    reason: str
    """The reason of the last failure, and when the waiting time ends."""
    until: float
    over: bool = False


class Changing:
    """The set of changing steps. Times are in seconds, by any one clock."""

    def __init__(self, lab: Lab) -> None:
        """Begin with no changing step."""
        self._wait_s = {step.id: step.wait_s for step in lab.steps if step.wait_s}
        self._waits: dict[str, _Wait] = {}

    def see(self, result: StepResult, now: float, *, waited: bool = False) -> None:
        """Process a step's result.

        A step that still fails when its time is over is failed. It is changing again when it
        fails for another reason, since then something was done.

        :param waited: whether the check has already waited.
        """
        known, failed = self._waits.get(result.id), result.outcome is Outcome.FAILED
        if is_not_yet(result):
            self._waits[result.id] = known or _Wait(result.reason, now + LONGEST_S)
        elif failed and result.id in self._wait_s:
            if known is None or (known.over and known.reason != result.reason):
                known = _Wait(result.reason, now + self._wait_s[result.id])
            over = known.over or waited
            self._waits[result.id] = replace(known, reason=result.reason, over=over)
        elif failed and waited and known:
            self._waits[result.id] = replace(known, over=True)
        else:
            self._waits.pop(result.id, None)

    def __contains__(self, id: str) -> bool:
        """Whether a step is changing."""
        return id in self._waits and not self._waits[id].over

    def __bool__(self) -> bool:
        """Whether any step is changing."""
        return any(not wait.over for wait in self._waits.values())

    def end(self, now: float) -> list[str]:
        """Return the steps whose time has ended since the last call."""
        ended = [id for id, wait in self._waits.items() if not wait.over and wait.until <= now]
        for id in ended:
            self._waits[id] = replace(self._waits[id], over=True)
        return ended


def is_not_yet(result: StepResult) -> bool:
    """Whether a step's check would have waited in a grading."""
    return result.outcome is Outcome.BROKEN and result.reason == NotYet.SENTENCE
