"""What a student does who follows a document, one thing after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.errors import DefinitionError
from labwright.lab.instructions import is_typed, pieces
from labwright.lab.shell import typed_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Block, Document
    from labwright.lab.model import Lab, Step, Typing


@dataclass(frozen=True)
class Action:
    """One thing that is typed at a prompt."""

    step: str
    text: str
    line: int
    """Of the document: where it stands, or what asks for it."""
    lines: tuple[int, ...] = ()
    """Of the document, for each line of the text; none where the text is not the document's."""
    output: str | None = None
    """What the document shows for it; None where it shows nothing."""
    output_line: int = 0
    ready: str = ""
    """For a program that keeps its terminal: a command that succeeds once it can be used."""
    note: str = ""
    """Why this is typed, and not what the document says."""

    @property
    def stays(self) -> bool:
        """Whether it keeps its terminal, and the student opens another one."""
        return bool(self.ready)

    @property
    def title(self) -> str:
        """Its first line."""
        first, *more = self.text.strip().split("\n")
        return first.rstrip("\\ ") + (" ..." if more else "")


def actions(document: Document, lab: Lab) -> list[Action]:
    """Return all that is to be typed, in the document's order.

    What stands in a fence is typed as it is, unless a ``[[typed]]`` of the definition says
    otherwise; a sentence, and a step without a fence, by the commands of the definition.

    :raises DefinitionError: a ``[[typed]]`` fits nothing that the document says.
    """
    left = list(lab.typed)
    found = list(_actions(document, lab, left))
    for typing in left:
        raise DefinitionError(
            lab.folder / "lab.toml",
            typing.line,
            f"no command of the step {typing.step!r} begins with {typing.begins!r}",
        )
    return found


def _actions(document: Document, lab: Lab, left: list[Typing]) -> Iterator[Action]:
    fenced = {block.step for block in document.blocks if is_typed(block)}
    said = pieces(document)
    spoken = {
        (piece.step, piece.line): prose
        for prose in lab.prose
        if prose.perform
        for piece in said
        if prose.says in piece.text and piece.instructs
    }
    steps = {step.id: step for step in lab.steps}
    begun = set[str]()
    for block in document.blocks:
        end = block.line + len(block.columns)
        for (step, line), prose in list(spoken.items()):
            if step == block.step and block.line <= line < end and not is_typed(block):
                del spoken[step, line]
                for command in prose.perform:
                    note = f"for the words {prose.says!r}"
                    yield Action(step, command.run, line, ready=command.ready, note=note)
        if is_typed(block):
            yield from _typed(block, left, steps)
        elif (
            block.kind in ("item", "paragraph")
            and block.step in steps
            and block.step not in begun | fenced
        ):
            begun.add(block.step)
            note = "the document gives no command for this step"
            for command in steps[block.step].perform:
                yield Action(block.step, command.run, block.line, ready=command.ready, note=note)


def _typed(block: Block, left: list[Typing], steps: dict[str, Step]) -> Iterator[Action]:
    for entry in typed_in(block):
        first = entry.block.line
        rows = len(entry.text.split("\n"))
        typing = next(
            (t for t in left if t.step == block.step and entry.text.startswith(t.begins)), None
        )
        if typing:
            left.remove(typing)
        if typing and typing.reason:
            for command in steps[block.step].perform:
                note = typing.reason
                yield Action(block.step, command.run, first, ready=command.ready, note=note)
            continue
        yield Action(
            block.step,
            entry.text,
            first,
            tuple(range(first, first + rows)),
            entry.output,
            first + rows,
            typing.ready if typing else "",
        )
