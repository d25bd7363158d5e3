"""Watches one machine, and reports when a step's outcome changes.

A cheap look (:mod:`labwright.grading.look`) is repeated. If it finds a change, the steps are
checked, as in a grading. Steps that send traffic are checked when all steps that they need
have come to pass, or on request. The watch does not wait for a check with a ``wait``: it reports
the step as changing until the time is over.

All events come from the thread that calls :meth:`Watch.follow`; requests may come from any
thread.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import labwright
from labwright.errors import MachineError
from labwright.grading import step_check
from labwright.grading.assemble import assemble
from labwright.grading.changing import Changing, is_not_yet
from labwright.grading.look import Questions
from labwright.grading.run import Run
from labwright.outcome import Outcome
from labwright.score import Score, StepResult, now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.grading.look import Question
    from labwright.lab.model import Lab
    from labwright.machines.machine import Machine

SHORTEST_S, LONGEST_S = 1.0, 1.5
"""Seconds between two looks."""
QUIET_S, LONGEST_QUIET_S = 30.0, 2.0
"""Maximum seconds between two looks, after a time without changes."""
SHARE = 0.05
"""The largest share of the machine's time that looks may take."""
REFRESH_S = 120.0
"""Seconds after which steps are checked even without a change: a look cannot see everything."""
REFRESH_INCOMPLETE_S = 20.0
"""The same for a lab whose checks ask questions that a look cannot repeat."""
REFRESH_CHANGING_S = 5.0
"""The same while a step is changing."""
NOISE_S = 20.0
"""Maximum seconds for which a question is ignored that changes often without effect."""
RETRY_S = 10.0
"""Maximum seconds between two attempts to reach a lost machine."""
TRAFFIC = frozenset({"sender", "watched_load"})
"""Witnesses that send traffic."""


@dataclass(frozen=True)
class StepChanged:
    """A step has a new result."""

    result: StepResult
    """The latest result that is not broken by a lost machine."""
    unsettled: str = ""
    """Why the result may be out of date; empty if it is current."""
    changing: bool = False
    """Whether it failed and may still become right by itself."""


@dataclass(frozen=True)
class Examining:
    """Steps are being checked, which may take a while."""

    traffic: bool
    """Whether requests are sent through the student's service."""
    why: str


@dataclass(frozen=True)
class Examined:
    """The steps have been checked."""

    score: Score


@dataclass(frozen=True)
class MachineGone:
    """The machine cannot be reached; the known results may be out of date."""

    reason: str


@dataclass(frozen=True)
class MachineBack:
    """The machine can be reached again."""


Event = StepChanged | Examining | Examined | MachineGone | MachineBack


class Examine(Protocol):
    """Checks steps on a machine, as a grading does."""

    def __call__(
        self,
        machine: Machine,
        steps: Sequence[str],
        on_step: Callable[[StepResult], None],
        *,
        patient: bool,
    ) -> Score:
        """Check these steps and the steps they need, and report each result at once.

        :param patient: whether a check with a ``wait`` waits, as in a grading.
        """


class Watch:
    """The watch of one lab on one machine."""

    def __init__(
        self,
        lab: Lab,
        target: str,
        connect: Callable[[], Machine],
        examine: Examine,
        tell: Callable[[Event], None],
        traffic: bool = True,
    ) -> None:
        """Prepare the watch; the machine is not contacted yet.

        :param connect: opens the machine, also after it was lost.
        :param tell: called with every event.
        :param traffic: whether traffic is sent without a request.
        """
        self._lab, self._target = lab, target
        self._connect, self._examine, self._tell = connect, examine, tell
        sending = {s.id for s in lab.steps if _sends_traffic(lab, s.id)}
        # Steps that need a step with traffic wait for it, too.
        self._waiting = {
            s.id for s in lab.steps if {n.id for n in lab.with_needs([s.id])} & sending
        }
        self._state = [s.id for s in lab.steps if s.id not in self._waiting]
        self._may_send = traffic
        self._results: dict[str, StepResult] = {}
        self._settled: dict[str, StepResult] = {}
        self._changing = Changing(lab)
        self._questions = Questions()
        self._noise: dict[Question, tuple[int, float]] = {}
        self._unheard: set[Question] = set()
        self._machine: Machine | None = None
        self._gone = ""
        self._was_ready = False
        self._wanted: set[str] = set()
        self._wake = threading.Condition()
        self._stopped = False
        self._pause = SHORTEST_S
        self._started = now()
        self._examined_at = 0.0
        self._changed_at = time.monotonic()

    @property
    def sends_traffic(self) -> frozenset[str]:
        """The steps whose checks send traffic."""
        return frozenset(self._waiting)

    def send_traffic(self) -> None:
        """Request a check of all steps, including those that send traffic."""
        self._want("traffic")

    def grade(self) -> None:
        """Request a check of all steps as in a grading: with traffic and with all waits."""
        self._want("grade")

    def examine(self) -> None:
        """Request a check of the steps now, without a look."""
        self._want("state")

    def stop(self) -> None:
        """End :meth:`follow`, even while it waits for the machine."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._machine:
            self._machine.close()

    def score(self) -> Score:
        """Return the score as far as it is known."""
        lab = self._lab
        steps = []
        for step in lab.steps:
            result = self._results.get(step.id)
            if result is None or step.id in self._changing:
                why = "it was still changing" if result else "it has not been checked"
                result = replace(step_check.pending(step, lab.document.name), reason=why)
            steps.append(result)
        return Score(
            lab=lab.name,
            title=lab.title,
            target=self._target,
            started=self._started,
            finished=now(),
            steps=tuple(steps),
            labwright=labwright.__version__,
        )

    def follow(self) -> None:
        """Follow the machine until :meth:`stop`."""
        try:
            while not self._stopped:
                self._sleep(self.visit())
        finally:
            if self._machine:
                self._machine.close()

    def visit(self) -> float:
        """Look once, check steps if needed, and return the seconds until the next visit."""
        try:
            self._pause = self._round()
        except MachineError as problem:
            self._pause = self._lost(str(problem), self._pause)
        return self._pause

    def _round(self) -> float:
        if self._machine is None:
            self._machine = self._connect()
            self._questions = Questions()
        machine = self._machine
        changed, took = self._questions.look(machine)
        if self._gone:
            self._gone = ""
            self._tell(MachineBack())
            self._examined_at = 0.0
        with self._wake:
            wanted, self._wanted = self._wanted, set()
        if changed:
            self._changed_at = time.monotonic()
        ended = [self._results[id] for id in self._changing.end(time.monotonic())]
        for result in ended:
            self._tell(StepChanged(result))
        news = self._listened_to(changed)
        if not self._examined_at:
            self._examine_state(machine, "to begin with", changed)
        elif news or self._refresh_is_due() or "state" in wanted:
            self._examine_state(machine, "something changed" if news else "again", news)
        if any(is_not_yet(result) for result in ended):
            self._examine_state(machine, "its time is over", set(), patient=True)
        ready = self._ready()
        newly = ready and not self._was_ready and self._may_send
        self._was_ready = ready
        if "grade" in wanted:
            self._examine_all(machine, "on request", patient=True)
        elif "traffic" in wanted and self._waiting:
            self._examine_all(machine, "on request")
        elif newly and self._waiting:
            self._examine_all(machine, "the steps before it pass now")
        quiet = time.monotonic() - self._changed_at > QUIET_S
        return min(max(took / SHARE, SHORTEST_S), LONGEST_QUIET_S if quiet else LONGEST_S)

    def _examine_state(
        self, machine: Machine, why: str, news: set[Question], *, patient: bool = False
    ) -> None:
        before = {id: _verdict(result) for id, result in self._results.items()}
        score = self._run(machine, self._state, Examining(False, why), patient=patient)
        self._block_traffic()
        self._unheard.clear()
        same = before == {id: _verdict(result) for id, result in self._results.items()}
        for question in news:
            times = self._noise.get(question, (0, 0.0))[0] + 1 if same else 0
            quiet_s = min(0.5 * 2**times, NOISE_S) if times > 1 else 0.0
            self._noise[question] = (times, time.monotonic() + quiet_s)
        self._questions.learn(o for step in score.steps for o in step.observations)

    def _examine_all(self, machine: Machine, why: str, *, patient: bool = False) -> None:
        begun = Examining(bool(self._waiting), why)
        self._run(machine, [step.id for step in self._lab.steps], begun, patient=patient)
        self._was_ready = self._ready()

    def _run(
        self, machine: Machine, steps: Sequence[str], begun: Examining, *, patient: bool = False
    ) -> Score:
        self._tell(begun)
        machine.forget_engine_failure()

        def take(result: StepResult) -> None:
            self._take(result, waited=patient)

        score = self._examine(machine, steps, take, patient=patient)
        for step in score.steps:
            if step.id not in self._results or self._results[step.id] != step:
                take(step)
        self._examined_at = time.monotonic()
        lost = [s.reason for s in score.steps if s.outcome is Outcome.BROKEN]
        if lost and len(lost) == len(score.steps):
            self._machine_must_answer(machine)
        self._tell(Examined(self.score()))
        return score

    def _machine_must_answer(self, machine: Machine) -> None:
        """Raise if the machine is lost; otherwise the checks themselves are broken."""
        machine.run("true", timeout=10)

    def _take(self, result: StepResult, *, waited: bool = False) -> None:
        """Keep a step's result, and report it if it has changed."""
        settled = self._settled.get(result.id)
        was, was_changing = self._results.get(result.id), result.id in self._changing
        self._results[result.id] = result
        self._changing.see(result, time.monotonic(), waited=waited)
        changing = result.id in self._changing
        unsettled = settled is not None and result.outcome is Outcome.BROKEN
        if not unsettled:
            self._settled[result.id] = result
        if was is None or changing != was_changing or _verdict(was) != _verdict(result):
            shown = self._settled[result.id]
            why = result.reason if unsettled and not changing else ""
            self._tell(StepChanged(shown, why, changing))

    def _block_traffic(self) -> None:
        """Block the steps that send traffic if a step that they need does not pass any more."""
        lab = self._lab
        for id in (step.id for step in lab.steps if step.id in self._waiting):
            step = lab.step(id)
            missing = [
                need
                for need in step.needs
                if need in self._results and self._results[need].outcome is not Outcome.PASSED
            ]
            unsettled = any(
                need in self._changing or self._results[need].outcome is Outcome.BROKEN
                for need in missing
            )
            if missing and not unsettled:
                known = tuple(s.id for s in lab.steps if s.id in self._results or s.id == id)
                others = [found for other, found in self._results.items() if other != id]
                score = assemble(Run(lab, selected=known), others)
                blocked = next(found for found in score.steps if found.id == id)
                if id not in self._results or self._results[id].outcome is not Outcome.BLOCKED:
                    self._take(blocked)

    def _ready(self) -> bool:
        """Whether all steps pass that the steps with traffic need."""
        needed = {s.id for id in self._waiting for s in self._lab.with_needs([id])}
        return all(
            id in self._results and self._results[id].outcome is Outcome.PASSED
            for id in needed - self._waiting
        )

    def _listened_to(self, changed: set[Question]) -> set[Question]:
        """Return the changes that are not ignored now; the others count later."""
        now = time.monotonic()
        self._unheard |= changed
        return {q for q in self._unheard if self._noise.get(q, (0, 0.0))[1] <= now}

    def _refresh_is_due(self) -> bool:
        longest = REFRESH_INCOMPLETE_S if self._questions.incomplete else REFRESH_S
        if self._changing:
            longest = min(longest, REFRESH_CHANGING_S)
        return time.monotonic() - self._examined_at > longest

    def _lost(self, reason: str, pause: float) -> float:
        """Close a lost machine; return the seconds until the next attempt."""
        if self._machine:
            self._machine.close()
            self._machine = None
        if self._stopped:
            return 0.0
        if self._gone:
            return min(2 * pause, RETRY_S)
        self._gone = reason
        self._tell(MachineGone(reason))
        return SHORTEST_S

    def _want(self, what: str) -> None:
        with self._wake:
            self._wanted.add(what)
            self._wake.notify_all()

    def _sleep(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._stopped or bool(self._wanted), seconds)


def _sends_traffic(lab: Lab, step_id: str) -> bool:
    bound = step_check.bind(lab, lab.step(step_id), lab.values)
    return bool(TRAFFIC & set(bound.witnesses))


def _verdict(result: StepResult) -> tuple[str, ...]:
    """Return the parts of a result that are shown to people."""
    return (result.outcome, result.reason, result.hint)
