"""Holds what a command printed against what the document shows for it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ELLIPSIS = "..."
"""Stands for any lines on a line of its own, and for any text within one."""
SHOWN_LINES = 60
"""Of either side in a difference; comparing thousands of lines with thousands takes minutes."""
_READINGS = 16
"""How many readings of the values that vary are followed at once. Where one value could be
read in more places than that, the first ones count."""
_VARYING = (
    r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b",  # an id of Docker's
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\b",  # HTTP's date
)
"""What is another one each time: any other of its kind will do."""

Values = tuple[tuple[str, str], ...]
"""Values of the document, each with the one that this machine has in its place."""


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
        """The document's values that are others on this machine."""
        return {shown: value for shown, value in self._values.items() if shown != value}

    def substitute(self, text: str) -> str:
        """Return a text of the document with this machine's values."""
        if not self._values:
            return text
        either = "|".join(
            rf"(?<![\w.]){re.escape(shown)}(?![\w]|\.\w)"
            for shown in sorted(self._values, key=len, reverse=True)
        )
        return re.sub(either, lambda match: self._values[match[0]], text)

    def differs(self, shown: str, printed: str) -> str:
        """Return the difference between what is shown and what was printed; empty if none.

        Values that are seen for the first time are kept.
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
        """Return the values that the machine shows if it shows what is wanted, else None.

        For each line that is wanted it is noted how many lines of the output can be used up
        by then, and with which values: so the time is that of comparing each with each.
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
    """Return what can be reached when any number of lines is skipped from there."""
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
        """The line cut into ``any``, ``value``, ``form`` and ``text``, each with its content."""
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
        """Return the values with those that a line shows, if it is as this one, else None."""
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
        """Return the line as an expression, and the value that each of its groups is.

        What stands between two ``...`` is looked for once, at its first place: an atomic
        group, without which the time would grow with each ``...`` by the line's length.
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
