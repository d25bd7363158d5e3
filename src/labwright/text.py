"""Neutralises foreign text for the place where it is shown.

Text from a target, a document or a file can contain anything: terminal escape sequences, marks
that reverse the direction of text, HTML, links, spreadsheet formulas. All text that is shown to a
person or passed to another program goes through one of these functions:

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
# Persian, Hindi and other languages need these two.
_JOINERS = frozenset("\u200c\u200d")
_MARKUP = re.compile(r"[&<>|`*_~\[\]\\$@#!:]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escape_surrogates(text: str) -> str:
    """Return the text with halves of surrogate pairs written as escapes, such as ``\\ud800``.

    A target can send them in JSON. UTF-8 cannot encode them: writing one to a file or a pipe
    would raise an error.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    """Return the text with all invisible characters written as escapes.

    Terminal escapes, nulls, marks that reverse the direction of text and halves of surrogate
    pairs are written as in a Python string, such as ``\\x1b``: they have no effect and are visible.
    Line ends become ``\\n``. The result is valid in XML 1.0.
    """
    return _NOT_PLAIN.sub(_spelled, text.replace("\r\n", "\n"))


def _spelled(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    # XML 1.0 does not allow U+FFFE and U+FFFF, though Unicode does.
    odd = unicodedata.category(character) in _ESCAPED or code & 0xFFFE == 0xFFFE
    if not odd or character in _JOINERS:
        return character
    if code <= 0xFF:
        return "\\r" if character == "\r" else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def line(text: str, limit: int = 0) -> str:
    """Return the visible text on one line, optionally shortened to a number of characters."""
    joined = " ".join(visible(text).split())
    return joined if not limit or len(joined) <= limit else joined[: limit - 1] + "\u2026"


def excerpt(text: str, limit: int, rest: str = "score.json has them") -> str:
    """Return the visible text; if it is longer than the limit, its middle is left out.

    :param limit: characters kept, two thirds of them from the beginning.
    :param rest: a note where the whole text can be found.
    """
    left_out = len(text) - limit
    if left_out <= 0:
        return visible(text)
    head = limit * 2 // 3
    cut = f"\n\u2026 {left_out:,} characters left out here; {rest} \u2026\n"
    return visible(text[:head]) + cut + visible(text[head + left_out :])


def html(text: str) -> str:
    """Return the visible text escaped for HTML, also for use in a quoted attribute."""
    return escape(visible(text))


def markdown(text: str, limit: int = 0) -> str:
    """Return a text as one line of Markdown that is shown literally.

    It does not end a table cell, or become a link, an image, HTML or a mention.
    """
    short = line(text, limit)
    short = _MARKUP.sub(lambda match: _entities(match[0]), short)
    # Without its full stop, www.example.org does not become a link.
    short = re.sub(r"(?i)\b(www)\.", r"\1&#46;", short)
    # GitHub searches the shown text for mentions and references: a zero-width space prevents them.
    short = re.sub(r"(?<!\w)(&#64;)(?=\w)|(&#35;)(?=\d)", r"\1\2&#8203;", short)
    # Characters that begin a list, a heading or a rule at the beginning of a line.
    return re.sub(r"^[-+=]|^\d+(?=[.)])", lambda match: _entities(match[0]), short)


def _entities(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def markdown_block(text: str, language: str = "", indent: str = "") -> list[str]:
    """Return the lines of a fenced block that shows a text literally.

    :param indent: put before each line, if the block belongs to a list item.
    """
    longest = max((len(run) for run in re.findall("~{3,}", text)), default=2)
    fence = "~" * (longest + 1)
    return [f"{indent}{row}" for row in (fence + language, *visible(text).splitlines(), fence)]


def csv_cell(text: str) -> str:
    """Return a text for a cell of CSV: on one line, and never a formula."""
    shown = line(text)
    if _NUMBER.fullmatch(shown):  # also negative numbers
        return shown
    return f"'{shown}" if is_formula(text) or is_formula(shown) else shown


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would run this text as a formula."""
    return text.startswith(_FORMULA)


def github(text: str, *, attribute: bool = False) -> str:
    """Return a text escaped for a command of GitHub Actions, so that it cannot end the line.

    :param attribute: whether it is an attribute before ``::``, such as a file name.
    """
    for character in "%\r\n" + (":," if attribute else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)
