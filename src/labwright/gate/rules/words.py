"""Rules about words: spelling, the spelling of names, and doubled words."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.host import extras
from labwright.lab.prose import programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from spellchecker import SpellChecker

    from labwright.lab.document import Block

LIST = "words.txt"
"""A file beside a document with extra words, separated by spaces or lines. A word with a capital
letter is a name, which must be written exactly so."""
_WORD = re.compile(r"[^\W\d_](?:[^\W\d]|_)*(?:['\u2019][^\W\d_]+)?")
_HIDDEN = re.compile(
    r"(`+).+?\1|\]\([^)]*\)|<?https?://\S+|\]\[[^\]]*\]|&\w+;|\b\w*\d\w*\b|\$\{?\w+", re.DOTALL
)
_OFTEN = 3
"""A word that is used more often than this is a term, not a spelling mistake."""
_COMMON = 2e-7
"""The minimum frequency, in its language, of a word that is suggested."""
_BASE = {
    "es": ("ar", "er", "ir", "o", "a", "e", "os", "as", "es", ""),
    "pt": ("ar", "er", "ir", "o", "a", "e", "os", "as", "es", "ão", ""),
    "it": ("are", "ere", "ire", "o", "a", "e", "i", ""),
    "fr": ("er", "ir", "re", "e", "é", "és", "ée", ""),
}
_INFLECTED = {
    "es": tuple(
        """
        o a e as es os an en amos emos imos ado ada ados adas ido ida idos idas ando iendo ará erá
        irá arán erán irán aré eré iré aría ería iría arían aba aban ía ían aste iste ó ió aron
        ieron ar er ir arlo arla arlos arlas erlo erla irlo arse erse irse arle ase ara aran iera
        ieran mente ción ciones dor dora dores emos anos
        """.split()
    ),
    "pt": tuple(
        """
        o a e as es os am em amos emos imos ado ada ados adas ido ida idos idas ando endo indo ará
        erá irá arão erão irão aria eria iria ava avam ia iam ou eu iu aram eram ar er ir ar-se
        mente ção ções dor dora dores ões
        """.split()
    ),
    "it": tuple(
        """
        o a e i ano ono iamo ate ete ite ato ata ati ate uto uta uti ute ito ita iti ite ando endo
        erà irà eranno iranno erò erai ava avano eva evano ò arono are ere ire arlo arla arli arle
        erlo erla erli irlo arsi ersi irsi ando mente zione zioni tore tori trice
        """.split()
    ),
    "fr": tuple(
        """
        e es ent er ez ons é ée és ées ant era erez eront erons ais ait aient ai a ir is it issez
        issent ira irez re s x ement tion tions eur eurs able ables
        """.split()
    ),
}
"""Endings of inflected forms; a dictionary has the word with another ending."""
LANGUAGES = ("en", "de", "es", "fr", "it", "pt")
"""The languages that the spell checker supports."""
_JOINTS = ("-", "/", ".", "@", ":", "_", "\\", "~", "#", "+", "=", "$", "<", "\u2011")
_ENDINGS = (
    *(("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("d", ""), ("ing", "")),
    *(("ing", "e"), ("er", ""), ("er", "e"), ("ers", ""), ("ers", "e"), ("able", ""), ("ly", "")),
    *(("able", "e"), ("less", ""), ("ness", ""), ("ization", "ize"), ("ise", "ize"), ("ity", "")),
)
_BEGINNINGS = (
    "un",
    "re",
    "de",
    "non",
    "multi",
    "sub",
    "pre",
    "auto",
    "micro",
    "over",
    "super",
    "mis",
)
_BRITISH = (
    *(("is", "iz"), ("our", "or"), ("lled", "led"), ("lling", "ling"), ("tre", "ter")),
    *(("ogue", "og"), ("ys", "yz"), ("ence", "ense")),
)
_COMMANDS = re.compile(
    r"[*\"']|\s+(?:run|attach|manifest|build|pull|push|ps|logs|exec|compose|swarm|stack|inspect|tag|"
    r"login|start|stop|rm|rmi|info|cp)\b"
)
_SPARED = frozenset(
    """
    bash git python nginx ip ssh json yaml linux ubuntu debian fedora apache mysql postgresql
    podman ansible wireshark github url cpu http https dns api tcp udp tls cli
    """.split()
)
"""Names that are often written in lower case, since programs have these names."""


def words_of(path: Path | None) -> frozenset[str]:
    """Return the extra words for documents in a folder.

    :param path: None for the words that all documents may use.
    """
    own = path / LIST if path else None
    texts = [resources.files("labwright.gate.rules").joinpath(LIST).read_text(encoding="utf-8")]
    if own and own.is_file():
        texts.append(own.read_text(encoding="utf-8"))
    lines = (line.partition("#")[0] for text in texts for line in text.splitlines())
    return frozenset(word for line in lines for word in line.split())


@cache
def _dictionary(language: str) -> SpellChecker:
    extras.require("spellchecker", "the gate's spelling rule")
    from spellchecker import SpellChecker

    # A distance of one letter finds nearly all mistakes; two would take seconds for long words.
    return SpellChecker(language=language, distance=1)


def _hidden(text: str) -> list[str]:
    return [match[0] for match in _HIDDEN.finditer(text)]


def _spoken(block: Block) -> Iterator[re.Match[str]]:
    """Yield the words in the prose of a block."""
    hidden = _HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), block.text)
    return _WORD.finditer(hidden)


def _stem(word: str) -> str:
    return re.sub(r"['\u2019]s?$|['\u2019]s$", "", word)


def _spelling(reading: Reading) -> Iterator[Problem]:
    """Find probable spelling mistakes: words that are one letter away from a common word.

    A word that resembles no common word is a name or a term that the dictionary lacks. The same
    holds for words in the document's commands, and for words that it uses often.
    """
    language = reading.document.language
    if language not in LANGUAGES:
        return
    known = {word.lower() for word in words_of(reading.document.path.parent)}
    found = [(block, match) for block in reading.prose for match in _spoken(block)]
    usual = Counter(_stem(match[0]).lower() for _, match in found)
    typed = _in_code(reading)
    strange = {id(block) for block in reading.prose if _is_in_another_language(block, language)}
    for block, match in found:
        word = _stem(match[0])
        low = word.lower()
        odd = "_" in word or word.isupper() or not word[1:].islower() or _is_part(block, match)
        if odd or len(word) < 5 or low in known or usual[low] > _OFTEN or low in typed:
            continue
        if low in programs() or id(block) in strange:
            continue
        if word != low and (language == "de" or not _begins_a_sentence(block, match)):
            continue  # a name, or in German a noun
        likely = "" if _is_word(low, known, language) else _slip_of(low, language)
        if likely:
            yield Problem(
                *block.place(match.start()),
                f"{word} is not a word of the dictionary",
                f"write {likely}, or add it to {LIST} beside the document",
            )


def _is_in_another_language(block: Block, language: str) -> bool:
    """Whether most words of a block are in another language than the document."""
    words = [match[0].lower() for match in _spoken(block) if match[0].islower()]
    unknown = [word for word in words if not _is_native(word, language)]
    return len(words) > 1 and len(unknown) * 2 >= len(words)


def _is_native(word: str, language: str) -> bool:
    return bool(_dictionary(language).known([word])) or _is_inflected(word, language)


def _in_code(reading: Reading) -> set[str]:
    """Return the words of the document's code, file names and addresses."""
    found = set[str]()
    for block in reading.document.blocks:
        hidden = block.text if block.kind == "fence" else " ".join(_hidden(block.text))
        found |= {word.lower() for word in re.findall(r"[A-Za-z]+", hidden)}
    return found


def _is_part(block: Block, match: re.Match[str]) -> bool:
    """Whether a word is part of a path, a name with dashes, or an address."""
    before, after = block.text[: match.start()][-1:], block.text[match.end() :][:2]
    return before in _JOINTS or (after[:1] in _JOINTS and (after[:1] != "." or after[1:].isalnum()))


def _begins_a_sentence(block: Block, match: re.Match[str]) -> bool:
    return bool(re.search(r"(?:^|[.!?:|*_>\n-])[\s*_\"'(#>-]*$", block.text[: match.start()]))


def _slip_of(word: str, language: str) -> str:
    """Return the common word that was probably meant, or ""."""
    words = _dictionary(language)
    other = words.correction(word)
    if not other or other == word or words.word_usage_frequency(other) < _COMMON:
        return ""
    return str(other)


def _is_word(word: str, known: AbstractSet[str], language: str) -> bool:
    """Whether a word is known, or composed of known words, of which the dictionary has few."""

    def is_known(form: str) -> bool:
        return form in known or bool(_dictionary(language).known([form]))

    plain = word.replace("\u2019", "'")
    if is_known(plain) or "'" in plain:
        return True
    if language == "en":
        forms = [plain.removesuffix(end) + new for end, new in _ENDINGS if plain.endswith(end)]
        forms += [plain.removeprefix(start) for start in _BEGINNINGS if plain.startswith(start)]
        forms += [plain.replace(old, new) for old, new in _BRITISH if old in plain]
        if any(len(form) > 2 and is_known(form) for form in forms):
            return True
    elif _dictionary("en").known([plain]) or _is_inflected(plain, language):
        return True
    return any(is_known(plain[:cut]) and is_known(plain[cut:]) for cut in range(4, len(plain) - 3))


def _is_inflected(word: str, language: str) -> bool:
    """Whether a word is an inflected form of a known word; dictionaries lack most of these."""
    stems = _stems(language)
    ends = _INFLECTED.get(language, ())
    return any(word.endswith(end) and word.removesuffix(end) in stems for end in ends)


@cache
def _stems(language: str) -> frozenset[str]:
    words = _dictionary(language).word_frequency.dictionary
    ends = _BASE.get(language, ())
    return frozenset(word.removesuffix(end) for word in words for end in ends if word.endswith(end))


def _names(reading: Reading) -> Iterator[Problem]:
    folder = reading.document.path.parent
    own = {word for word in words_of(folder) if word != word.lower()}
    usual = {word for word in words_of(None) if word != word.lower()}
    names = {_flat(word): word for word in sorted(own)}
    written = {_stem(match[0]) for block in reading.prose for match in _spoken(block)}
    for block in reading.prose:
        for match in _spoken(block):
            word = _stem(match[0])
            name = names.get(_flat(word))
            if not name or word == name or _is_part(block, match):
                continue
            # A word in capitals, or one that is also a program's name, is often correct.
            spared = name in usual and (word.isupper() or word in _SPARED or "_" in word)
            if word == "docker" and _is_its_command(block, match):
                continue
            # Report lower case only if the document writes the name correctly elsewhere.
            spared = spared or (word.islower() and name in usual and name not in written)
            if not spared or name == "IPVS":
                yield Problem(
                    *block.place(match.start()),
                    f"{word} should be written {name}",
                    f"write {name}, or `{word}` if it is typed as a command",
                )


def _is_its_command(block: Block, match: re.Match[str]) -> bool:
    """Whether the program is meant: the word is quoted, or a subcommand follows."""
    around = block.text[: match.start()][-1:], block.text[match.end() :]
    return bool(around[0] in ("*", '"', "'", "[") or _COMMANDS.match(around[1]))


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
                        *block.place(match.start()), f"{match[0]} is written twice", "remove one"
                    )
            last = match


RULES = (
    Rule("spelling", "Mistakes make the reader doubt the rest.", _spelling),
    Rule("name", "A reader who searches for the name does not find it.", _names),
    Rule("doubled-word", "Mistakes make the reader doubt the rest.", _doubled),
)
