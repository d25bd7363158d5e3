"""Makes text from outside harmless for the place where it is shown.

What a target, a document or a file says may hold anything: escape sequences of a terminal,
marks that reverse the direction of text, HTML, links, formulas of a spreadsheet. Everything
that a person or another program is shown passes through one of these functions:

============================  ===================================================
:func:`visible`, :func:`line`  a terminal, XML; and first, before any of the others
:func:`html`                   HTML (Jinja2 escapes in templates; ``visible`` comes first there)
:func:`markdown`               Markdown as GitHub shows it
:func:`csv_cell`               a cell of CSV, which a spreadsheet opens
:func:`github`                 a command of GitHub Actions, such as ``::error::``
:func:`escape_surrogates`      UTF-8, where the text is kept as it is otherwise
============================  ===================================================
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

_NOT_PLAIN = re.compile(r"[^\n\t -~]")
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Scripts such as Persian and Hindi are spelled with these two.
_JOINERS = frozenset("\u200c\u200d")
_MARKUP = re.compile(r"[&<>|`*_~\[\]\\$@#!:]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escape_surrogates(text: str) -> str:
    """Return the text with halves of surrogate pairs spelled out, as ``\\ud800``.

    A target can put them into JSON. UTF-8 cannot hold them, and one of them would end
    the program that writes the text to a file or a pipe.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    """Return the text with everything invisible spelled out.

    Terminal escapes, nulls, marks that reverse the direction of text and halves of
    surrogate pairs are written as in a Python string, ``\\x1b``: they are neither obeyed nor
    hidden. Line ends become ``\\n``. The result is legal in XML 1.0.
    """
    return _NOT_PLAIN.sub(_spelled, text.replace("\r\n", "\n"))


def _spelled(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    # XML 1.0 has no U+FFFE and U+FFFF, though Unicode lets them be interchanged.
    odd = unicodedata.category(character) in _ESCAPED or code & 0xFFFE == 0xFFFE
    if not odd or character in _JOINERS:
        return character
    if code <= 0xFF:
        return "\\r" if character == "\r" else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def line(text: str, limit: int = 0) -> str:
    """Return the visible text on one line; with a limit, at most that many characters."""
    joined = " ".join(visible(text).split())
    return joined if not limit or len(joined) <= limit else joined[: limit - 1] + "\u2026"


def excerpt(text: str, limit: int, rest: str = "score.json has them") -> str:
    """Return the visible text, its middle left out where it is longer than the limit.

    :param limit: characters kept, two thirds of them from the beginning.
    :param rest: where the characters are that are left out.
    """
    left_out = len(text) - limit
    if left_out <= 0:
        return visible(text)
    head = limit * 2 // 3
    cut = f"\n\u2026 {left_out:,} characters left out here; {rest} \u2026\n"
    return visible(text[:head]) + cut + visible(text[head + left_out :])


def html(text: str) -> str:
    """Return the visible text for HTML, also within an attribute's quotes."""
    return escape(visible(text))


def markdown(text: str, limit: int = 0) -> str:
    """Return a text as one line that Markdown shows as it is.

    It neither ends a table's cell nor becomes a link, an image, HTML or a mention.
    """
    short = line(text, limit)
    short = _MARKUP.sub(lambda match: _entities(match[0]), short)
    # Without its full stop, www.example.org is made no link.
    short = re.sub(r"(?i)\b(www)\.", r"\1&#46;", short)
    # GitHub looks for mentions and references in what is shown: a space of no width ends them.
    short = re.sub(r"(?<!\w)(&#64;)(?=\w)|(&#35;)(?=\d)", r"\1\2&#8203;", short)
    # What begins a list, a heading or a rule of its own at the beginning of a line.
    return re.sub(r"^[-+=]|^\d+(?=[.)])", lambda match: _entities(match[0]), short)


def _entities(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def markdown_block(text: str, language: str = "", indent: str = "") -> list[str]:
    """Return the lines of a fenced block that shows a text as it is.

    :param indent: before each line, where the block belongs to an item of a list.
    """
    longest = max((len(run) for run in re.findall("~{3,}", text)), default=2)
    fence = "~" * (longest + 1)
    return [f"{indent}{row}" for row in (fence + language, *visible(text).splitlines(), fence)]


def csv_cell(text: str) -> str:
    """Return a text for a cell of CSV: on one line, and never a formula."""
    shown = line(text)
    if _NUMBER.fullmatch(shown):  # below 0, too
        return shown
    return f"'{shown}" if is_formula(text) or is_formula(shown) else shown


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would run a cell of this text."""
    return text.startswith(_FORMULA)


def github(text: str, *, attribute: bool = False) -> str:
    """Return a text for a command of GitHub Actions, whose line it cannot end.

    :param attribute: whether it stands before ``::``, as a file's name does.
    """
    for character in "%\r\n" + (":," if attribute else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)
