"""What web sites' own Markdown adds: front matter, admonitions, tabs, components.

Each is made into plain Markdown, line by line, so that every line keeps its number. What is
not known is named once, so that nobody believes that it was read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_FRONT = {"---": ("---", "..."), "+++": ("+++",)}
_FRONT_TITLE = re.compile(r"""title\s*[:=]\s*(["']?)(.+?)\1\s*$""")
_FENCE = re.compile(r"(\s*(?:>\s?|[-*+]\s+|\d+[.)]\s+)*)(`{3,}|~{3,})(.*)$")
_EXECUTED = re.compile(r"(`{3,}|~{3,})\s*\{\{[^{}]*\}\}\s*$")
_INLINE_EXECUTED = re.compile(r"(?<=`)\{\{\s*(?:exec|execute|copy)[^{}]*\}\}")
_INDENTED = re.compile(r"""(\s*)(?:!!!|\?\?\?\+?|===[+!]?)\s+(?:[\w -]*?)\s*(?:"(.*)")?\s*$""")
"""MkDocs: an admonition or a tab, whose content is indented by four."""
_COLONS = re.compile(r"\s*:{2,}\s*(?:\{?[\w-]*\}?)(?:\[(.*)\])?(?:\{.*\})?\s*(.*)$")
"""Docusaurus, MyST, MDC: a container between lines of colons."""
_SLASHES = re.compile(r"\s*/{3,}(?:\s+[\w-]+(?:\s*\|\s*(.*))?)?\s*$")
"""pymdownx: a block between lines of slashes."""
_ALERT = re.compile(r"(\s*(?:>\s*)+)\[![A-Za-z]+\][+-]?\s?(.*)$")
"""GitHub's, and Obsidian's."""
_SHORTCODE = re.compile(r"\s*(?:\{\{[<%].*[%>]\}\}|\{%-?.*-?%\}|\{:.*\}|\[\[?_?TOC_?\]\]?)\s*$")
_INCLUDED = re.compile(
    r"\{%-?\s*(?:include|capture|snippet|tab|code|data|render)\w*|\{\{[<%]\s*\w|--8<--|\.\. \w+::|"
    r"@\[\w+\]|@include"
)
_MODULE = re.compile(r"(?:import|export)\s.*\bfrom\s+['\"].*['\"];?\s*$")
_END_OF_SENTENCE = (".", "!", "?", ":")


@dataclass
class Markup:
    """A document's lines as plain Markdown, and what could not be made plain."""

    lines: list[str]
    title: str = ""
    """Of its front matter."""
    executed: frozenset[int] = frozenset()
    """Lines, counted from 0, on which a fence ends that says of itself that it is run."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Directives whose content cannot be seen here, each with its first line, from 1."""


def plain(lines: list[str]) -> Markup:
    """Return a document's lines with what sites add made into plain Markdown."""
    reader = _Reader(list(lines))
    reader.read()
    return Markup(reader.lines, reader.title, frozenset(reader.executed), reader.unknown)


class _Reader:
    """Goes through the lines once."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.title = ""
        self.executed = set[int]()
        self.unknown: dict[str, int] = {}
        self._folds: list[int] = []
        """The indentation of each admonition that is open."""
        self._component = -1
        """The line on which a component began that may bring data of its own."""
        self._data = False
        """Whether that data is being read, between two rules."""

    def read(self) -> None:
        fence = ""
        for number in range(self._front_matter(), len(self.lines)):
            line = self.lines[number] if self._data else self._unfold(self.lines[number])
            self.lines[number] = line
            mark = _FENCE.match(line)
            if fence:
                executed = _EXECUTED.search(line)
                if executed and executed[1].startswith(fence):
                    self.lines[number] = line[: executed.start()] + executed[1]
                    self.executed.add(number)
                    fence = ""
                elif mark and mark[2].startswith(fence) and not mark[3].strip():
                    fence = ""
            elif mark and "`" not in mark[3] and not self._data:
                fence = mark[2]
            else:
                self.lines[number] = self._line(line, number)

    def _front_matter(self) -> int:
        """Blank the front matter; return the first line behind it."""
        lines = self.lines
        ends = _FRONT.get(lines[0].rstrip(), ()) if lines else ()
        last = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() in ends), 0)
        # Two rules around a paragraph are none: front matter has keys.
        if not last or not any(re.match(r"[\w-]+\s*[:=]", line) for line in lines[1:last]):
            return 0
        for number in range(last + 1):
            found = _FRONT_TITLE.match(lines[number])
            self.title = self.title or (found[2] if found else "")
            lines[number] = ""
        return last + 1

    def _unfold(self, line: str) -> str:
        """Return a line without what the admonitions around it indent it by."""
        for depth, indent in enumerate(self._folds):
            if not line.strip():
                return line
            if len(line) - len(line.lstrip()) < indent + 4:
                del self._folds[depth:]
                break
            line = line[:indent] + line[indent + 4 :]
        return line

    def _line(self, line: str, number: int) -> str:
        if self._data or (line.strip() == "---" and number - 1 == self._component >= 0):
            self._data = not self._data or line.strip() != "---"
            return ""
        line = _INLINE_EXECUTED.sub("", line)
        indented = _INDENTED.match(line)
        if indented:
            self._folds.append(len(indented[1]))
            return indented[1] + _sentence(indented[2] or "")
        colons = _COLONS.match(line) if line.lstrip().startswith("::") else None
        if colons:
            self._component = number
            return _sentence(colons[1] or colons[2] or "")
        slashes = _SLASHES.match(line)
        if slashes:
            return _sentence(slashes[1] or "")
        alert = _ALERT.match(line)
        if alert:
            return alert[1] + alert[2]
        included = _INCLUDED.search(line)
        if included and "`" not in line[: included.start()]:
            self.unknown.setdefault(included[0].strip(), number + 1)
        return "" if _SHORTCODE.match(line) or _MODULE.match(line) else line


def _sentence(title: str) -> str:
    """Return a title so that it does not run into the sentence below it."""
    title = title.strip()
    return title if not title or title.endswith(_END_OF_SENTENCE) else f"{title}."
