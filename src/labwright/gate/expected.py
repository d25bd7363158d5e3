"""Compares a command's output with the output that the document shows."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ELLIPSIS = "..."
"""On its own line it matches any lines; within a line, any text."""
SHOWN_LINES = 60
"""Maximum lines of each side of a difference: comparing thousands of lines takes minutes."""
_READINGS = 16
"""Maximum number of possible readings of the varying values that are followed at once. If there
are more, the first ones are used."""
_VARYING = (
    r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b",  # a Docker id
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\b",  # HTTP's date
)
"""Texts that differ each time: any other text of the same form matches."""

Values = tuple[tuple[str, str], ...]
"""Values of the document, each with this machine's value."""


class Varying:
    """Values that differ from machine to machine, and what they are on this one.

    Where the document shows one in a command's output, the machine may show another one
    of the same form: then that is what the student writes from there on.
    """

    def __init__(self, forms: Mapping[str, str]) -> None:
        self._forms = dict(forms)
        self._values: dict[str, str] = {}

    @property
    def known(self) -> dict[str, str]:
        """The document's values that differ on this machine, with the machine's values."""
        return {shown: value for shown, value in self._values.items() if shown != value}

    def substitute(self, text: str) -> str:
        """Replace the document's values in a text by this machine's values."""
        if not self._values:
            return text
        either = "|".join(
            rf"(?<![\w.]){re.escape(shown)}(?![\w]|\.\w)"
            for shown in sorted(self._values, key=len, reverse=True)
        )
        return re.sub(either, lambda match: self._values[match[0]], text)

    def differs(self, shown: str, printed: str) -> str:
        """Return the difference between the shown and the printed output; "" if there is none.

        Values that are seen for the first time are remembered.
        """
        wanted, got = _lines(shown), _lines(printed)
        values = self._match(wanted, got)
        if values is not None:
            self._values.update(values)
            return ""
        ours = [self.substitute(line) for line in wanted]
        rows = difflib.ndiff(_first(ours), _first(got))
        return "\n".join(row.rstrip() for row in rows if not row.startswith("?"))

    def _match(self, wanted: Sequence[str], got: Sequence[str]) -> Values | None:
        """Return the machine's values if the output matches, else None.

        For each wanted line, it keeps how many lines of output can be consumed up to it, and with
        which values. So each wanted line is compared with each line of output only once.
        """
        reached: dict[int, list[Values]] = {0: [tuple(self._values.items())]}
        for text in wanted:
            if text.strip() == ELLIPSIS:
                reached = _any_lines(reached, len(got))
                continue
            line = _Line(text, self._forms)
            following: dict[int, list[Values]] = {}
            for used, readings in reached.items():
                if used < len(got):
                    seen = [line.match(got[used], values) for values in readings]
                    fitting = _distinct(values for values in seen if values is not None)
                    if fitting:
                        following[used + 1] = fitting
            reached = following
        readings = reached.get(len(got), [])
        return readings[0] if readings else None


def _any_lines(reached: Mapping[int, list[Values]], end: int) -> dict[int, list[Values]]:
    """Return the states that are reached by skipping any number of lines."""
    skipped: dict[int, list[Values]] = {}
    readings: list[Values] = []
    for used in range(min(reached, default=end + 1), end + 1):
        readings = _distinct([*readings, *reached.get(used, [])])
        skipped[used] = readings
    return skipped


def _distinct(readings: Iterator[Values] | list[Values]) -> list[Values]:
    return list(dict.fromkeys(readings))[:_READINGS]


@dataclass(frozen=True)
class _Line:
    """A line of the document's output, as a pattern."""

    text: str
    forms: Mapping[str, str]

    @cached_property
    def _pieces(self) -> list[tuple[str, str]]:
        """The line's parts: ``any``, ``value``, ``form`` or ``text``, each with its content."""
        either = "|".join(
            [re.escape(shown) for shown in sorted(self.forms, key=len, reverse=True)]
            + [re.escape(ELLIPSIS)]
            + [f"(?:{form})" for form in _VARYING]
        )
        found, at = list[tuple[str, str]](), 0
        for match in re.finditer(either, self.text):
            found.append(("text", self.text[at : match.start()]))
            at = match.end()
            if match[0] == ELLIPSIS:
                found.append(("any", ""))
            elif match[0] in self.forms:
                found.append(("value", match[0]))
            else:
                form = next(form for form in _VARYING if re.fullmatch(form, match[0]))
                found.append(("form", form))
        return [*found, ("text", self.text[at:])]

    @cached_property
    def _patterns(self) -> dict[Values, tuple[re.Pattern[str], tuple[str, ...]]]:
        return {}

    def match(self, got: str, values: Values) -> Values | None:
        """Return the values, extended by those in a line, if the line matches; else None."""
        known = dict(values)
        own = tuple((kind, known[kind]) for tag, kind in self._pieces if known.get(kind))
        if own not in self._patterns:
            self._patterns[own] = self._pattern(dict(own))
        pattern, names = self._patterns[own]
        found = pattern.fullmatch(got)
        if not found:
            return None
        return (*values, *zip(names, found.groups(), strict=True))

    def _pattern(self, known: Mapping[str, str]) -> tuple[re.Pattern[str], tuple[str, ...]]:
        """Return the line as a regular expression, and the value of each of its groups.

        The text between two ``...`` is searched once, at its first place, with an atomic group.
        Otherwise each ``...`` would multiply the time by the line's length.
        """
        parts, names = [""], list[str]()
        for kind, content in self._pieces:
            if kind == "any":
                parts.append("")
            elif kind == "value" and content in known:
                parts[-1] += re.escape(known[content])
            elif kind == "value" and content in names:
                parts[-1] += f"(?P=v{names.index(content)})"
            elif kind == "value":
                parts[-1] += f"(?P<v{len(names)}>{self.forms[content]})"
                names.append(content)
            else:
                parts[-1] += f"(?:{content})" if kind == "form" else re.escape(content)
        first, *rest = parts
        inner = "".join(f"(?>.*?{part})" for part in rest[:-1])
        last = f".*{rest[-1]}" if rest else ""
        return re.compile(first + inner + last), tuple(names)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN_LINES
    return lines if more <= 0 else [*lines[:SHOWN_LINES], f"({more} more lines)"]


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r", "").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
