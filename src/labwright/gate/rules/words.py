"""Rules about words: a spell checker, and names written as they are."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.host import extras

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spellchecker import SpellChecker

    from labwright.lab.document import Block

LIST = "words.txt"
"""Beside a document: words that it may use, one a line or several. One with a capital
letter is a name, which is written just so."""
_WORD = re.compile(r"[A-Za-z][A-Za-z_]*(?:['\u2019][A-Za-z]+)?")
_HIDDEN = re.compile(
    r"(`+).+?\1|\]\([^)]*\)|<?https?://\S+|\]\[[^\]]*\]|&\w+;|\b\w*\d\w*\b|\$\{?\w+", re.DOTALL
)


def words_of(path: Path) -> frozenset[str]:
    """Return the words that documents in a folder may use beyond the dictionary's."""
    own = path / LIST
    texts = [resources.files("labwright.gate.rules").joinpath(LIST).read_text(encoding="utf-8")]
    if own.is_file():
        texts.append(own.read_text(encoding="utf-8"))
    lines = (line.partition("#")[0] for text in texts for line in text.splitlines())
    return frozenset(word for line in lines for word in line.split())


@cache
def _dictionary() -> SpellChecker:
    extras.require("spellchecker", "the gate's spelling rule")
    from spellchecker import SpellChecker

    # One letter off finds nearly all slips; two would take seconds for a long word.
    return SpellChecker(language="en", distance=1)


def _spoken(block: Block) -> Iterator[re.Match[str]]:
    """Yield the words of a block that are prose."""
    hidden = _HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), block.text)
    return _WORD.finditer(hidden)


def _stem(word: str) -> str:
    return re.sub(r"['\u2019]s?$|['\u2019]s$", "", word)


def _spelling(reading: Reading) -> Iterator[Problem]:
    known = {word.lower() for word in words_of(reading.document.path.parent)}
    for block in reading.prose:
        for match in _spoken(block):
            word = _stem(match[0])
            odd = "_" in word or word.isupper() or not word[1:].islower()
            if odd or len(word) < 3 or word.lower() in known or _is_word(word.lower()):
                continue
            if word.lower().endswith("s") and word.lower()[:-1] in known:
                continue
            likely = _dictionary().correction(word.lower())
            offered = f"write {likely}" if likely and likely != word.lower() else ""
            yield Problem(
                *block.place(match.start()),
                f"{word} is not a word of the dictionary",
                f"{offered or 'correct it'}, or add it to {LIST} beside the document",
            )


def _is_word(word: str) -> bool:
    """Whether a word is in the dictionary, which has few plurals and contractions."""
    plain = word.replace("\u2019", "'")
    singular = re.sub(r"(?<=[^s])s$", "", plain)
    return bool(_dictionary().known([plain, singular]))


def _names(reading: Reading) -> Iterator[Problem]:
    names = {
        _flat(word): word for word in words_of(reading.document.path.parent) if word != word.lower()
    }
    for block in reading.prose:
        for match in _spoken(block):
            word = _stem(match[0])
            name = names.get(_flat(word))
            if name and word != name:
                yield Problem(
                    *block.place(match.start()),
                    f"{word} is written {name}",
                    f"write {name}, or `{word}` if it is what is typed",
                )


def _flat(word: str) -> str:
    return word.lower().replace("_", "")


def _doubled(reading: Reading) -> Iterator[Problem]:
    for block in reading.prose:
        last: re.Match[str] | None = None
        for match in _spoken(block):
            if last and last[0].lower() == match[0].lower():
                between = block.text[last.end() : match.start()]
                if not between.strip() and match[0].lower() not in ("had", "that"):
                    yield Problem(
                        *block.place(match.start()), f"{match[0]} stands twice", "remove one"
                    )
            last = match


RULES = (
    Rule("spelling", "It makes the reader doubt the rest.", _spelling),
    Rule("name", "A reader who searches for the name does not find it.", _names),
    Rule("doubled-word", "It makes the reader doubt the rest.", _doubled),
)
