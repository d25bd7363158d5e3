"""Sentences, and which of them ask their reader to do something.

A list of verbs and a few forms are no grammar. It errs towards finding an instruction: one
that is none is waived with a reason; one that is missed would be done by nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Block

# A stop ends a sentence where the next one begins like one; so does a blank cell.
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`-])")
_CLAUSE = re.compile(
    r"(?:[,;:(]|\s[-\u2013\u2014])\s+(?:and\s+|or\s+|but\s+)?|\bthen\s+|\band\s+then\s+"
)
_OPENING = re.compile(
    r"(?:\W|\b(?:and|or|but|so|then|now|next|first|second|third|lastly|last|finally|please|again|"
    r"also|afterwards|afterward|here|there|once more|simply|just|always|again|instead|"
    r"optionally|in turn|quickly|carefully|hint|note|tip|warning|important)\b)*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_NO_SUBJECT = re.compile(
    r"\s+(?:is|are|was|were|has|had|will|would|can|could|may|might|must|should|does|did)\b"
)
"""After a verb that is also a noun: 'Test is ...' asks for nothing."""
_ASKED = re.compile(
    r"\b(?:you|we)(?:'ll|\s+will|\s+also|\s+now|\s+then)*\s+(?:must|should|have\s+to|need\s+to|"
    r"needs?\s+to|ought\s+to|want\s+to|can\s+now|may\s+(?:now|also)|are\s+(?:asked|required|to)\b)|"
    r"\b(?:must|should|needs?\s+to|has\s+to|have\s+to)\s+be\s+\w+|"
    r"\b(?:do\s+not|don't|never|make\s+sure|be\s+sure|remember\s+to|let's|let\s+us|"
    r"it\s+is\s+(?:time|necessary)\s+to|the\s+next\s+step\s+is)\b|\boff\s+to\s+\w+",
    re.IGNORECASE,
)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the document."""

    text: str
    """Its white space is single spaces, so that lines can be broken anew."""
    line: int
    asks: bool
    """Whether its reader is asked to do something."""


def sentences(block: Block) -> Iterator[Sentence]:
    """Yield the sentences of a block of prose."""
    start = 0
    for end in [*(m.start() for m in _END.finditer(_hide_code(block.text))), len(block.text)]:
        raw = block.text[start:end]
        text = " ".join(raw.split())
        if text:
            first = start + len(raw) - len(raw.lstrip())
            yield Sentence(text, block.place(first)[0], asks(text))
        start = end


def asks(sentence: str) -> bool:
    """Whether a sentence asks its reader to do something."""
    if any(_is_command(code[2]) for code in _CODE.finditer(sentence)):
        return True
    bare = _hide_code(sentence)
    if _ASKED.search(bare):
        return True
    starts = [0, *(match.end() for match in _CLAUSE.finditer(bare))]
    return any(_begins_with_a_verb(bare[start:]) for start in starts)


def _begins_with_a_verb(clause: str) -> bool:
    opening = _OPENING.match(clause)
    rest = clause[opening.end() if opening else 0 :]
    word = _WORD.match(rest)
    return bool(
        word and word[0].lower() in _verbs() and not _NO_SUBJECT.match(rest[len(word[0]) :])
    )


def _is_command(code: str) -> bool:
    words = code.split()
    return len(words) > 1 and (words[0] in programs() or words[0].startswith("./"))


def _hide_code(text: str) -> str:
    """Return a text of the same length, its code and its HTML tags without words or stops."""
    text = _TAG.sub(lambda tag: re.sub(r"[^\n]", " ", tag[0]), text)
    return _CODE.sub(lambda code: re.sub(r"[^\n`]", "0", code[0]), text)


@cache
def programs() -> frozenset[str]:
    """Return the names of programs: what begins with one of them is something to type."""
    file = resources.files("labwright.lab").joinpath("programs.txt")
    lines = file.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


@cache
def _verbs() -> frozenset[str]:
    file = resources.files("labwright.lab").joinpath("imperatives.txt")
    return frozenset(file.read_text(encoding="utf-8").split())
