"""The document that people follow, read with markdown-it-py.

A step is marked where it stands by a comment on a line of its own,
``<!-- step: ID -->``, so that its id does not depend on its position. It reaches to the
next mark or heading.
"""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

from labwright.errors import DefinitionError
from labwright.lab import markup
from labwright.lab.variants import fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set
    from pathlib import Path

    from markdown_it.token import Token

    from labwright.lab.model import Lab

MARK = re.compile(r"<!--\s*step:\s*(\S+?)\s*-->")
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
PREFORMATTED = re.compile(r"<pre>(.*?)(?:</pre>|\Z)", re.DOTALL | re.IGNORECASE)
TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Place:
    """Where a step stands in a document."""

    line: int
    """Counted from 1."""
    part: str
    """The second-level heading above it, or the document's title."""


@dataclass(frozen=True)
class Block:
    """A piece of the document, with the place of each of its lines."""

    kind: str
    """``heading``, ``item`` (what a numbered item begins with), ``paragraph``, ``fence`` or
    ``comment``."""
    text: str
    """As it stands in the source, without indentation."""
    line: int
    """Of its text's first line, counted from 1."""
    columns: tuple[int, ...] = (0,)
    """Where each line of the text begins in its line of the source, counted from 0."""
    step: str = ""
    """The step whose mark it stands under."""
    level: int = 0
    """Of a heading; how deep the list of an item is."""
    number: int = 0
    """Of an item, as it stands in the source."""
    list: int = 0
    """Of an item: the first line of its list."""
    language: str = ""
    """Of a fence."""
    links: tuple[tuple[str, int], ...] = ()
    """What it links to, images included, each with its line."""
    prompts: tuple[str, ...] = ()
    """Of a fence: prompts that the lab's definition names."""

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column, both counted from 1, of a position in the text."""
        before = self.text[:offset]
        row = before.count("\n")
        column = offset - (before.rfind("\n") + 1)
        return self.line + row, self.columns[min(row, len(self.columns) - 1)] + column + 1


@dataclass(frozen=True)
class Document:
    """A lab's document: its title, its blocks, and the places of its steps, in order."""

    path: Path
    title: str
    steps: dict[str, Place]
    blocks: tuple[Block, ...] = ()
    source: tuple[str, ...] = field(default=(), repr=False)
    """Its lines."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Directives of a web site's own whose content cannot be seen here, with their lines."""
    language: str = "en"
    """In which it is written."""

    @classmethod
    def of(cls, lab: Lab) -> Document:
        """Read the document of a lab."""
        values = lab.values if lab.variants else None
        return cls.read(lab.document, lab.prompts, lab.language, values)

    @classmethod
    def read(
        cls,
        path: Path,
        prompts: Sequence[str] = (),
        language: str = "en",
        values: Mapping[str, Any] | None = None,
    ) -> Document:
        """Read a document.

        :param prompts: what stands before its commands, beside the usual prompts.
        :param values: what stands in the places of ``{{name}}``.
        :raises DefinitionError: it is not UTF-8, or marks a step twice.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as problem:
            raise DefinitionError(path, 1, f"not UTF-8 text: {problem.reason}") from None
        text = fill(text, values) if values else text
        source = tuple(text.splitlines())
        plain = markup.plain(list(source))
        tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(plain.lines) + "\n")
        title, part, step = plain.title, "", ""
        steps: dict[str, Place] = {}
        blocks: list[Block] = []
        for block in _blocks(tokens, source, plain.executed):
            if block.kind == "heading":
                step = ""
                if block.level <= 2:
                    part = block.text
                    title = title or part
            for mark in MARK.finditer(block.text) if block.kind == "comment" else ():
                line, step = block.place(mark.start())[0], mark[1]
                if step in steps:
                    first = steps[step].line
                    raise DefinitionError(
                        path, line, f"the step {step!r} is marked already in line {first}"
                    )
                steps[step] = Place(line, part)
            blocks.append(replace(block, step=step, prompts=tuple(prompts)))
        return cls(path, title, steps, tuple(blocks), source, plain.unknown, language)


def _blocks(tokens: Sequence[Token], source: Sequence[str], executed: Set[int]) -> Iterator[Block]:
    """Yield the blocks of a document, without their steps."""
    lists: list[tuple[bool, int]] = []
    """For each list that is open, whether it is a numbered one, and its first line."""
    number: int | None = None
    """Of the item that has just been opened, as long as it has no text."""
    heading = 0
    row = 0
    for token in tokens:
        row = token.map[0] if token.map else row
        if token.type in ("ordered_list_open", "bullet_list_open"):
            lists.append((token.type == "ordered_list_open", row + 1))
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            lists.pop()
        elif token.type == "list_item_open" and lists[-1][0]:
            number = int(token.info or 0)
        elif token.type == "list_item_close":
            number = None
        elif token.type == "heading_open":
            heading = int(token.tag[1:])
        elif token.type == "heading_close":
            heading = 0
        elif token.type == "inline":
            kind = "heading" if heading else "paragraph" if number is None else "item"
            yield Block(
                kind,
                token.content,
                row + 1,
                _columns(token.content, source, row),
                level=heading or len(lists),
                number=number or 0,
                list=lists[-1][1] if lists else 0,
                links=tuple(_links(token, row + 1)),
            )
            number = None
        elif token.type in ("fence", "code_block"):
            if number is not None:  # an item that begins with what is to be typed
                yield Block("item", "", row + 1, level=len(lists), number=number, list=lists[-1][1])
                number = None
            first = row + (token.type == "fence")
            text = textwrap.dedent(token.content).rstrip("\n")
            language = _language(token.info)
            if token.map and token.map[1] - 1 in executed:
                language = "sh" if language in ("", "plain", "text", "txt") else language
            columns = _columns(text, source, first)
            yield Block("fence", text, first + 1, columns, language=language)
        elif token.type == "html_block":
            yield from _html(token, source, row)


def _language(info: str) -> str:
    """Return the language of a fence: ``{.bash}``, ``bash:no-line-numbers`` and others are bash."""
    words = re.findall(r"[A-Za-z][\w+-]*", info.replace("code-block", " "))
    return words[0].lower() if words and re.match(r"[\s{.]*[A-Za-z]", info) else ""


def _html(token: Token, source: Sequence[str], row: int) -> Iterator[Block]:
    """Yield a block of HTML: its comments, and what it shows to people."""
    text = token.content.rstrip("\n")
    columns = _columns(text, source, row)
    if COMMENT.search(text):
        yield Block("comment", text, row + 1, columns)
    text = COMMENT.sub(_blank, text)
    for found in PREFORMATTED.finditer(text):
        code = html.unescape(TAG.sub("", found[1])).strip("\n")
        first = row + text[: found.start(1)].count("\n") + found[1].startswith("\n")
        yield Block("fence", code, first + 1, _columns(code, source, first))
    shown = TAG.sub(_blank, PREFORMATTED.sub(_blank, text))
    if shown.strip():
        yield Block("paragraph", shown, row + 1, columns)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _columns(text: str, source: Sequence[str], row: int) -> tuple[int, ...]:
    """Return where each line of a text begins in the source, of which it is a piece."""
    found = []
    for number, line in enumerate(text.split("\n")):
        original = source[row + number] if row + number < len(source) else ""
        found.append(max(0, original.find(line)))
    return tuple(found)


def _links(token: Token, line: int) -> Iterator[tuple[str, int]]:
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        target = child.attrs.get("href") or child.attrs.get("src")
        if target:
            yield str(target), line
