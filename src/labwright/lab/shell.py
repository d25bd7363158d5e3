"""What is typed in a document, as commands with their places.

The grammar is tree-sitter's, which reads on after an error: documents are full of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import tree_sitter
import tree_sitter_bash

from labwright.lab.instructions import SESSIONS, is_typed
from labwright.lab.prompts import Prompts, continued
from labwright.lab.prose import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from labwright.lab.document import Block, Document

LONGEST_STATEMENT = 60
"""Lines of a statement that is no here-document."""
_HEREDOC = re.compile(r"<<-?\s*[\"'\\]?(\w+)")
_OF_THE_SHELL = frozenset("cd pushd popd source . alias unset set umask shopt".split())
PLACEHOLDER = re.compile(r"<[A-Za-z][\w .:/-]*>")
"""``<name>``, which a reader replaces; the grammar knows it as two redirections."""
_WRAPPERS = {
    "sudo": {"-u", "-g", "-h", "-p", "-C", "-D"},
    "env": {"-u", "-C"},
    "nohup": set[str](),
    "time": set[str](),
    "exec": {"-a"},
    "command": set[str](),
}
"""Programs that run another one, with their options that take a value."""


@dataclass(frozen=True)
class Typed:
    """One thing that is typed at a prompt, and the output that the document shows for it."""

    block: Block
    """Only its own lines: gives the place of everything in it."""
    output: str | None = None
    """None where the document shows none."""
    root: bool = False
    """Whether the prompt is root's."""
    prompted: bool = False
    """Whether the document shows a prompt before it."""

    @property
    def text(self) -> str:
        """What is typed."""
        return self.block.text


@dataclass(frozen=True)
class Word:
    """An argument of a command."""

    text: str
    """Without its quotes; variables are left as they are written."""
    offset: int
    """In the typed text."""
    kind: str
    """Of the grammar: ``word``, ``string``, ``raw_string``, ``simple_expansion``, ..."""

    @property
    def literal(self) -> bool:
        """Whether the shell leaves it as it is."""
        return self.kind == "raw_string" or not re.search(r"[$`*?]", self.text)


@dataclass(frozen=True)
class Call:
    """A command with its arguments."""

    name: str
    words: tuple[Word, ...]
    offset: int
    typed: Typed
    sudo: bool = False

    def place(self, offset: int | None = None) -> tuple[int, int]:
        """Return line and column of the command, or of an offset in what is typed."""
        return self.typed.block.place(self.offset if offset is None else offset)

    def has(self, *options: str) -> bool:
        """Whether one of these options is given; a short one also among others: ``-sf``."""
        for word in self.words:
            name = word.text.partition("=")[0]
            if name in options:
                return True
            if re.fullmatch(r"-[A-Za-z]{2,}", name) and any(
                len(option) == 2 and option[1] in name[1:] for option in options
            ):
                return True
        return False

    def operands(self, with_value: frozenset[str] = frozenset()) -> list[Word]:
        """Return the arguments that are no options, nor values of those named."""
        found, skip = [], False
        for word in self.words:
            if skip:
                skip = False
            elif word.text.startswith("-") and len(word.text) > 1:
                skip = word.text in with_value
            else:
                found.append(word)
        return found


def typed(document: Document) -> list[Typed]:
    """Return all that is typed in a document, in order."""
    return [entry for block in document.blocks if is_typed(block) for entry in typed_in(block)]


def prompts_of(block: Block) -> Prompts:
    """Return how to find the prompts of a fence."""
    session = block.language in SESSIONS
    rows = block.text.split("\n")
    return Prompts(rows, session=session, programs=programs(), own=block.prompts)


def typed_in(block: Block) -> list[Typed]:
    """Return what is typed in a fence: after prompts if it has any, else statement by statement.

    What shows a terminal without a prompt shows only what it printed: nothing is typed there.
    """
    prompts = prompts_of(block)
    if prompts.any:
        return list(_session(block, prompts))
    return [] if block.language in SESSIONS else list(_statements(block))


def _session(block: Block, prompts: Prompts) -> Iterator[Typed]:
    rows = block.text.split("\n")
    starts = []
    number = 0
    while number < len(rows):
        prompt = prompts.at(rows[number])
        length = 1
        if prompt and rows[number][prompt.end :].strip():
            length = _length([rows[number][prompt.end :], *rows[number + 1 :]], prompts)
            starts.append((number, prompt, length))
        number += length
    for (first, prompt, length), following in zip(
        starts, [*(start for start, _, _ in starts[1:]), len(rows)], strict=True
    ):
        texts, columns = _statement(rows[first : first + length], prompt.end)
        shown = _output(block, rows, first + length, following)
        yield Typed(
            replace(
                block,
                text="\n".join(texts),
                line=block.line + first,
                columns=tuple(
                    block.columns[first + row] + column for row, column in enumerate(columns)
                ),
            ),
            output=shown,
            root=prompt.root,
            prompted=True,
        )


def _length(rows: list[str], prompts: Prompts) -> int:
    """Return how many lines the statement has that begins with the first one."""
    if is_whole(rows[0]):
        return 1
    end = next((m[1] for m in [_HEREDOC.search(rows[0])] if m), None)
    for more in range(1, len(rows)):
        found = _continuation_of(rows[: more + 1])
        if end is None and (prompts.at(rows[more]) or more > LONGEST_STATEMENT):
            break
        if (end is None or found[-1].strip() == end) and is_whole("\n".join(found)):
            return more + 1
        if end is None and (inner := _HEREDOC.search(found[-1])):
            end = inner[1]
    more = 1
    while rows[more - 1].endswith("\\") and more < len(rows):
        more += 1
    return more


def _continuation_of(rows: list[str]) -> list[str]:
    """Return a statement's lines without what the shell shows before each but the first."""
    marked = len(rows) > 1 and continued(rows[1]) > 0
    return [rows[0], *(row[continued(row) :] if marked else row for row in rows[1:])]


def _statement(rows: list[str], prompt: int) -> tuple[list[str], list[int]]:
    """Return the lines of a statement, and where each begins."""
    texts = _continuation_of([rows[0][prompt:], *rows[1:]])
    return texts, [len(row) - len(text) for row, text in zip(rows, texts, strict=True)]


def _output(block: Block, rows: list[str], start: int, end: int) -> str | None:
    """Return what a fence shows for a command; None if nothing.

    A comment before the next command is none of it, nor are blank lines around it.
    """
    shown = rows[start:end]
    if end < len(rows):
        while shown and (not shown[-1].strip() or _is_remark(block, shown)):
            shown.pop()
    return "\n".join(shown) if any(row.strip() for row in shown) else None


def _is_remark(block: Block, rows: list[str]) -> bool:
    """Whether the last of these lines is a comment on the command that follows."""
    before = next((row for row in reversed(rows[:-1]) if not row.startswith("#")), "")
    return rows[-1].startswith("#") and (block.language not in SESSIONS or not before.strip())


def is_whole(text: str) -> bool:
    """Whether a shell would run this, and not wait for more."""
    root = parse(PLACEHOLDER.sub("X", text))
    if root.has_error:
        return False
    left = [root]
    while left:
        node = left.pop()
        left.extend(node.children)
        if node.type == "heredoc_redirect":
            ends = [child for child in node.children if child.type == "heredoc_end"]
            if not any(_text(end).strip() for end in ends):
                return False
    return not text.rstrip(" ").endswith("\\")


def _statements(block: Block) -> Iterator[Typed]:
    """Yield the statements of a script that begin on a line of their own."""
    rows = block.text.split("\n")
    starts = sorted(
        {
            node.start_point.row
            for node in parse(block.text).children
            if node.type not in ("comment", "\n", ";", "&")
        }
    )
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(rows)
        lines = rows[start:end]
        while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        if lines:
            yield Typed(
                replace(
                    block,
                    text="\n".join(lines),
                    line=block.line + start,
                    columns=block.columns[start : start + len(lines)],
                )
            )


def only_changes_the_shell(text: str) -> bool:
    """Whether all that a script does is to set variables, or to go to another folder."""
    said = [node for node in parse(text).children if node.is_named and node.type != "comment"]
    return bool(said) and all(
        node.type in ("variable_assignment", "variable_assignments", "declaration_command")
        or (node.type == "command" and _text(node).split()[0] in _OF_THE_SHELL)
        for node in said
    )


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def parse(text: str) -> Node:
    """Return the root of a script's syntax tree."""
    return _parser().parse(text.encode()).root_node


def nodes(entry: Typed) -> Iterator[tuple[Node, int]]:
    """Yield all nodes of what is typed, in order, each with its offset in the text."""
    source = entry.text.encode()
    left = [parse(entry.text)]
    while left:
        node = left.pop()
        yield node, len(source[: node.start_byte].decode(errors="replace"))
        left.extend(reversed(node.children))


def calls(entry: Typed) -> Iterator[Call]:
    """Yield the commands in what is typed, those in substitutions and loops included."""
    for node, offset in nodes(entry):
        if node.type == "command":
            call = _call(entry, node, offset)
            if call:
                yield call


def _call(entry: Typed, node: Node, offset: int) -> Call | None:
    source = entry.text.encode()
    words = []
    for child in node.children:
        if child.type in ("variable_assignment", "file_redirect", "herestring_redirect"):
            continue
        start = len(source[: child.start_byte].decode(errors="replace"))
        words.append(Word(_unquoted(_text(child)), start, _kind(child)))
    sudo = False
    while words and words[0].text in _WRAPPERS:
        wrapper = words.pop(0).text
        sudo = sudo or wrapper == "sudo"
        while words and (words[0].text.startswith("-") or "=" in words[0].text):
            if words.pop(0).text in _WRAPPERS[wrapper] and words:
                words.pop(0)
    if not words:
        return None
    return Call(words[0].text, tuple(words[1:]), offset, entry, sudo)


def _kind(node: Node) -> str:
    return node.children[0].type if node.type == "command_name" and node.children else node.type


def _text(node: Node) -> str:
    return node.text.decode(errors="replace") if node.text else ""


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return re.sub(r"""(["'])(.*?)\1""", r"\2", text)


def text_of(node: Node) -> str:
    """Return the source of a node."""
    return _text(node)
