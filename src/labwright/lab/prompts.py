"""What stands before a command where a document shows a terminal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENVIRONMENT = r"(?:\([^()\n]{1,40}\)\s*)?"
"""``(venv)``, of Python's or conda's."""
_FORMS = (
    r"\[[^\[\]\n]*@[^\[\]\n]*\]\s?[$#%>]",  # [user@host dir]$
    r"[\w.-]+@[\w.-]+(?:[: ]\s?[~/\w.-]*)?\s?[$#%>]",  # user@host:~$, user@host dir %
    r"(?:bash|sh|zsh|ksh|dash|ash)-\d+(?:\.\d+)*[$#]",  # bash-5.1$
    r"[~/][\w./~-]*\s?[$#%]",  # ~$, ~/dir$, / #
    r"[A-Za-z][\w.-]*[#$]",  # host1#
    r"[$%\u276f\u279c]",
)
_NAMED = re.compile(rf"{_ENVIRONMENT}(?:{'|'.join(_FORMS)})(?=\s|$)\s*")
_HASH = re.compile(rf"{_ENVIRONMENT}#\s+(?=\S)")
_ANGLE = re.compile(r">\s+(?=\S)")
_CONTINUED = re.compile(r"(?:[a-z][a-z ]*)?>(?: |$)")
"""What a shell shows where it waits for the rest: ``> ``, and zsh's ``for> ``."""
_ROOT_SHELL = re.compile(
    r"\s*(?:sudo\s+(?:-i|-s|su|bash|sh|--login)|su\b|docker\s+exec\b.*\bsh\b|.*\bbash$)"
)


@dataclass(frozen=True)
class Prompt:
    """A prompt at the beginning of a line."""

    end: int
    """Where the command begins."""
    root: bool
    """Whether it is root's."""


class Prompts:
    """The prompts of one fence.

    ``#`` and ``>`` are prompts only where they can be nothing else: the one begins a comment,
    the other sends output into a file, or is what a shell shows while it waits for more.
    """

    def __init__(
        self, rows: Sequence[str], *, session: bool, programs: frozenset[str], own: Sequence[str]
    ) -> None:
        """Look at a fence.

        :param session: whether its language says that it shows a terminal.
        :param programs: names that are taken for the beginning of a command.
        :param own: prompts that the lab's definition names.
        """
        self._own = tuple(sorted(own, key=len, reverse=True))
        self._hash = self._angle = self._in_root_shell = False
        named = [bool(self.at(row)) for row in rows]
        code = [n for n, row in enumerate(rows) if row.strip() and not row.startswith("#")]
        self.any = any(named) if session or own else bool(code) and named[code[0]]
        if not self.any:
            commands = [m for row in rows if (m := _ANGLE.match(row)) and _runs(row, m, programs)]
            angle = bool(code) and bool(_ANGLE.match(rows[code[0]]))
            self._angle = angle and (session or bool(commands))
        hashes = [m for row in rows if (m := _HASH.match(row))]
        if session and not self.any and not self._angle and hashes:
            runs = any(_runs(row, m, programs) for row in rows if (m := _HASH.match(row)))
            self._hash = runs or not code
        self._in_root_shell = session and any(
            _ROOT_SHELL.match(row[found.end :]) for row in rows if (found := self.at(row))
        )
        self.any = self.any or self._angle or self._hash

    def at(self, row: str) -> Prompt | None:
        """Return the prompt with which a line begins, if it has one."""
        for text in self._own:
            if row.startswith(text):
                end = len(text) + len(row[len(text) :]) - len(row[len(text) :].lstrip())
                return Prompt(end, text.rstrip().endswith("#"))
        found = _NAMED.match(row)
        if not found and (self._hash or self._in_root_shell):
            found = _HASH.match(row)
        if not found and self._angle:
            found = _ANGLE.match(row)
        if not found:
            return None
        return Prompt(found.end(), "#" in found[0].rstrip()[-1:])


def continued(row: str) -> int:
    """Return where a line begins behind what the shell shows while it waits for more."""
    found = _CONTINUED.match(row)
    return found.end() if found else 0


def _runs(row: str, prompt: re.Match[str], programs: frozenset[str]) -> bool:
    words = row[prompt.end() :].split()
    return bool(words) and (words[0] in programs or words[0].startswith("./"))
