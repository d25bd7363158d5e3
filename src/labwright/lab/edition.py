"""The edition of a lab for one student, and its document for handing out."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from labwright.lab import markup
from labwright.lab.definition import load_lab
from labwright.lab.variants import fill

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from labwright.lab.model import Lab

_OURS = re.compile(r"^[ \t]*<!--\s*(?:step|lint):.*?-->[ \t]*\n?", re.MULTILINE | re.DOTALL)
"""Step marks and lint comments, which are removed from the document."""
_PAGE = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5;
  font-family: system-ui, sans-serif; color-scheme: light dark; }}
pre {{ overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .3rem; }}
code {{ font-family: ui-monospace, monospace; font-size: .95em; }}
table {{ border-collapse: collapse; }} td, th {{ border: 1px solid #8886; padding: .2rem .5rem; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def edition(folder: Path, settings: Iterable[str]) -> Lab:
    """Return a lab with the values that settings (``KEY=VALUE``) give to its variants."""
    lab = load_lab(folder)
    own = {key for variant in lab.variants for key in variant.keys}
    given = [setting for setting in settings if setting.partition("=")[0] in own]
    if not given:
        return lab
    changed = lab.values_with(given)
    return load_lab(folder, {key: changed[key] for key in own})


def as_markdown(lab: Lab) -> str:
    """Return a lab's document with the lab's values filled in."""
    text = lab.document.read_text(encoding="utf-8-sig")
    if lab.variants:
        text = fill(text, lab.values)
    return _OURS.sub("", text)


def as_html(lab: Lab) -> str:
    """Return a lab's document as a self-contained HTML page."""
    from markdown_it import MarkdownIt

    lines = markup.plain(as_markdown(lab).splitlines()).lines
    body = MarkdownIt("commonmark").enable("table").render("\n".join(lines) + "\n")
    return _PAGE.format(language=lab.language, title=html.escape(lab.title), body=body)
