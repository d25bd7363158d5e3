"""What is known of a lab that is followed, as the terminal and the page show it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.grading.watch import Examined, Examining, MachineBack, MachineGone, StepChanged
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.grading.watch import Event
    from labwright.lab.model import Lab
    from labwright.score import StepResult


@dataclass(frozen=True)
class StepState:
    """One step, as far as it is known."""

    result: StepResult | None = None
    """None: not examined yet."""
    unsettled: str = ""
    """Why its verdict may not hold at this moment."""
    changing: bool = False
    """Whether it failed and may yet come to hold by itself."""
    since: float = 0.0
    """When it got this outcome, in seconds since the epoch."""

    @property
    def outcome(self) -> str:
        """The outcome, ``waiting`` before it is examined, or ``changing``."""
        if self.changing:
            return "changing"
        return str(self.result.outcome) if self.result else "waiting"


def may_yet_hold(wait_s: float) -> str:
    """Return what is to be said of a step that is changing."""
    return "it may become right by itself" + (f", within {wait_s:g} s" if wait_s else "")


class State:
    """Collects a watch's events. Read and written from several threads."""

    def __init__(self, lab: Lab, changed: Callable[[], None] = lambda: None) -> None:
        self.lab = lab
        self.steps = {step.id: StepState() for step in lab.steps}
        self.busy: Examining | None = None
        """What is being examined at this moment."""
        self.gone = ""
        """Why the machine cannot be asked."""
        self.version = 0
        """Counts the changes."""
        self._changed = changed
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """Take over an event."""
        with self._lock:
            if isinstance(event, StepChanged):
                self._step(event)
            elif isinstance(event, Examining):
                self.busy = event
            elif isinstance(event, Examined):
                self.busy = None
            elif isinstance(event, MachineGone):
                self.gone, self.busy = event.reason, None
            elif isinstance(event, MachineBack):
                self.gone = ""
            self.version += 1
        self._changed()

    def _step(self, event: StepChanged) -> None:
        was = self.steps[event.result.id]
        same = was.result and was.result.outcome == event.result.outcome
        since = was.since if same else time.time()
        self.steps[event.result.id] = StepState(
            event.result, event.unsettled, event.changing, since
        )

    @property
    def points(self) -> float:
        """The points of what holds."""
        return sum(state.result.points for state in self.steps.values() if state.result)

    @property
    def max_points(self) -> float:
        """The points of the whole lab."""
        return sum(step.points for step in self.lab.steps)

    @property
    def passed(self) -> int:
        """How many steps hold."""
        return sum(state.outcome == Outcome.PASSED for state in self.steps.values())

    @property
    def next(self) -> str:
        """The id of the step to be done next; empty when all hold."""
        for step in self.lab.steps:
            if self.steps[step.id].outcome != Outcome.PASSED:
                return step.id
        return ""
