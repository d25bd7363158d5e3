"""What a document says, piece by piece: instructions, and explanations."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.lab.prompts import Prompts
from labwright.lab.prose import introduces, programs, sentences

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


_FIRST_WORD = re.compile(
    r"\s*(?:[A-Za-z_]\w*=\S*\s+|sudo\s+(?:-\w+\s+)*)*([\w.+/-]+)(?=[\s;|&>]|$)"
)
_PATH_OR_KEYWORD = re.compile(
    r"(?:\./|\.\./|~/|/(?:usr|bin|sbin|opt|etc)/)\S|(?:for|while|until|if|case)\s.*|"
    r"[A-Za-z_]\w*=\S*\s*$|[A-Za-z_]\w*=[\"'$(].*|\w+\(\)\s*\{|\.\s+\S|\[\[? |\("
)


@dataclass(frozen=True)
class Piece:
    """A command, the beginning of a numbered item, a sentence, or a block of code."""

    kind: str
    """``command`` (a whole fence that is typed), ``item``, ``prose`` (a sentence that asks for
    something), ``block`` (any other fence) or ``text`` (any other sentence, or a heading)."""
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
        return self.kind in ("command", "item", "prose")


def is_typed(block: Block) -> bool:
    """Whether a block is commands for a terminal.

    One that names no language is, where its first line is a command or has a prompt. One that
    names its interpreter is the text of a script.
    """
    if block.kind != "fence" or block.language not in SHELLS or block.text.startswith("#!"):
        return False
    if block.language in SESSIONS:
        return _prompts(block, session=True).any
    return bool(block.language) or _looks_typed(block)


def _prompts(block: Block, *, session: bool) -> Prompts:
    rows = block.text.split("\n")
    return Prompts(rows, session=session, programs=programs(), own=block.prompts)


def _looks_typed(block: Block) -> bool:
    if _prompts(block, session=False).any:
        return True
    rows = block.text.split("\n")
    first = next((row for row in rows if row.strip() and not row.lstrip().startswith("#")), "")
    return begins_a_command(first)


def begins_a_command(row: str) -> bool:
    """Whether a line begins as a command does: with a program, a path, an assignment, a loop."""
    found = _FIRST_WORD.match(row)
    word = found[1] if found else ""
    return bool(_PATH_OR_KEYWORD.match(row.strip())) or word in programs()


def pieces(document: Document) -> list[Piece]:
    """Return what a document says, in order."""
    followed = [*document.blocks[1:], None]
    return [
        piece
        for block, following in zip(document.blocks, followed, strict=False)
        for piece in _pieces(block, following, document.language)
    ]


def _pieces(block: Block, following: Block | None, language: str) -> Iterator[Piece]:
    if block.kind == "fence":
        lines = [line.rstrip() for line in block.text.splitlines()]
        kind = "command" if is_typed(block) else "block"
        yield Piece(kind, block.step, "\n".join(lines), block.line)
    elif block.kind == "heading":
        yield Piece("text", block.step, " ".join(block.text.split()), block.line)
    elif block.kind == "item" and not block.text:
        yield Piece("item", block.step, "", block.line)
    elif block.kind in ("item", "paragraph"):
        said = list(sentences(block, language))
        for number, sentence in enumerate(said):
            first = block.kind == "item" and number == 0
            # What only says that the commands below are to be typed is done by typing them;
            # so with a file's text, which must be covered itself.
            leads = number + 1 == len(said) and following and following.kind == "fence"
            asks = sentence.asks and not (leads and introduces(sentence.text, language))
            kind = "item" if first else "prose" if asks else "text"
            yield Piece(kind, block.step, sentence.text, sentence.line)
