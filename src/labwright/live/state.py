"""The state of a watched lab, for the terminal view and the page."""

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
    """The state of one step."""

    result: StepResult | None = None
    """None: not checked yet."""
    unsettled: str = ""
    """Why the outcome may be out of date; empty if it is current."""
    changing: bool = False
    """Whether it failed and may still become right by itself."""
    since: float = 0.0
    """When the outcome last changed, in seconds since the epoch."""

    @property
    def outcome(self) -> str:
        """The outcome; ``waiting`` before the first check; ``changing``."""
        if self.changing:
            return "changing"
        return str(self.result.outcome) if self.result else "waiting"


def changing_note(wait_s: float) -> str:
    """Return the sentence for a step that is changing."""
    return "it may become right by itself" + (f", within {wait_s:g} s" if wait_s else "")


class State:
    """Collects the events of a watch. Several threads use it."""

    def __init__(self, lab: Lab, changed: Callable[[], None] = lambda: None) -> None:
        self.lab = lab
        self.steps = {step.id: StepState() for step in lab.steps}
        self.busy: Examining | None = None
        """The check that is running now, or None."""
        self.gone = ""
        """Why the machine cannot be reached; empty if it can."""
        self.version = 0
        """Number of changes so far."""
        self._changed = changed
        self._lock = threading.Lock()

    def handle(self, event: Event) -> None:
        """Process an event."""
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
        """The points of the steps that pass."""
        return sum(state.result.points for state in self.steps.values() if state.result)

    @property
    def max_points(self) -> float:
        """The points of the whole lab."""
        return sum(step.points for step in self.lab.steps)

    @property
    def passed(self) -> int:
        """The number of steps that pass."""
        return sum(state.outcome == Outcome.PASSED for state in self.steps.values())

    @property
    def next(self) -> str:
        """The id of the next step to do; empty when all pass."""
        for step in self.lab.steps:
            if self.steps[step.id].outcome != Outcome.PASSED:
                return step.id
        return ""
