"""The document that people follow, read with markdown-it-py.

A step is marked where it stands by a comment on a line of its own,
``<!-- step: ID -->``, so that its id does not depend on its position.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from labwright.errors import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path

MARK = re.compile(r"<!--\s*step:\s*(\S+?)\s*-->")


@dataclass(frozen=True)
class Place:
    """Where a step stands in a document."""

    line: int
    """Counted from 1."""
    part: str
    """The second-level heading above it, or the document's title."""


@dataclass(frozen=True)
class Document:
    """A lab's document: its title and the places of its steps, in order."""

    path: Path
    title: str
    steps: dict[str, Place]

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a document.

        :raises DefinitionError: it is not UTF-8, or marks a step twice.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as problem:
            raise DefinitionError(path, 1, f"not UTF-8 text: {problem.reason}") from None
        tokens = MarkdownIt("commonmark").parse(text)
        title = part = ""
        steps: dict[str, Place] = {}
        for number, token in enumerate(tokens):
            if token.type == "heading_open" and token.tag in ("h1", "h2"):
                part = tokens[number + 1].content
                title = title or part
            elif token.type == "html_block" and token.map:
                for mark in MARK.finditer(token.content):
                    line = token.map[0] + token.content[: mark.start()].count("\n") + 1
                    if mark[1] in steps:
                        first = steps[mark[1]].line
                        raise DefinitionError(
                            path, line, f"the step {mark[1]!r} stands already in line {first}"
                        )
                    steps[mark[1]] = Place(line, part)
        return cls(path, title, steps)
