"""The second stage of the gate: which parts of the document do not work for people?

A wrong finding is suppressed by a comment with a reason: ``<!-- lint: ignore RULE: REASON -->``.
It applies up to the next step mark or heading; before the first heading, to the whole document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labwright.gate.findings import Finding
from labwright.gate.rules import commands, deprecated, structure, unmade, variables, words
from labwright.gate.rules.rule import Reading
from labwright.lab.document import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.gate.rules.rule import Problem, Rule
    from labwright.lab.document import Document

_RULES = (
    *variables.RULES,
    *commands.RULES,
    *deprecated.RULES,
    *unmade.RULES,
    *structure.RULES,
    *words.RULES,
)
RULES = {rule.name: rule for rule in _RULES}
"""All rules by name, in the order of the documentation."""
_SUPPRESSION = re.compile(r"<!--\s*lint:\s*(.*?)\s*-->", re.DOTALL)
_WELL_FORMED = re.compile(r"ignore\s+([a-z-]+)\s*:\s*(\S.*)", re.DOTALL)


@dataclass
class _Suppression:
    rule: str
    line: int
    first: int
    last: int
    used: bool = field(default=False)


def lint(document: Document, required: Sequence[Document] = ()) -> list[Finding]:
    """Run all rules on a document, and return the findings.

    :param required: documents that readers have done before: their files and containers exist.
    """
    reading = Reading(document, tuple(Reading(earlier) for earlier in required))
    suppressions, found = _suppressions(document)
    for rule in _RULES:
        told: dict[tuple[str, str], list[Problem]] = {}
        for problem in rule.find(reading):
            held = [s for s in suppressions if s.rule == rule.name and _covers(s, problem.line)]
            for suppression in held:
                suppression.used = True
            if not held:
                told.setdefault((problem.message, problem.suggestion), []).append(problem)
        found += [_finding(document, rule, problems) for problems in told.values()]
    found += [
        _about_suppression(
            document, s.line, f"nothing here breaks the rule {s.rule}", "remove the comment"
        )
        for s in suppressions
        if not s.used
    ]
    return sorted(set(found))


def _finding(document: Document, rule: Rule, problems: Sequence[Problem]) -> Finding:
    """Return one finding for equal problems, with all their lines."""
    first = min(problems, key=lambda problem: (problem.line, problem.column))
    lines = sorted({problem.line for problem in problems} - {first.line})
    shown = ", ".join(map(str, lines[:10])) + (", ..." if len(lines) > 10 else "")
    also = f" (also in line{'s' * (len(lines) > 1)} {shown})" if lines else ""
    return Finding(
        document.path,
        first.line,
        first.column,
        f"lint/{rule.name}",
        first.message + also,
        rule.why,
        first.suggestion,
    )


def _covers(suppression: _Suppression, line: int) -> bool:
    return suppression.first <= line <= suppression.last


def _suppressions(document: Document) -> tuple[list[_Suppression], list[Finding]]:
    found: list[_Suppression] = []
    wrong: list[Finding] = []
    for number, block in enumerate(document.blocks):
        if block.kind != "comment":
            continue
        for match in _SUPPRESSION.finditer(block.text):
            line = block.place(match.start())[0]
            said = _WELL_FORMED.fullmatch(match[1])
            if said and said[1] in RULES:
                last = _end(document, number)
                found.append(_Suppression(said[1], line, line, last))
            else:
                why = f"there is no rule {said[1]}" if said else "it names no rule, or no reason"
                wrong.append(
                    _about_suppression(
                        document, line, why, "write <!-- lint: ignore RULE: REASON -->"
                    )
                )
    return found, wrong


def _end(document: Document, number: int) -> int:
    """Return the last line to which a suppression in a block applies."""
    blocks = document.blocks
    if not any(block.kind == "heading" for block in blocks[:number]):
        return len(document.source)
    for block in blocks[number + 1 :]:
        marks = block.kind == "comment" and MARK.search(block.text)
        if block.kind == "heading" or marks:
            return block.line - 1
    return len(document.source)


def _about_suppression(document: Document, line: int, message: str, do: str) -> Finding:
    return Finding(
        document.path,
        line,
        1,
        "lint/suppression",
        f"this comment is not valid: {message}",
        "Nobody can tell later whether a suppression without a reason is still needed.",
        do,
    )
