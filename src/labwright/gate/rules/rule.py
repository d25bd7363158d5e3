"""A rule of the gate's second stage, and the document as a rule reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from labwright.lab import shell
from labwright.lab.instructions import begins_a_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labwright.lab.document import Block, Document
    from labwright.lab.shell import Call, Typed


@dataclass(frozen=True)
class Problem:
    """A place where a rule is broken."""

    line: int
    column: int
    message: str
    suggestion: str


@dataclass(frozen=True)
class Reading:
    """A document as the rules read it."""

    document: Document
    before: tuple[Reading, ...] = ()
    """The documents that it requires."""

    @cached_property
    def typed(self) -> list[Typed]:
        """All commands that are typed, in order.

        In a block without a language, a line that does not begin like a command is output.
        """
        return [
            entry
            for entry in shell.typed(self.document)
            if entry.prompted or entry.block.language or begins_a_command(entry.text)
        ]

    @cached_property
    def calls(self) -> list[Call]:
        """All commands that are typed, in order."""
        return [call for entry in self.typed for call in shell.calls(entry)]

    @cached_property
    def prose(self) -> list[Block]:
        """Headings, paragraphs and items."""
        return [block for block in self.document.blocks if block.kind not in ("fence", "comment")]

    def around(self, place: Block) -> str:
        """Return the text about a fence: in its step, or otherwise near it in its section."""
        blocks = self.document.blocks
        here = next(n for n, b in enumerate(blocks) if b.kind == "fence" and _holds(b, place))
        told = []
        if place.step:
            told = [b for b in blocks if b.step == place.step and b.kind in ("item", "paragraph")]
        else:
            for block in reversed(blocks[:here]):
                if block.kind in ("fence", "heading"):
                    break
                told.append(block)
            for block in blocks[here + 1 :]:
                if block.kind != "paragraph":
                    break
                told.append(block)
        return "\n".join(block.text for block in told)


def _holds(fence: Block, piece: Block) -> bool:
    return fence.line <= piece.line < fence.line + fence.text.count("\n") + 1


@dataclass(frozen=True)
class Rule:
    """A rule: its name, why it matters to a reader, and the function that finds problems."""

    name: str
    why: str
    find: Callable[[Reading], Iterator[Problem]]
