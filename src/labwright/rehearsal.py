"""The third stage of the gate: the document is followed to the letter, on a fresh machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.course.actions import Action, actions
from labwright.course.expected import Varying
from labwright.course.findings import Finding
from labwright.errors import CommandTimedOut, MachineError, PerformError
from labwright.machines.terminal import Reply, Terminal
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.course.document import Document
    from labwright.lab import Lab, Step
    from labwright.machines.machine import Machine
    from labwright.score import StepResult

COMMAND_S = 180.0
READY_S = 90.0
SHOWN_LINES = 20
"""Of what a command printed, in a finding."""

Examine = Callable[[Sequence["Step"]], Sequence["StepResult"]]
"""Examines steps on the machine, and nothing else of the lab."""
_ARRIVES = "A student who does what is written does not arrive."


@dataclass(frozen=True)
class Told:
    """What is said while it goes."""

    line: int
    """Of the document; 0 for what stands nowhere in it."""
    step: str
    what: str
    seconds: float


class _Stopped(Exception):  # noqa: N818  not an error of ours
    """The document cannot be followed any further."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass
class Rehearsal:
    """A document that is being followed on a machine."""

    document: Document
    lab: Lab
    machine: Machine
    examine: Examine
    together: Callable[[Step, Step], bool]
    """Whether two steps that follow each other are better examined at once."""
    tell: Callable[[Told], None]
    done: frozenset[str] = frozenset()
    """The steps that the machine has already: their commands are not typed."""
    settle_s: float = 15.0
    """How long a machine may take to become as it should be: what a command starts in the
    background needs a moment, and a student reads on meanwhile."""
    typed: int = 0
    """How many commands were typed."""

    def run(self) -> list[Finding]:
        """Follow the document until its end, or until what is written does not work.

        :raises MachineError: the machine or the way to it failed: that says nothing about
            the document.
        """
        self._varying = Varying(self.lab.varies)
        to_do = actions(self.document, self.lab)
        with ExitStack() as stack:
            self._stack = stack
            self._front, self._spare = self._terminal(), self._terminal()
            try:
                self._open()
                self._follow(to_do)
            except _Stopped as stop:
                return [stop.finding]
        return []

    def _terminal(self) -> Terminal:
        return self._stack.enter_context(closing(Terminal(self.machine)))

    def _open(self) -> None:
        """Type what comes first in a terminal.

        :raises PerformError: it fails: the definition's fault, not the document's.
        """
        for row in self.lab.opening.split("\n") if self.lab.opening else ():
            reply = self._front.type(row, COMMAND_S)
            self.tell(Told(0, "", f"$ {row} [first in each terminal]", 0))
            if reply.exit_status or reply.unfinished:
                raise PerformError(f"'opening' of the lab {self.lab.name} failed: `{row}`")

    def _follow(self, to_do: list[Action]) -> None:
        steps = {step.id: step for step in self.lab.steps}
        last = {action.step: number for number, action in enumerate(to_do)}
        last_typed: dict[str, Action] = {}
        waiting: list[Step] = []
        order = [id for id in self.document.steps if id in steps]
        for number, action in enumerate(to_do):
            if action.step in self.done:
                self.tell(Told(action.line, action.step, f"(done already) {action.title}", 0))
            else:
                start = time.monotonic()
                reply = self._do(action)
                last_typed[action.step] = action
                self.typed += 1
                note = f" [{action.note}]" if action.note else ""
                self.tell(
                    Told(
                        action.line,
                        action.step,
                        f"$ {action.title}{note}",
                        time.monotonic() - start,
                    )
                )
                self._judge(action, reply)
            if action.step in steps and last[action.step] == number:
                step = steps[action.step]
                waiting.append(step)
                place = order.index(step.id)
                following = order[place + 1 : place + 2]
                if not (following and self.together(step, steps[following[0]])):
                    self._check(waiting, last_typed)
                    waiting = []
        waiting += [step for step in self.lab.steps if step.id not in last]
        if waiting:
            self._check(waiting, last_typed)

    def _do(self, action: Action) -> Reply:
        text = action.text
        if action.lines:
            text = self._varying.substitute(text)
        try:
            if action.stays:
                return self._leave(action, text)
            return self._front.type(text, COMMAND_S)
        except CommandTimedOut as problem:
            printed = "".join(getattr(problem, "__notes__", []))
            if self.machine.run("true", timeout=30).ok:
                raise self._stop(
                    action,
                    "perform/no-end",
                    f"`{action.title}` has not ended after {COMMAND_S:.0f} s",
                    printed,
                    "if it is to keep its terminal, say so in the document, and in lab.toml "
                    "([[typed]] with 'ready')",
                ) from None
            raise

    def _leave(self, action: Action, text: str) -> Reply:
        """Leave a program in its terminal, and go on in another one when it is ready."""
        terminal, self._front = self._front, self._spare
        terminal.begin(text)
        self._spare = self._terminal()
        self._open()
        deadline = time.monotonic() + READY_S
        while True:
            if self.machine.run("bash -c %s", action.ready).ok:
                return Reply("", 0, (), 1)
            ended = terminal.ended()
            if ended or time.monotonic() > deadline:
                what = (
                    f"ended with exit status {ended.exit_status}, and was to stay"
                    if ended
                    else f"was not ready within {READY_S:.0f} s: `{action.ready}` does not succeed"
                )
                printed = ended.output if ended else ""
                raise self._stop(
                    action, "perform/not-ready", f"`{action.title}` {what}", printed, ""
                )
            time.sleep(0.2)

    def _judge(self, action: Action, reply: Reply) -> None:
        """Hold what a command did against what a student may expect of it."""
        said = reply.output
        if reply.unfinished:
            raise self._stop(
                action,
                "perform/unfinished",
                f"the shell waits for more after `{action.title}`",
                said,
                "close the quote, bracket or loop that is open",
                len(action.lines) - 1,
            )
        row = reply.lines - 1
        whole = reply.lines == len(action.text.split("\n"))
        refused = [status for status in reply.http if status >= 400]
        if refused:
            raise self._stop(
                action,
                "perform/http-status",
                f"`{action.title}` was answered with HTTP status {refused[0]}",
                said,
                "correct the request",
            )
        if reply.exit_status or not whole:
            what = f"ended with exit status {reply.exit_status}"
            row = 0 if whole else row
            if not whole:
                what += f" before its last line was typed, at line {action.line + row}"
            raise self._stop(
                action,
                "perform/exit-status",
                f"`{action.title}` {what}",
                said,
                "",
                row,
            )
        if 0 in reply.http:
            raise self._stop(
                action, "perform/http-status", f"`{action.title}` had a request unanswered", said
            )
        if action.output is not None:
            difference = self._varying.differs(action.output, said)
            if difference:
                raise _Stopped(
                    Finding(
                        self.document.path,
                        action.output_line,
                        1,
                        "perform/output",
                        f"`{action.title}` does not print what is shown for it",
                        "A student who sees something else thinks that it went wrong.",
                        "show what it prints (+); `...` stands for what may differ",
                        difference,
                    )
                )

    def _check(self, steps: list[Step], typed: dict[str, Action]) -> None:
        """Examine steps that have just been performed, the first one first."""
        start = time.monotonic()
        while True:
            results = {result.id: result for result in self.examine(steps)}
            failed = any(result.outcome is Outcome.FAILED for result in results.values())
            if not failed or time.monotonic() - start > self.settle_s:
                break
            time.sleep(1)
        seconds = time.monotonic() - start
        for step in steps:
            result = results.get(step.id)
            if result is None or result.outcome is Outcome.BROKEN:
                why = result.reason if result else "it was not examined"
                raise MachineError(f"the step {step.id} could not be checked: {why}")
            action = typed.get(step.id)
            if result.outcome is not Outcome.PASSED:
                raise _Stopped(self._not_as_it_should_be(step, result, action))
        for step in steps:
            share = seconds / len(steps)
            self.tell(Told(0, step.id, f"{step.id} is as it should be: {step.title}", share))

    def _not_as_it_should_be(
        self, step: Step, result: StepResult, action: Action | None
    ) -> Finding:
        after = f"after `{action.title}`" if action else "on the fresh machine"
        details = [f"- {result.expected}", f"+ {result.actual}"] if result.expected else []
        for evidence in result.evidence:
            details += [f"{evidence.claim}: {evidence.ran}".rstrip(": "), *_few(evidence.saw)]
        return Finding(
            self.document.path,
            action.line if action else step.line,
            1,
            "perform/check",
            f"the step {step.id} is not as it should be {after}: {result.reason}",
            _ARRIVES,
            result.hint,
            "\n".join(details),
        )

    def _stop(
        self,
        action: Action,
        rule: str,
        message: str,
        printed: str,
        suggestion: str = "",
        row: int = 0,
    ) -> _Stopped:
        line = action.lines[row] if 0 <= row < len(action.lines) else action.line
        if action.note:
            message += f" (typed since: {action.note})"
        details = [f"$ {row}" for row in action.text.split("\n")] + _few(printed)
        return _Stopped(
            Finding(
                self.document.path,
                line,
                1,
                rule,
                message,
                _ARRIVES,
                suggestion,
                "\n".join(details),
            )
        )


def _few(text: str) -> list[str]:
    rows = text.replace("\r", "").rstrip("\n").split("\n")
    if len(rows) > SHOWN_LINES:
        rows = [f"({len(rows) - SHOWN_LINES} lines before)", *rows[-SHOWN_LINES:]]
    return [row[:300] for row in rows if row.strip()]


def performed(lab: Lab, state: str) -> Iterator[str]:
    """Yield the ids of the steps that a machine in a state has."""
    if state not in lab.states:
        return
    for name, ids in lab.states.items():
        yield from (step.id for step in lab.with_needs(list(ids)))
        if name == state:
            return
