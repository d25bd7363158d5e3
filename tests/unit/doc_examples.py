"""The examples that the README and docs/ show, found by the parser that reads labs' documents."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
OUR_PROGRAMS = frozenset({"labwright", "./labwright"})
PROGRAMS = OUR_PROGRAMS | {
    *("pytest", "tox", ".venv/bin/tox", ".ci/run", "python3", "pip", "pipx", "uv"),
    *("dask", "export", "jq", "ssh"),
}
"""What a block of commands may begin with. tests/unit/test_documentation.py checks each."""


@dataclass(frozen=True)
class Example:
    """A block of code, or one command of it, in a page."""

    page: Path
    line: int
    kind: str
    """toml, python, json, csv, markdown, command, span, or what nothing is known of."""
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as editors take it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def words(self) -> list[str]:
        """The words of a command, without comments and redirections."""
        words = shlex.split(self.text, comments=True)
        return [word for word in words if not word.startswith((">", "2>"))]

    def __str__(self) -> str:
        return f"{self.place} {self.text[:40] if self.kind in {'command', 'span'} else self.kind}"


@cache
def examples() -> list[Example]:
    """Return all examples of all pages."""
    return [example for page in PAGES for example in _examples(page)]


def of_kind(*kinds: str) -> list[Example]:
    """Return the examples of some kinds."""
    return [example for example in examples() if example.kind in kinds]


def options_in_sentences() -> list[tuple[str, str]]:
    """Return the options that code in sentences begins with, and the line of each."""
    return [
        (f"{page.relative_to(ROOT)}:{token.map[0] + 1}", child.content.split(" ")[0].split("=")[0])
        for page in PAGES
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
        if token.map
        for child in token.children or ()
        if child.type == "code_inline" and child.content.startswith("--")
    ]


def _examples(page: Path) -> list[Example]:
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence":
            kind = token.info.strip()
            if kind == "sh":
                found += _commands(page, line + 1, token.content)
            else:
                found.append(Example(page, line, kind, token.content))
        elif token.type == "code_block":
            kind = _kind(token.content)
            if kind == "command":
                found += _commands(page, line, token.content)
            else:
                found.append(Example(page, line, kind, token.content))
        elif token.type == "inline":
            found += [
                Example(page, line, "span", child.content)
                for child in token.children or ()
                if child.type == "code_inline" and child.content.split(" ")[0] in OUR_PROGRAMS
            ]
    return found


def _kind(text: str) -> str:
    """Return what an indented block is: it has no word that says so."""
    first = text.split(maxsplit=1)[0]
    if first in PROGRAMS:
        return "command"
    if first.startswith("id,"):
        return "csv"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ""
    return "toml"


def _commands(page: Path, line: int, text: str) -> list[Example]:
    """Return the commands of a block, one for each line that is not blank."""
    return [
        Example(page, line + number, "command", row)
        for number, row in enumerate(text.splitlines())
        if row.strip()
    ]
