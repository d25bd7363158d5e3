"""Plans the actions of a student who follows a document, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.errors import DefinitionError
from labwright.gate.rules.commands import blocking
from labwright.lab.instructions import is_typed
from labwright.lab.performance import becomes_root, code_of, doing, shows_output, spoken, typing_of
from labwright.lab.shell import calls, typed_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from labwright.lab.document import Block, Document
    from labwright.lab.model import Command, Lab, Step, Typing
    from labwright.lab.shell import Typed


@dataclass(frozen=True)
class Action:
    """One action: a command typed at a prompt, or a command of ``lab.toml``."""

    step: str
    text: str
    line: int
    """The line of the document with the action, or with the text that asks for it."""
    lines: tuple[int, ...] = ()
    """The document's line for each line of the text; empty if the text is not the document's."""
    output: str | None = None
    """The output that the document shows; None if it shows none."""
    output_line: int = 0
    ready: str = ""
    """For a program that keeps its terminal: a command that succeeds when the program is ready."""
    interrupt_s: float = 0.0
    """Press Ctrl-C after this many seconds; 0: never."""
    note: str = ""
    """Why this is done instead of the document's own text."""
    command: Command | None = None
    """The command of ``lab.toml``; None for a command of the document."""
    entry: Typed | None = None
    """The text in the document."""

    @property
    def root(self) -> bool:
        """Whether it is typed at root's prompt."""
        return self.entry is not None and self.entry.root

    @property
    def stays(self) -> bool:
        """Whether it keeps its terminal, so that the student opens another one."""
        return bool(self.ready) and not self.interrupt_s

    @property
    def title(self) -> str:
        """Its first line."""
        first, *more = self.text.strip().split("\n")
        return first.rstrip("\\ ") + (" ..." if more else "")


@dataclass(frozen=True)
class NotPerformed:
    """A part of the document that is not performed as written, and the reason."""

    line: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """All actions for following a document."""

    actions: tuple[Action, ...]
    not_performed: tuple[NotPerformed, ...]
    commands: int
    """The number of commands in the document."""


def plan(document: Document, lab: Lab) -> Plan:
    """Return all actions, in the document's order.

    Commands in fenced blocks are typed as written, unless a ``[[typed]]`` of the definition says
    otherwise. Everything else is done by commands of the definition, or has a reason why not.

    :raises DefinitionError: a ``[[typed]]`` or ``[[block]]`` matches nothing in the document.
    """
    planner = _Planner(document, lab)
    done = tuple(planner.actions())
    for typing in planner.typings:
        raise DefinitionError(
            lab.folder / "lab.toml",
            typing.line,
            f"no command of the step {typing.step!r} begins with {typing.begins!r}",
        )
    blocks = [block for block in document.blocks if block.kind == "fence" and not is_typed(block)]
    for code in lab.code:
        if not any(code_of(block, [code]) for block in blocks):
            raise DefinitionError(
                lab.folder / "lab.toml",
                code.line,
                f"no block of code that is not typed begins with {code.begins!r}",
            )
    return Plan(done, tuple(planner.not_performed), planner.commands)


def checked_together(steps: Sequence[Step], to_do: Sequence[Action]) -> dict[str, tuple[Step, ...]]:
    """Return, for each step with actions, the steps that are checked after it.

    These are the step itself and the following steps without actions. They are checked together,
    so that a load that several of them judge is sent only once.
    """
    acted = {action.step for action in to_do}
    found: dict[str, tuple[Step, ...]] = {}
    last = ""
    for step in sorted(steps, key=lambda step: step.line):
        if step.id in acted:
            last = step.id
            found[last] = (step,)
        elif last:
            found[last] += (step,)
    return found


def closing_sentence(plan: Plan, typed: int, done: Set[str] = frozenset()) -> str:
    """Return how many of the document's commands were typed, and which were not and why."""
    given = sorted(
        action.line for action in plan.actions if action.step in done and action.command is None
    )
    left = list(plan.not_performed)
    if given:
        lines = ", ".join(map(str, given[1:]))
        reason = "the machine begins with it" + (f"; so with lines {lines}" if lines else "")
        left.append(NotPerformed(given[0], reason))
    told = f"typed {typed} of {plan.commands} commands"
    if not left:
        return f"{told}; everything that the document asks for was performed"
    rows = [f"line {entry.line} ({entry.reason.rstrip('.')})" for entry in sorted(left, key=_line)]
    return f"{told}; not performed: {', '.join(rows)}"


def _line(entry: NotPerformed) -> int:
    return entry.line


class _Planner:
    """Makes the plan of one document."""

    def __init__(self, document: Document, lab: Lab) -> None:
        self.document, self.lab = document, lab
        self.typings = list(lab.typed)
        """The ``[[typed]]`` entries that have matched no command yet."""
        self.not_performed: list[NotPerformed] = []
        self.commands = 0
        self._said = spoken(document, lab.prose)
        self._waived = {waived.id: waived.reason for waived in lab.waived}
        self._performs = {waived.id: waived.perform for waived in lab.waived}
        self._performs |= {step.id: step.perform for step in lab.steps if not step.as_written}
        self._fenced = {block.step for block in document.blocks if is_typed(block)}

    def actions(self) -> Iterator[Action]:
        begun = set[str]()
        for block in self.document.blocks:
            yield from self._in_words(block)
            if is_typed(block):
                yield from self._typed(block)
            elif block.kind == "fence":
                yield from self._code(block)
            elif block.kind in ("item", "paragraph") and block.step not in begun | self._fenced:
                begun.add(block.step)
                note = "the document gives no command for this step"
                commands = self._performs.get(block.step, ())
                if not commands and block.step in self._waived:
                    reason = self._waived[block.step]
                    self.not_performed.append(NotPerformed(block.line, reason))
                elif not commands and block.step in self._performs:
                    reason = "nothing is to be done: its check looks at what was done before"
                    self.not_performed.append(NotPerformed(block.line, reason))
                yield from _done(block.step, block.line, commands, note)

    def _in_words(self, block: Block) -> Iterator[Action]:
        """Yield the definition's commands for the sentences of a block that ask for something."""
        end = block.line + len(block.columns)
        for said in list(self._said):
            if said.step == block.step and block.line <= said.line < end and not is_typed(block):
                self._said.remove(said)
                if said.prose.reason:
                    self.not_performed.append(NotPerformed(said.line, said.prose.reason))
                note = f"for the words {said.prose.says!r}"
                yield from _done(said.step, said.line, said.prose.perform, note)

    def _code(self, block: Block) -> Iterator[Action]:
        """Yield the definition's commands for a block of code that is not typed."""
        code = code_of(block, self.lab.code)
        if code and not code.reason:
            note = f"the text of {code.file}" if code.file else "for this block"
            yield from _done(block.step, block.line, doing(code, block), note)
        elif code:
            self.not_performed.append(NotPerformed(block.line, code.reason))
        elif shows_output(self.document, block):
            self.not_performed.append(NotPerformed(block.line, "output in a block of its own"))

    def _typed(self, block: Block) -> Iterator[Action]:
        for entry in typed_in(block):
            self.commands += 1
            first, rows = entry.block.line, len(entry.text.split("\n"))
            if becomes_root(entry):
                reason = "what follows at root's prompt is typed in a terminal of root's"
                self.not_performed.append(NotPerformed(first, reason))
                continue
            typing = typing_of(entry, self.typings)
            if typing:
                self.typings.remove(typing)
            if typing and typing.reason:
                self.not_performed.append(NotPerformed(first, typing.reason))
                commands = self._performs.get(block.step, ())
                yield from _done(block.step, first, commands, typing.reason)
                continue
            ready, interrupt_s = self._kept(block.step, entry, typing)
            yield Action(
                block.step,
                entry.text,
                first,
                tuple(range(first, first + rows)),
                entry.output,
                first + rows,
                ready,
                interrupt_s,
                entry=entry,
            )

    def _kept(self, step: str, entry: Typed, typing: Typing | None) -> tuple[str, float]:
        """Return a command's ``ready`` command, and the seconds after which it is interrupted.

        The default is taken from the step's own ``perform`` if it has the same command, or if both
        would not end by themselves: the document's command was then edited.
        """
        if typing:
            return typing.ready, typing.interrupt_s
        kept = [one for one in self._performs.get(step, ()) if one.ready or one.interrupt_s]
        typed = entry.text.split()
        for command in kept:
            if command.run.split() == typed:
                return command.ready, command.interrupt_s
        if len(kept) == 1 and any(map(blocking, calls(entry))):
            return kept[0].ready, kept[0].interrupt_s
        return "", 0.0


def _done(step: str, line: int, commands: Sequence[Command], note: str) -> Iterator[Action]:
    for command in commands:
        yield Action(step, command.run, line, note=note, command=command)
