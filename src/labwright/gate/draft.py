"""Drafts a lab from a document: marks, steps, claims, and a list of open decisions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labwright.gate.proposed_claims import proposed
from labwright.gate.rules.commands import blocking
from labwright.lab.document import MARK, Block, Document
from labwright.lab.instructions import SESSIONS, is_typed, pieces
from labwright.lab.performance import shows_output
from labwright.lab.prose import commands_in
from labwright.lab.shell import Typed, calls, prompts_of, typed_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labwright.gate.proposed_claims import Claim

LEFT = "to decide"
_PROMPT_OF_A_SHELL = re.compile(r"(\s*)\S.*?[$%]\s+")
_LONGEST_ID = 40


@dataclass
class Draft:
    """The files of a drafted lab, and the decisions that are left to its author."""

    document: str
    definition: str
    undecided: list[str]
    steps: int


@dataclass
class _Unit:
    """The text of one step: an item with its commands, or commands with their introduction."""

    line: int
    """The line before which its mark is inserted, counted from 1."""
    text: str
    indent: str = ""
    typed: list[Typed] = field(default_factory=list)
    id: str = ""
    claims: list[Claim] = field(default_factory=list)


def draft(path: Path, name: str) -> Draft:
    """Draft a lab from a document.

    :raises DefinitionError: the document cannot be read.
    """
    document = Document.read(path)
    units = list(_units(document))
    taken: set[str] = set()
    entries = [entry for unit in units for entry in unit.typed]
    for unit in units:
        unit.id = _id(unit.text, taken)
        last = unit.typed[-1].block.line if unit.typed else unit.line
        later = [entry for entry in entries if entry.block.line > last]
        unit.claims = proposed(unit.typed, later)
    if not entries:
        return Draft("", "", [], 0)
    if not any(unit.claims for unit in units):
        next(unit for unit in units if unit.typed).claims = [{"command": "true"}]
    undecided = [
        f"line {unit.line}: the step {unit.id!r}: what must hold after it?"
        for unit in units
        if not unit.claims or unit.claims == [{"command": "true"}]
    ]
    definition, more = _definition(document, units, name)
    steps = sum(bool(unit.claims) for unit in units)
    return Draft(_marked(document, units), definition, [*undecided, *more], steps)


def _units(document: Document) -> Iterator[_Unit]:
    """Yield the units that become steps, in the document's order."""
    unit: _Unit | None = None
    lead: Block | None = None
    for block in document.blocks:
        if block.kind == "heading":
            if unit:
                yield unit
            unit = lead = None
        elif block.kind == "item" and block.level == 1:
            if unit:
                yield unit
            unit, lead = _Unit(block.line, block.text), None
        elif block.kind == "paragraph":
            lead = block
        elif is_typed(block):
            inside = unit is not None and (block.columns[0] > 0 or not unit.typed)
            if not inside:
                if unit:
                    yield unit
                line = lead.line if lead else block.line - 1
                unit = _Unit(line, lead.text if lead else _first_command(block))
            assert unit  # noqa: S101  one was begun above
            unit.typed += typed_in(block)
            lead = None
    if unit:
        yield unit


def _first_command(block: Block) -> str:
    return next((entry.text.split("\n")[0] for entry in typed_in(block)), "")


def _id(text: str, taken: set[str]) -> str:
    """Return a new id made of the first words of a text."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"[`*_]|\[|\]\([^)]*\)", "", text.lower()))
    id = ""
    for word in words[:6]:
        if len(id) + len(word) >= _LONGEST_ID:
            break
        id = f"{id}-{word}" if id else word
    id = id or "step"
    unique, number = id, 2
    while unique in taken:
        unique, number = f"{id}-{number}", number + 1
    taken.add(unique)
    return unique


def _marked(document: Document, units: list[_Unit]) -> str:
    """Return the document with marks, and with normalised fences."""
    lines = list(document.source)
    for block in document.blocks:
        if block.kind == "fence":
            _normalise(document, block, lines)
    for unit in reversed(units):
        if not any(MARK.search(line) for line in lines[max(0, unit.line - 3) : unit.line]):
            at = unit.line - 1
            indent = re.match(r"\s*", lines[at])
            space = indent[0] if indent else ""
            before = [""] if at and lines[at - 1].strip() else []
            lines[at:at] = [*before, f"{space}<!-- step: {unit.id} -->"]
    return "\n".join(lines) + "\n"


def _normalise(document: Document, block: Block, lines: list[str]) -> None:
    """Add a missing language to a fence, and replace a user's longer prompt by ``$``."""
    opening = block.line - 2
    prompts = prompts_of(block)
    typed = is_typed(block)
    language = "console" if typed and prompts.any else "sh" if typed else ""
    if not typed and not block.language and _is_output(document, block):
        language = "text"
    fence = re.match(r"(.*?)(`{3,}|~{3,})\s*(\S*)\s*$", lines[opening]) if opening >= 0 else None
    renamed = fence and (not fence[3] or language == "console") and block.language not in SESSIONS
    if fence and language and renamed:
        lines[opening] = f"{fence[1]}{fence[2]}{language}"
    if not (typed and prompts.any):
        return
    for entry in typed_in(block):
        row = entry.block.line - 1
        shown = lines[row][: entry.block.columns[0]]
        if not entry.root and _PROMPT_OF_A_SHELL.fullmatch(shown):
            indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
            lines[row] = f"{indent}$ {lines[row][entry.block.columns[0] :]}"


def _is_output(document: Document, block: Block) -> bool:
    """Whether a block is output: it is labelled so, or directly follows commands."""
    before = document.blocks[document.blocks.index(block) - 1]
    below = not block.language and before.kind == "fence" and is_typed(before)
    return below or shows_output(document, block)


def _definition(document: Document, units: list[_Unit], name: str) -> tuple[str, list[str]]:
    """Return the text of lab.toml, and the open decisions in it."""
    undecided: list[str] = []
    title = document.title or name
    parts = [
        f"# Drafted from {document.path.name}. What says {LEFT!r} is yours; docs/course-author.md",
        "# describes every key, and `labwright checks` lists what can be claimed.",
        "",
        *_pairs({"name": name, "title": title, "document": "lab.md"}),
    ]
    graded = [unit for unit in units if unit.claims]
    for unit, points in zip(graded, _points(len(graded)), strict=True):
        parts += ["", "[[step]]", *_pairs({"id": unit.id, "title": _title(unit)})]
        parts.append(f"points = {points}")
        for claim in unit.claims:
            parts += ["", "[[step.claim]]", *_pairs(claim)]
    for unit in units:
        if not unit.claims:
            reason = f"{LEFT}: what must hold after it, or why nothing must"
            parts += ["", "[[waived]]", *_pairs({"id": unit.id, "reason": reason})]
    for table, entries in (("prose", _prose(document, units)), ("block", _blocks(document))):
        for line, entry in entries:
            parts += ["", f"[[{table}]]", *_pairs(entry)]
            if LEFT in entry.get("reason", ""):
                undecided.append(f"line {line}: {next(iter(entry.values()))[:70]!r}")
    return "\n".join(parts) + "\n", undecided


def _prose(document: Document, units: list[_Unit]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield [[prose]] entries for the sentences that ask for something, each text once."""
    told: set[str] = set()
    own = {unit.line for unit in units}
    for piece in pieces(document):
        words = piece.kind == "prose" or (piece.kind == "item" and piece.line not in own)
        if not words or not piece.text or piece.text in told:
            continue
        told.add(piece.text)
        commands = commands_in(piece.text)
        ends = not any(_stays(command) for command in commands)
        if commands and ends and not any("<" in command for command in commands):
            yield piece.line, {"says": piece.text, "perform": commands}
        else:
            reason = f"{LEFT}: the commands that do it, or why there are none"
            yield piece.line, {"says": piece.text, "reason": reason}


def _stays(command: str) -> bool:
    entry = Typed(Block("fence", command, 1))
    return any(blocking(call) for call in calls(entry))


def _blocks(document: Document) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield [[block]] entries for the blocks of code that are not typed."""
    told: set[str] = set()
    lead = ""
    for block in document.blocks:
        if block.kind != "fence":
            lead = block.text if block.kind in ("item", "paragraph") else ""
            continue
        begins = next((row.strip() for row in block.text.split("\n") if row.strip()), "")
        if is_typed(block) or not begins or _is_output(document, block) or begins in told:
            continue
        told.add(begins)
        file = re.findall(r"`([\w./~-]*(?:/[\w.-]+|\.\w{1,10}))`", lead)
        if file:
            path = file[-1]
            entry = {"begins": begins, "file": path if path[0] in "/~" else f"~/{path}"}
        else:
            reason = f"{LEFT}: the file that it is the text of (file = ...), or what it shows"
            entry = {"begins": begins, "reason": reason}
        yield block.line, entry


def _points(number: int) -> list[int]:
    """Return points for this many steps: whole numbers that add up to 100."""
    each, more = divmod(100, number)
    return [each + (place < more) for place in range(number)]


def _title(unit: _Unit) -> str:
    first = re.split(r"(?<=[.!?:])\s", " ".join(unit.text.split()))[0].rstrip(" .:")
    return first[:100] or unit.id


def _pairs(table: dict[str, Any]) -> list[str]:
    """Return keys and values as lines of TOML; its strings and lists are written as in JSON."""
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
