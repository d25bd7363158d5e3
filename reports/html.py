"""Renders a score as one self-contained HTML file, which works without network and script.

A target's text is neutralised, then escaped by Jinja2. In addition, a Content-Security-Policy
allows only labwright's own style and script, by their hashes. The script is optional.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from labwright import text
from labwright.reports import summary, wording
from labwright.reports.pictures import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from labwright.outcome import Evidence
    from labwright.reports.svg import Picture
    from labwright.score import Score

OUTPUT_LIMIT = 24_000
"""Maximum characters shown of one output."""
SENTENCE_LIMIT = 2_000
"""Maximum characters shown of a sentence that can quote the target."""
SHORT_LINES = 12
"""Output with at most this many lines is shown without a click."""
SHORT_CHARACTERS = 1_200


def render(score: Score, about: Sequence[tuple[str, str]] = ()) -> str:
    """Return the report: failures first, each step with its claims and evidence.

    :param about: extra information for the top, as pairs of a word and a sentence.
    """
    style, script = source("charts.css") + source("report.css"), source("report.js")
    return template("report.html").render(
        score=score,
        about=about,
        summary=summary,
        anchors=_anchors(score),
        outcomes={step.id: step.outcome for step in score.steps},
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        policy=policy(style, script),
    )


def source(name: str) -> str:
    """Return one of labwright's style, script or template files."""
    return resources.files("labwright.reports").joinpath(name).read_text("utf-8")


@functools.cache
def template(name: str) -> Template:
    """Return a page's template; it is cached, since compiling takes longer than rendering."""
    return _environment().get_template(name)


def _environment() -> Environment:
    """Return Jinja2's environment: values are escaped, and a missing value is an error."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number,
        duration=wording.duration,
        when=wording.when,
        line=text.line,
        prose=prose,
        output=lambda value: text.excerpt(value, OUTPUT_LIMIT),
        short=_short,
    )
    environment.globals.update(between=wording.between, figure=_figure, leftover=_leftover)
    return environment


def policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy, which allows only labwright's style and script."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _anchors(score: Score) -> dict[str, str]:
    """Return a safe, stable and unique HTML id for each step."""
    anchors: dict[str, str] = {}
    for step in score.steps:
        name = "step-" + (re.sub(r"[^a-z0-9]+", "-", step.id.lower()).strip("-") or "unnamed")
        while name in anchors.values():
            name += "-again"
        anchors[step.id] = name
    return anchors


def prose(sentence: str) -> Markup:
    """Return a sentence as HTML; text between backticks becomes code."""
    pieces = re.split(r"`([^`\n]+)`", text.excerpt(sentence, SENTENCE_LIMIT))
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def _short(output: str) -> bool:
    return output.count("\n") <= SHORT_LINES and len(output) <= SHORT_CHARACTERS


def _figure(evidence: Evidence) -> dict[str, Any] | None:
    """Return the picture of a piece of evidence, as data for the template."""
    drawn: Picture | None = picture(evidence)
    if drawn is None:
        return None
    svg = Markup(drawn.svg)  # noqa: S704  written by ElementTree, which escapes
    return {"kind": drawn.kind, "words": drawn.words, "svg": svg}


def _leftover(evidence: Evidence) -> str:
    """Return the data that is not in a picture, as JSON."""
    return json.dumps(evidence.data, indent=2, ensure_ascii=False, default=str)
