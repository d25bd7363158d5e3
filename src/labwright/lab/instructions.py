"""What a document says, piece by piece: what is to be done, and what is only told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.lab.prose import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Block, Document

SESSIONS = frozenset(
    """
    console shell-session shellsession sh-session bash-session terminal term termsession
    """.split()
)
"""Languages of a fence that shows a terminal: what is typed after a prompt, and its answer."""
SHELLS = SESSIONS | {"", "sh", "bash", "shell", "zsh", "ksh", "dash", "ash", "posix"}
"""Languages of a fence that is to be typed. One that names none is taken to be, too."""


@dataclass(frozen=True)
class Piece:
    """A command, the beginning of a numbered item, or a sentence."""

    kind: str
    """``command`` (a whole fence), ``item``, ``prose`` (a sentence that asks for something) or
    ``text`` (any other sentence, or a heading)."""
    step: str
    text: str
    line: int = 0

    @property
    def key(self) -> str:
        """A name for its content and for the step that it belongs to, but not for its place."""
        content = "\0".join((self.kind, self.step, self.text))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def instructs(self) -> bool:
        """Whether there is something to do."""
        return self.kind != "text"


def is_typed(block: Block) -> bool:
    """Whether a block is commands for a terminal."""
    return block.kind == "fence" and block.language in SHELLS


def pieces(document: Document) -> list[Piece]:
    """Return what a document says, in order."""
    return [piece for block in document.blocks for piece in _pieces(block)]


def _pieces(block: Block) -> Iterator[Piece]:
    if block.kind == "fence":
        lines = [line.rstrip() for line in block.text.splitlines()]
        kind = "command" if is_typed(block) else "text"
        yield Piece(kind, block.step, "\n".join(lines), block.line)
    elif block.kind == "heading":
        yield Piece("text", block.step, " ".join(block.text.split()), block.line)
    elif block.kind == "item" and not block.text:
        yield Piece("item", block.step, "", block.line)
    elif block.kind in ("item", "paragraph"):
        for number, sentence in enumerate(sentences(block)):
            first = block.kind == "item" and number == 0
            kind = "item" if first else "prose" if sentence.asks else "text"
            yield Piece(kind, block.step, sentence.text, sentence.line)
