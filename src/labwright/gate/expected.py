"""Holds what a command printed against what the document shows for it."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ELLIPSIS = "..."
"""Stands for any lines on a line of its own, and for any text within one."""
_VARYING = (
    r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b",  # an id of Docker's
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    r"\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\b",  # HTTP's date
)
"""What is another one each time: any other of its kind will do."""


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
        captured: dict[str, str] = {}
        if self._match(wanted, got, captured):
            self._values.update(captured)
            return ""
        ours = [self.substitute(line) for line in wanted]
        rows = difflib.ndiff(ours, got)
        return "\n".join(row.rstrip() for row in rows if not row.startswith("?"))

    def _match(self, wanted: list[str], got: list[str], captured: dict[str, str]) -> bool:
        if not wanted:
            return not got
        if wanted[0].strip() == ELLIPSIS:
            return any(
                self._match(wanted[1:], got[skipped:], captured) for skipped in range(len(got) + 1)
            )
        if not got:
            return False
        seen = self._line(wanted[0], got[0], captured)
        if seen is None:
            return False
        tried = dict(captured) | seen
        if self._match(wanted[1:], got[1:], tried):
            captured.update(tried)
            return True
        return False

    def _line(self, wanted: str, got: str, captured: Mapping[str, str]) -> dict[str, str] | None:
        """Return the values that a line shows if it is as wanted, else None."""
        kinds = self._forms
        either = "|".join(
            [re.escape(shown) for shown in sorted(kinds, key=len, reverse=True)]
            + [re.escape(ELLIPSIS)]
            + [f"(?:{form})" for form in _VARYING]
        )
        pattern, names, at = "", list[str](), 0
        for match in re.finditer(either, wanted):
            pattern += re.escape(wanted[at : match.start()])
            at = match.end()
            text = match[0]
            if text == ELLIPSIS:
                pattern += ".*?"
            elif text in kinds:
                value = captured.get(text) or self._values.get(text)
                if value:
                    pattern += re.escape(value)
                elif text in names:
                    pattern += f"(?P=v{names.index(text)})"
                else:
                    pattern += f"(?P<v{len(names)}>{kinds[text]})"
                    names.append(text)
            else:
                form = next(form for form in _VARYING if re.fullmatch(form, text))
                pattern += f"(?:{form})"
        pattern += re.escape(wanted[at:])
        found = re.fullmatch(pattern, got)
        if not found:
            return None
        return dict(zip(names, found.groups(), strict=False))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r", "").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
