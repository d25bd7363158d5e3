"""A student's own edition of a lab, or everybody's, and its document as it is handed out."""

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
"""Marks and suppressions: of no use to a reader."""
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
    """Return a lab with the values of its variants that settings give, ``KEY=VALUE``."""
    lab = load_lab(folder)
    own = {key for variant in lab.variants for key in variant.keys}
    given = [setting for setting in settings if setting.partition("=")[0] in own]
    if not given:
        return lab
    changed = lab.values_with(given)
    return load_lab(folder, {key: changed[key] for key in own})


def as_markdown(lab: Lab) -> str:
    """Return a lab's document with the lab's values in their places."""
    text = lab.document.read_text(encoding="utf-8-sig")
    if lab.variants:
        text = fill(text, lab.values)
    return _OURS.sub("", text)


def as_html(lab: Lab) -> str:
    """Return a lab's document as a page that needs nothing else."""
    from markdown_it import MarkdownIt

    lines = markup.plain(as_markdown(lab).splitlines()).lines
    body = MarkdownIt("commonmark").enable("table").render("\n".join(lines) + "\n")
    return _PAGE.format(language=lab.language, title=html.escape(lab.title), body=body)
