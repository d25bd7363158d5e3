"""The third stage of the gate: follows the document exactly, on a new machine."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from labwright.errors import CommandTimedOut, MachineError, PerformError
from labwright.gate.actions import Action, checked_together, closing_sentence, plan
from labwright.gate.expected import Varying
from labwright.gate.findings import Finding
from labwright.gate.rules.commands import blocking
from labwright.lab.shell import calls, only_changes_the_shell
from labwright.machines import perform
from labwright.machines.terminal import Reply, Terminal
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from labwright.lab.document import Document
    from labwright.lab.model import Command, Lab, Step
    from labwright.machines.machine import Machine
    from labwright.score import StepResult

COMMAND_S = 180.0
READY_S = 90.0
SHOWN_LINES = 20
"""Maximum lines of a command's output in a finding."""

Examine = Callable[[Sequence["Step"]], Sequence["StepResult"]]
"""Checks steps on the machine, without the steps they need."""
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_ARRIVES = "A student who follows the document exactly fails here."


@dataclass(frozen=True)
class Progress:
    """A progress report."""

    line: int
    """The document's line; 0 if the action is not in the document."""
    step: str
    what: str
    seconds: float


@dataclass(frozen=True)
class _Done:
    """A typed command and its output."""

    action: Action
    printed: str


class _Stopped(Exception):  # noqa: N818  not an error
    """Following the document must stop here."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass
class Walkthrough:
    """Follows one document on a machine."""

    document: Document
    lab: Lab
    machine: Machine
    examine: Examine
    tell: Callable[[Progress], None]
    done: frozenset[str] = frozenset()
    """The steps that are already done on the machine; their commands are not typed."""
    settle_s: float = 15.0
    """Seconds that a machine has until the check passes: a program in the background needs
    some time, while a student reads on."""
    typed: int = 0
    """The number of the document's commands that were typed."""

    def run(self) -> list[Finding]:
        """Follow the document to its end, or until something in it does not work.

        :raises MachineError: the machine or the connection failed, so nothing is known about the
            document.
        """
        self._varying = Varying(self.lab.varies)
        self._typed: dict[str, _Done] = {}
        """The last typed command of each step."""
        self._held = set[str]()
        """The steps that have passed."""
        self._plan = plan(self.document, self.lab)
        with ExitStack() as stack:
            self._stack = stack
            self._front, self._spare = self._terminal(), self._terminal()
            try:
                self._open()
                self._follow(self._plan.actions)
            except _Stopped as stop:
                return [stop.finding]
        return []

    def _terminal(self, *, root: bool = False) -> Terminal:
        return self._stack.enter_context(closing(Terminal(self.machine, root=root)))

    @cached_property
    def _of_root(self) -> Terminal:
        """The terminal for all commands with root's prompt."""
        return self._terminal(root=True)

    def _open(self) -> None:
        """Type the lab's ``opening`` commands in a new terminal.

        :raises PerformError: one fails, which is an error in the definition, not in the document.
        """
        for row in self.lab.opening.split("\n") if self.lab.opening else ():
            reply = self._front.type(row, COMMAND_S)
            self.tell(Progress(0, "", f"$ {row} [first in each terminal]", 0))
            if reply.exit_status or reply.unfinished:
                raise PerformError(f"'opening' of the lab {self.lab.name} failed: `{row}`")

    def _follow(self, to_do: Sequence[Action]) -> None:
        """Do all actions; check each step after its last action, and all steps at the end."""
        groups = checked_together(self.lab.steps, to_do)
        last = {action.step: number for number, action in enumerate(to_do)}
        for number, action in enumerate(to_do):
            if action.step in self.done:
                self.tell(Progress(action.line, action.step, f"(done already) {action.title}", 0))
            else:
                start = time.monotonic()
                reply = self._do(action)
                self._typed[action.step] = _Done(action, reply.output)
                self.typed += action.command is None
                note = f" [{action.note}]" if action.note else ""
                what = f"$ {action.title}{note}"
                self.tell(Progress(action.line, action.step, what, time.monotonic() - start))
                self._judge(action, reply)
            at_end = number + 1 == len(to_do)
            if action.step in groups and last[action.step] == number and not at_end:
                self._check(groups[action.step])
        self._check(self.lab.steps)

    def summary(self) -> str:
        """Return how much of the document was typed, and why the rest was not."""
        return closing_sentence(self._plan, self.typed, self.done)

    def _do(self, action: Action) -> Reply:
        if action.command:
            return self._as_defined(action, action.command)
        text = self._varying.substitute(action.text)
        kept = _keeps_terminal(action)
        if kept:
            raise self._stop(
                action,
                "perform/keeps-terminal",
                f"`{action.title}` keeps the terminal: {kept}",
                "",
                "say in lab.toml what a reader does: [[typed]] with 'ready' where it stays, "
                "with 'interrupt' where Ctrl-C ends it",
            )
        try:
            terminal = self._of_root if action.root else self._front
            if action.interrupt_s:
                return terminal.interrupt(text, action.interrupt_s, COMMAND_S)
            if action.stays:
                return self._leave(action, text)
            return terminal.type(text, COMMAND_S)
        except CommandTimedOut as problem:
            printed = "".join(getattr(problem, "__notes__", []))
            if self.machine.run("true", timeout=30).ok:
                raise self._stop(
                    action,
                    "perform/no-end",
                    f"`{action.title}` has not ended after {COMMAND_S:.0f} s",
                    printed,
                    "if it keeps its terminal, say so in the document, and in lab.toml "
                    "([[typed]] with 'ready')",
                ) from None
            raise

    def _as_defined(self, action: Action, command: Command) -> Reply:
        """Run a command of the definition, as ``labwright perform`` does.

        A command that only sets a variable or changes the folder is typed in this terminal.
        """
        if only_changes_the_shell(command.run):
            return self._front.type(command.run, COMMAND_S)
        try:
            printed = perform.run(self.lab, action.step, command, self.machine)
        except PerformError as problem:
            raise self._stop(
                action,
                "perform/exit-status",
                str(problem),
                "",
                "correct the command in lab.toml, or what comes before it in the document",
            ) from None
        return Reply(printed, 0, (), len(command.run.split("\n")))

    def _leave(self, action: Action, text: str) -> Reply:
        """Leave a program in its terminal, and continue in a new one when it is ready."""
        terminal, self._front = self._front, self._spare
        terminal.begin(f"sudo -n -H bash -c {shlex.quote(text)}" if action.root else text)
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
        """Return why a program is not ready, with the reason of its step's check, if any."""
        what = f"was not ready within {READY_S:.0f} s: `{action.ready}` does not succeed"
        if ended:
            what = f"ended with exit status {ended.exit_status}, but must keep running"
        suggestion, more = "", []
        its = [step for step in self.lab.steps if step.id == action.step]
        for result in self.examine(its) if its else ():  # a waived step has no check
            if result.outcome is Outcome.FAILED:
                suggestion, more = _hint_for_author(result.hint), _difference(result)
        title = f"`{action.title}` {what}"
        return self._stop(action, "perform/not-ready", title, printed, suggestion, more=more)

    def _judge(self, action: Action, reply: Reply) -> None:
        """Compare a command's result with what a student expects."""
        said = reply.output
        if reply.unfinished:
            raise self._stop(
                action,
                "perform/unfinished",
                f"the shell waits for more after `{action.title}`",
                said,
                "close the open quote, bracket or loop",
                len(action.lines) - 1,
            )
        row = reply.lines - 1
        whole = reply.lines == len(action.text.split("\n"))
        refused = [status for status in reply.http if status >= 400]
        if refused:
            raise self._stop(
                action,
                "perform/http-status",
                f"`{action.title}` got an answer with HTTP status {refused[0]}",
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
                        f"`{action.title}` does not print the output that the document shows",
                        "A student who sees other output thinks that something went wrong.",
                        "show the real output (+); `...` matches any text",
                        difference,
                    )
                )

    def _check(self, steps: Sequence[Step]) -> None:
        """Check steps: those that were just performed, or all."""
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
                why = result.reason if result else "it was not checked"
                raise MachineError(f"the step {step.id} could not be checked: {why}")
            if result.outcome is not Outcome.PASSED:
                raise _Stopped(self._check_failed(step, result))
            self._held.add(step.id)
        what = f"all {len(steps)} steps pass at the end"
        if len(steps) == 1:
            what = f"{steps[0].id} passes: {steps[0].title}"
        elif len(steps) < len(self.lab.steps):
            what = f"{', '.join(step.id for step in steps)} pass"
        self.tell(Progress(0, steps[-1].id, what, time.monotonic() - start))

    def _check_failed(self, step: Step, result: StepResult) -> Finding:
        typed = self._typed.get(step.id)
        line = typed.action.line if typed else step.line
        details, suggestion = _difference(result), _hint_for_author(result.hint)
        if step.id in self._held:
            what = "passed earlier, but fails at the end of the document"
            suggestion = "find the later command that undoes it, and correct it"
        elif typed:
            what = f"fails after `{typed.action.title}`"
            details = [*_shown(typed.action.text), *_few(typed.printed), *details]
        elif self.typed:
            what = "fails after the commands before it"
        else:
            what = "fails on the new machine"
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
            message += f" (done since: {action.note})"
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


def _keeps_terminal(action: Action) -> str:
    """Return why a command would not end, if the lint knows that; else ""."""
    entry = action.entry
    told = action.ready or action.interrupt_s
    if told or entry is None or action.text.rstrip().endswith("&"):
        return ""
    return next(filter(None, (blocking(call) for call in calls(entry))), "")


def _shown(text: str) -> list[str]:
    """Return a command as a terminal shows it."""
    first, *more = text.split("\n")
    return [f"$ {first}", *(f"> {row}" for row in more)]


def _hint_for_author(hint: str) -> str:
    """Return a student's hint in words for the author."""
    return f"correct the document; a student would be told: {hint}" if hint else ""


def _difference(result: StepResult) -> list[str]:
    """Return the expected and actual text of a check, line by line."""
    rows = [f"- {result.expected}", f"+ {result.actual}"] if result.expected else []
    for evidence in result.evidence:
        rows += [f"{evidence.claim}: {evidence.ran}".rstrip(": "), *_few(evidence.saw)]
    return rows


def _few(text: str) -> list[str]:
    rows = _STYLE.sub("", text).replace("\r", "").rstrip("\n").split("\n")
    if len(rows) > SHOWN_LINES:
        rows = [f"({len(rows) - SHOWN_LINES} lines before)", *rows[-SHOWN_LINES:]]
    return [row[:300] for row in rows if row.strip()]
