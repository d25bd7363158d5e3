"""Steps that fail and may yet come to hold by themselves: their checks wait for that.

A grading waits (``wait`` in ``lab.toml``). A watch does not: it would hold up all other steps.
It shows such a step as changing until the time is over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.outcome import Outcome

if TYPE_CHECKING:
    from labwright.lab.model import Lab
    from labwright.score import StepResult


@dataclass(frozen=True)
class _Wait:
    reason: str
    """Why the step failed when it was examined last."""
    until: float
    over: bool = False


class Changing:
    """Which steps are changing. Times are in seconds, of one clock of the caller's."""

    def __init__(self, lab: Lab) -> None:
        """None is."""
        self._wait_s = {step.id: step.wait_s for step in lab.steps if step.wait_s}
        self._waits: dict[str, _Wait] = {}

    def see(self, result: StepResult, now: float, *, waited: bool = False) -> None:
        """Take over a step's result.

        A step that still fails when its time is over is changing again once it fails for
        another reason: something has been done.

        :param waited: whether its check has waited already.
        """
        if result.id not in self._wait_s:
            return
        if result.outcome is not Outcome.FAILED:
            self._waits.pop(result.id, None)
            return
        known = self._waits.get(result.id)
        if known is None or (known.over and known.reason != result.reason):
            known = _Wait(result.reason, now + self._wait_s[result.id])
        self._waits[result.id] = replace(known, reason=result.reason, over=known.over or waited)

    def __contains__(self, id: str) -> bool:
        """Whether a step is changing."""
        return id in self._waits and not self._waits[id].over

    def __bool__(self) -> bool:
        """Whether any is."""
        return any(not wait.over for wait in self._waits.values())

    def end(self, now: float) -> list[str]:
        """Return the steps whose time has ended since this was asked last."""
        ended = [id for id, wait in self._waits.items() if not wait.over and wait.until <= now]
        for id in ended:
            self._waits[id] = replace(self._waits[id], over=True)
        return ended
