"""Rules about headings, numbers, links and fences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.lab.instructions import SESSIONS, SHELLS, begins_a_command
from labwright.lab.shell import typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Block

_PART = re.compile(r"\((\d+)/(\d+)\)(:?)")
_NAMED = re.compile(r"""(?:\b(?:id|name)=["']?|\{\s*#)([\w.:-]+)""")
_REFERENCE = re.compile(r"\[([^\]\n]+)\]\[([^\]\n]*)\]")
_DEFINED = re.compile(r" {0,3}\[([^\]]+)\]:")
_TABLE = re.compile(r"[A-Z][A-Z0-9 _()%/-]{2,}\s{2,}[A-Z]|[A-Z][a-z]+( [a-z]+)+[.:]?$")
"""The header of a table, or a sentence, that a program prints."""
_BY_ANALOGY = re.compile(
    r"\b(?:modify|change|adapt|adjust|edit|repeat|reuse)\b[^.]*\b(?:previous|above|last|same|"
    r"first|earlier)\b[^.]*\bcommand|\b(?:in )?the same way\b|\blikewise\b",
    re.IGNORECASE,
)


def _skipped_heading(reading: Reading) -> Iterator[Problem]:
    levels = [block.level for block in reading.document.blocks if block.kind == "heading"]
    # Without a first level, a site generator makes it from the title in the front matter.
    last = min(levels, default=1) - 1
    for block in reading.document.blocks:
        if block.kind != "heading":
            continue
        if block.level > last + 1:
            said = f"level {last}" if last else "nothing"
            yield Problem(
                block.line,
                1,
                f"a heading of level {block.level} follows {said}",
                f"write {'#' * (last + 1)} {block.text}",
            )
        last = block.level


def _numbering(reading: Reading) -> Iterator[Problem]:
    """Check the numbers of the items of each section, at each depth of lists.

    ``1. 1. 1.`` is correct: a browser counts by itself. After a paragraph, a new list may begin.
    """
    last: dict[int, Block] = {}
    between: dict[int, bool] = {}
    for block in reading.document.blocks:
        if block.kind == "heading":
            last = {}
        elif block.kind == "paragraph":
            between = dict.fromkeys(last, True) if not block.level else between
        elif block.kind == "item":
            last = {depth: item for depth, item in last.items() if depth <= block.level}
            before = last.get(block.level)
            last[block.level] = block
            afresh = between.pop(block.level, False) and block.number == 1
            if before is None or afresh:
                continue
            expected = before.number + 1
            counted = before.list == block.list and before.number == block.number == 1
            if counted or block.number == expected:
                continue
            how = "restarts" if block.number == 1 else "jumps"
            yield Problem(
                block.line,
                1,
                f"the numbering {how}: this is item {block.number}, after {expected - 1}",
                f"number it {expected}, or begin a new section",
            )


def _parts(reading: Reading) -> Iterator[Problem]:
    found = [
        (block, match)
        for block in reading.document.blocks
        if block.kind == "heading" and (match := _PART.search(block.text))
    ]
    marks = [match[3] for _, match in found]
    usual = max(sorted(set(marks)), key=marks.count, default="")
    for number, (block, match) in enumerate(found, 1):
        right = f"({number}/{len(found)})"
        line, column = block.place(match.start())
        if match[0].rstrip(":") != right:
            yield Problem(
                line,
                column,
                f"this is part {number} of {len(found)}, but is called {match[0].rstrip(':')}",
                f"write {right}",
            )
        if match[3] != usual:
            yield Problem(
                line,
                column,
                "the heading of this part has another form than the others",
                f"write {right}{usual}",
            )


def _links(reading: Reading) -> Iterator[Problem]:
    document = reading.document
    anchors = {_anchor(block.text) for block in document.blocks if block.kind == "heading"}
    anchors |= {match[1].lower() for line in document.source for match in _NAMED.finditer(line)}
    defined = {match[1].lower() for line in document.source if (match := _DEFINED.match(line))}
    for block in reading.prose:
        for target, line in block.links:
            parts = urlsplit(target)
            path = document.path.parent / unquote(parts.path)
            if "{" in unquote(target) or parts.path.startswith("/") or ".html" in parts.path:
                continue  # relative to the root of a site, which is not known here
            if parts.scheme or parts.netloc:
                wrong = parts.scheme in ("http", "https") and not parts.hostname
            elif parts.path:
                wrong = not path.exists()
            else:
                wrong = unquote(parts.fragment).lower() not in anchors
            if wrong:
                column = document.source[line - 1].find(target) + 1
                yield Problem(
                    line, max(1, column), f"{target} does not exist", "correct it, or remove it"
                )
        for match in _REFERENCE.finditer(_without_code(block.text)):
            if (match[2] or match[1]).lower() in defined:
                continue
            yield Problem(
                *block.place(match.start()),
                f"{match[0]} refers to a link that is not defined",
                "define it, or write the address in the link",
            )


def _without_code(text: str) -> str:
    return re.sub(r"(`+)(.+?)\1", lambda code: "0" * len(code[0]), text, flags=re.DOTALL)


def _anchor(heading: str) -> str:
    """Return the anchor that code hosts give to a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return plain.strip().replace(" ", "-")


def _language(reading: Reading) -> Iterator[Problem]:
    for block in reading.document.blocks:
        if block.kind == "fence" and not block.language:
            yield Problem(
                max(1, block.line - 1),
                1,
                "this block of code names no language",
                "write ```console where it shows a terminal, ```sh where it is to be typed, "
                "```text where it is output",
            )


def _output(reading: Reading) -> Iterator[Problem]:
    """Find output in a block that readers will copy as a whole."""
    for entry in typed(reading.document):
        block = entry.block
        if block.language in SESSIONS or entry.prompted:
            continue
        for number, line in enumerate(block.text.split("\n")):
            elided = re.search(r"(?:^|\s)\.\.\.(?:\s|$)", line) and "#" not in line
            if elided or (number == 0 and _TABLE.match(line) and not begins_a_command(line)):
                yield Problem(
                    block.line + number,
                    block.columns[number] + 1,
                    "this block mixes output with commands",
                    "write ```console, and a prompt ($) before each command",
                )
                break


def _not_shown(reading: Reading) -> Iterator[Problem]:
    """Find an item that describes a command instead of showing it."""
    blocks = reading.document.blocks
    for number, block in enumerate(blocks):
        match = _BY_ANALOGY.search(block.text) if block.kind == "item" else None
        if not match:
            continue
        following = blocks[number + 1 : number + 3]
        if not any(b.kind == "fence" and b.language in SHELLS for b in following):
            yield Problem(
                *block.place(match.start()),
                "the command is described, but not shown",
                "write the whole command, so that readers can copy it and the gate can try it",
            )


RULES = (
    Rule(
        "skipped-heading",
        "The outline, which screen readers use, shows a section that does not exist.",
        _skipped_heading,
    ),
    Rule(
        "numbering",
        "'Go back to step 2' leads to the wrong step.",
        _numbering,
    ),
    Rule(
        "part-count",
        "The reader looks for a part that does not exist, or stops too early.",
        _parts,
    ),
    Rule(
        "broken-link",
        "The link leads nowhere. (Addresses on the web are not tested.)",
        _links,
    ),
    Rule(
        "fence-language",
        "Neither a highlighter nor a reader can distinguish commands from output.",
        _language,
    ),
    Rule(
        "output-among-commands",
        "A reader who copies the block runs the output as commands.",
        _output,
    ),
    Rule(
        "command-not-shown",
        "Every reader guesses which parts must change, and some forget one.",
        _not_shown,
    ),
)
