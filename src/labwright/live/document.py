"""A lab's document as HTML, with a place for the state of each step.

markdown-it-py makes the HTML. Raw HTML in a document is shown as text, and comments are left
out. A block of commands gets buttons; the page's script implements them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from labwright.lab.document import COMMENT, MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

SHELLS = frozenset({"sh", "bash", "shell"})
CONSOLES = frozenset({"console", "shell-session"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"})


@dataclass(frozen=True)
class Section:
    """A part of the document: the text of a step, or text between steps."""

    step: str
    """The step's id; empty for text between steps."""
    html: Markup


def sections(text: str, known: Sequence[str]) -> list[Section]:
    """Return the sections of a document, in its order.

    :param known: the ids of the lab's steps.
    """
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    for name, rule in (
        ("html_block", _html),
        ("html_inline", _html),
        ("fence", _fence),
        ("link_open", _link),
        ("image", _image),
        ("heading_open", _heading),
    ):
        markdown.add_render_rule(name, rule)
    found: list[Section] = []
    for step, tokens in _divided(markdown.parse(text)):
        html = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704
        if html.strip():
            found.append(Section(step if step in known else "", html))
    return found


def _divided(tokens: list[Token]) -> Iterator[tuple[str, list[Token]]]:
    """Split the tokens of a document at step marks and headings."""
    step, depth = "", 0
    piece: list[Token] = []
    for token in tokens:
        mark = MARK.search(token.content) if token.type == "html_block" else None
        if depth == 0 and (mark or token.type == "heading_open"):
            yield step, piece
            step, piece = (mark[1] if mark else ""), []
        piece.append(token)
        depth += token.nesting
    yield step, piece


def commands(language: str, content: str) -> str:
    """Return the commands in a block: all of it, or the text after prompts."""
    if language in SHELLS:
        return content.rstrip("\n")
    if language not in CONSOLES:
        return ""
    typed, goes_on = [], False
    for line in content.splitlines():
        begins = line.startswith(("$ ", "# "))
        if begins or (goes_on and line.startswith("> ")):
            typed.append(line[2:])
        elif goes_on:
            typed.append(line)
        goes_on = (begins or goes_on) and line.endswith("\\")
    return "\n".join(typed)


def _fence(
    self: RendererHTML,  # noqa: ARG001
    tokens: Sequence[Token],
    at: int,
    options: OptionsDict,  # noqa: ARG001
    env: EnvType,  # noqa: ARG001
) -> str:
    token = tokens[at]
    language = (token.info.split() or [""])[0].lower()
    typed = commands(language, token.content)
    shown = Markup('<pre tabindex="0"><code>{}</code></pre>\n').format(token.content)
    if not typed:
        return shown
    first = typed.splitlines()[0][:60]
    buttons = Markup(
        '<div class="tools"><button type="button" data-copy aria-label="Copy: {0}">Copy</button>'
        '<button type="button" data-run aria-label="Run in the terminal: {0}">Run</button></div>'
    ).format(first)
    block = Markup('<div class="command" data-typed="{}">{}{}</div>\n')
    return block.format(typed, buttons, shown)


def _html(
    self: RendererHTML,  # noqa: ARG001
    tokens: Sequence[Token],
    at: int,
    options: OptionsDict,  # noqa: ARG001
    env: EnvType,  # noqa: ARG001
) -> str:
    """Show raw HTML as text: a page with a terminal must not run a document's scripts."""
    left = COMMENT.sub("", tokens[at].content).strip()
    return str(escape(left))


def _link(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """Open other sites in a new tab, without a referrer."""
    token = tokens[at]
    if urlsplit(str(token.attrs.get("href", ""))).scheme:
        token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
    return self.renderToken(tokens, at, options, env)


def _image(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """Show pictures only from the lab's folder."""
    token = tokens[at]
    place = str(token.attrs.get("src", ""))
    words = self.renderInlineAsText(token.children, options, env)
    if urlsplit(place).scheme or place.startswith("/"):
        return str(
            Markup('<a href="{}" rel="noopener noreferrer" target="_blank">{}</a>').format(
                place, words or place
            )
        )
    return str(Markup('<img src="lab/{}" alt="{}">').format(place, words))


def _heading(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
) -> str:
    """Give a heading an id, so that a table of contents can link to it."""
    words = tokens[at + 1].content
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    tokens[at].attrs["id"] = f"h-{name}"
    return self.renderToken(tokens, at, options, env)
