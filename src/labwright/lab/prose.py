"""Sentences, and which of them ask their reader to do something.

A list of verbs and a few forms are no grammar. It errs towards finding an instruction: one
that is none is waived with a reason; one that is missed would never be performed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from labwright.lab import languages
from labwright.lab.languages import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.document import Block

# A stop ends a sentence where the next one begins like one; so does a blank cell.
_END = re.compile(r"(?<=[.!?])[\"')*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`-])")
_CLAUSE = re.compile(
    r"(?:[,;:(]|\s[-\u2013\u2014])\s+(?:and\s+|or\s+|but\s+)?|\bthen\s+|\band\s+then\s+"
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NO_SUBJECT = re.compile(
    r"\s+(?:is|are|was|were|has|had|will|would|can|could|may|might|must|should|does|did)\b"
)
"""After a verb that is also a noun: 'Test is ...' asks for nothing."""
_BELOW = re.compile(r"\b(?:following|below|this|these)\b|:\W*$", re.IGNORECASE)
"""A sentence that speaks of what stands below it."""
_AND = re.compile(r"\s+(?:and|or)\s+", re.IGNORECASE)
_BY_HAND = frozenset(
    """
    open wait press close click edit switch log reboot exit leave keep note remember repeat
    replace change hit go mind observe watch
    """.split()
)
"""What a command that stands below a sentence hardly does."""
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the document."""

    text: str
    """Its white space is single spaces, so that line breaks do not matter."""
    line: int
    asks: bool
    """Whether its reader is asked to do something."""


def sentences(block: Block, language: str = DEFAULT) -> Iterator[Sentence]:
    """Yield the sentences of a block of prose."""
    start = 0
    for end in [*(m.start() for m in _END.finditer(_hide_code(block.text))), len(block.text)]:
        raw = block.text[start:end]
        text = " ".join(raw.split())
        if text:
            first = start + len(raw) - len(raw.lstrip())
            yield Sentence(text, block.place(first)[0], asks(text, language))
        start = end


def asks(sentence: str, language: str = DEFAULT) -> bool:
    """Whether a sentence asks its reader to do something.

    In an unknown language that cannot be known; the gate says so.
    """
    if any(_is_command(code[2]) for code in _CODE.finditer(sentence)):
        return True
    spoken = languages.language(language)
    if spoken is None:
        return False
    bare = _hide_code(sentence)
    return bool(spoken.asked.search(bare) or next(_asking_verbs(bare, spoken), None))


def introduces(sentence: str, language: str = DEFAULT) -> bool:
    """Whether a sentence asks for no more than what stands below it does."""
    spoken = languages.language(language)
    if spoken is None or any(_is_command(code[2]) for code in _CODE.finditer(sentence)):
        return False
    bare = _hide_code(sentence)
    verbs = set(_asking_verbs(_AND.sub(", ", bare), spoken))
    return bool(_BELOW.search(bare)) and not verbs & _BY_HAND


def _asking_verbs(bare: str, spoken: languages.Language) -> Iterator[str]:
    """Yield the verbs with which a clause begins that asks for something."""
    for start in [0, *(match.end() for match in _CLAUSE.finditer(bare))]:
        opening = spoken.opening.match(bare, start)
        rest = bare[opening.end() if opening else start :]
        word = _WORD.match(rest)
        if word and word[0].lower() in spoken.verbs and not _NO_SUBJECT.match(rest[len(word[0]) :]):
            yield word[0].lower()


def commands_in(sentence: str) -> list[str]:
    """Return the commands that stand in a sentence, as code."""
    return [code[2] for code in _CODE.finditer(sentence) if _is_command(code[2])]


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
