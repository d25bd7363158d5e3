"""Passes a step's result to Allure, from inside the running test.

allure-pytest takes the test's status from pytest; this adds the title, the severity, the place
in the lab, and the evidence. Without ``--alluredir`` it does nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import allure
from allure_commons.types import AttachmentType, Severity
from markupsafe import Markup

from labwright.reports import summary
from labwright.reports.pictures import picture
from labwright.reports.wording import number
from labwright.text import escape_surrogates, excerpt, line

if TYPE_CHECKING:
    from labwright.outcome import Evidence
    from labwright.score import StepResult

SENTENCE_LIMIT = 2_000
SEVERITIES = ((15, Severity.CRITICAL), (10, Severity.NORMAL), (5, Severity.MINOR))
"""The minimum points of a step, out of 100, for each severity."""


def record(result: StepResult, lab: str) -> None:
    """Describe the running test to Allure; call it before the test's teardown ends.

    :param lab: the lab's title, which becomes the feature; the part becomes the story.
    """
    dynamic: Any = allure.dynamic  # it has no types
    dynamic.title(line(result.title))
    dynamic.severity(_severity(result.max_points))
    dynamic.feature(line(lab))
    dynamic.story(line(result.part))
    points = f"{number(result.points)} of {summary.plural_points(result.max_points)}"
    dynamic.parameter("points", points, excluded=True)
    dynamic.description_html(_verdict(result))
    for piece in result.evidence:
        _step(piece)


def _severity(points: float) -> Severity:
    return next((severity for least, severity in SEVERITIES if points >= least), Severity.TRIVIAL)


def _verdict(result: StepResult) -> str:
    """Return the verdict as escaped HTML, which Allure shows above the steps."""
    rows = [("outcome", summary.MEANINGS[result.outcome]), *summary.said(result)]
    return Markup().join(
        Markup("<p><b>{}</b>: {}</p>").format(word, excerpt(sentence, SENTENCE_LIMIT))
        for word, sentence in rows
    )


def _step(piece: Evidence) -> None:
    with allure.step(line(piece.claim, 200)):
        if piece.ran:
            allure.attach(_text(piece.ran), "run", AttachmentType.TEXT)
        if piece.saw:
            allure.attach(_text(piece.saw), "seen", AttachmentType.TEXT)
        drawn = picture(piece)
        if drawn:
            allure.attach(_text(drawn.words), "in words", AttachmentType.TEXT)
            allure.attach(_text(drawn.file()), drawn.kind, AttachmentType.SVG)
        if piece.data:
            data = json.dumps(piece.data, indent=2, ensure_ascii=False, default=str)
            allure.attach(_text(data), "data", AttachmentType.JSON)


def _text(text: str) -> bytes:
    """Return a text as bytes; characters that UTF-8 cannot encode are escaped."""
    return escape_surrogates(text).encode()
