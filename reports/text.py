"""Text for people: what the target wrote made harmless, and numbers made readable."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

_NOT_PLAIN = re.compile(r"[^\n\t -~]")
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Scripts such as Persian and Hindi are spelled with these two.
_JOINERS = frozenset("\u200c\u200d")


def visible(text: str) -> str:
    """Return the text with everything invisible spelled out.

    Terminal escapes, nulls, marks that reverse the direction of text and halves of
    surrogate pairs are written as in a Python string, ``\\x1b``: a report must neither obey
    them nor hide them. Line ends become ``\\n``. The result is legal in XML 1.0.
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


def excerpt(text: str, limit: int) -> str:
    """Return the visible text, its middle left out where it is longer than the limit.

    :param limit: characters kept, two thirds of them from the beginning.
    """
    left_out = len(text) - limit
    if left_out <= 0:
        return visible(text)
    head = limit * 2 // 3
    cut = f"\n\u2026 {left_out:,} characters left out here; score.json has them \u2026\n"
    return visible(text[:head]) + cut + visible(text[head + left_out :])


def number(value: float) -> str:
    """Return a number of points without a needless fraction: 5, 2.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it: 40 ms, 6.1 s, 2 min 05 s."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(iso: str) -> datetime | None:
    """Return the time that an ISO 8601 string names, or None where it names none."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def when(iso: str) -> str:
    """Return a time as people read it, in UTC, or the text itself where it is no time."""
    time = moment(iso)
    return f"{time.astimezone(UTC):%-d %B %Y, %H:%M:%S} UTC" if time else line(iso, 40)


def between(started: str, finished: str) -> str:
    """Return how long it took, or nothing where either is no time."""
    start, end = moment(started), moment(finished)
    return duration((end - start).total_seconds()) if start and end else ""


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 step, 2 steps."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(words: list[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
