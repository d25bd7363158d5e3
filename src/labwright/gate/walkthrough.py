"""The third stage of the gate: the document is followed to the letter, on a fresh machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.errors import CommandTimedOut, MachineError, PerformError
from labwright.gate.actions import Action, actions
from labwright.gate.expected import Varying
from labwright.gate.findings import Finding
from labwright.machines.terminal import Reply, Terminal
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Document
    from labwright.lab.model import Lab, Step
    from labwright.machines.machine import Machine
    from labwright.score import StepResult

COMMAND_S = 180.0
READY_S = 90.0
SHOWN_LINES = 20
"""Of what a command printed, in a finding."""

Examine = Callable[[Sequence["Step"]], Sequence["StepResult"]]
"""Examines steps on the machine, and nothing else of the lab."""
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_ARRIVES = "A student who does what is written does not arrive."


@dataclass(frozen=True)
class Told:
    """What is said while it goes."""

    line: int
    """Of the document; 0 for what stands nowhere in it."""
    step: str
    what: str
    seconds: float


@dataclass(frozen=True)
class Typed:
    """What was typed, and what it printed."""

    action: Action
    printed: str


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
        self._typed: dict[str, Typed] = {}
        """For each step what was typed last."""
        self._held = set[str]()
        """The steps that have been as they should be."""
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
        """Type one thing after another; check each step after its last, and all at the end."""
        steps = {step.id: step for step in self.lab.steps}
        last = {action.step: number for number, action in enumerate(to_do)}
        for number, action in enumerate(to_do):
            if action.step in self.done:
                self.tell(Told(action.line, action.step, f"(done already) {action.title}", 0))
            else:
                start = time.monotonic()
                reply = self._do(action)
                self._typed[action.step] = Typed(action, reply.output)
                self.typed += 1
                note = f" [{action.note}]" if action.note else ""
                what = f"$ {action.title}{note}"
                self.tell(Told(action.line, action.step, what, time.monotonic() - start))
                self._judge(action, reply)
            at_end = number + 1 == len(to_do)
            if action.step in steps and last[action.step] == number and not at_end:
                self._check([steps[action.step]])
        self._check(self.lab.steps)

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
                raise self._not_ready(action, ended, terminal.said)
            time.sleep(0.2)

    def _not_ready(self, action: Action, ended: Reply | None, printed: str) -> _Stopped:
        """Tell why a program cannot be used, as far as its step's check knows."""
        what = f"was not ready within {READY_S:.0f} s: `{action.ready}` does not succeed"
        if ended:
            what = f"ended with exit status {ended.exit_status}, and was to stay"
        suggestion, more = "", []
        its = [step for step in self.lab.steps if step.id == action.step]
        for result in self.examine(its) if its else ():  # a waived step has no check
            if result.outcome is Outcome.FAILED:
                suggestion, more = _told(result.hint), _difference(result)
        title = f"`{action.title}` {what}"
        return self._stop(action, "perform/not-ready", title, printed, suggestion, more=more)

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

    def _check(self, steps: Sequence[Step]) -> None:
        """Examine steps: one that has just been performed, or all."""
        start = time.monotonic()
        while True:
            results = {result.id: result for result in self.examine(steps)}
            failed = any(result.outcome is Outcome.FAILED for result in results.values())
            if not failed or time.monotonic() - start > self.settle_s:
                break
            time.sleep(1)
        for step in steps:
            result = results.get(step.id)
            if result is None or result.outcome is Outcome.BROKEN:
                why = result.reason if result else "it was not examined"
                raise MachineError(f"the step {step.id} could not be checked: {why}")
            if result.outcome is not Outcome.PASSED:
                raise _Stopped(self._not_as_it_should_be(step, result))
            self._held.add(step.id)
        what = f"all {len(steps)} steps are as they should be at the end"
        if len(steps) == 1:
            what = f"{steps[0].id} is as it should be: {steps[0].title}"
        self.tell(Told(0, steps[-1].id, what, time.monotonic() - start))

    def _not_as_it_should_be(self, step: Step, result: StepResult) -> Finding:
        typed = self._typed.get(step.id)
        line = typed.action.line if typed else step.line
        details, suggestion = _difference(result), _told(result.hint)
        if step.id in self._held:
            what = "was as it should be, and is not any more at the end of the document"
            suggestion = "find what undoes it below this line, and correct it"
        elif typed:
            what = f"is not as it should be after `{typed.action.title}`"
            details = [*_shown(typed.action.text), *_few(typed.printed), *details]
        else:
            what = "is not as it should be on the fresh machine"
        message = f"the step {step.id} {what}: {result.reason}"
        return Finding(
            self.document.path,
            line,
            1,
            "perform/check",
            message,
            _ARRIVES,
            suggestion,
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
        more: Sequence[str] = (),
    ) -> _Stopped:
        line = action.lines[row] if 0 <= row < len(action.lines) else action.line
        if action.note:
            message += f" (typed since: {action.note})"
        details = [*_shown(action.text), *_few(printed), *more]
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


def _shown(text: str) -> list[str]:
    """Return a command as a terminal shows it."""
    first, *more = text.split("\n")
    return [f"$ {first}", *(f"> {row}" for row in more)]


def _told(hint: str) -> str:
    """Return a hint, which is for students, as it is of use to an author."""
    return f"correct the document; a student would be told: {hint}" if hint else ""


def _difference(result: StepResult) -> list[str]:
    """Return what a check wanted and saw, line by line."""
    rows = [f"- {result.expected}", f"+ {result.actual}"] if result.expected else []
    for evidence in result.evidence:
        rows += [f"{evidence.claim}: {evidence.ran}".rstrip(": "), *_few(evidence.saw)]
    return rows


def _few(text: str) -> list[str]:
    rows = _STYLE.sub("", text).replace("\r", "").rstrip("\n").split("\n")
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
