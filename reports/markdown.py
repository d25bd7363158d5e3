"""Renders a score as Markdown, for the summary of a job in continuous integration.

GitHub renders it: a target's text must not end a table cell, or become a link, an image, HTML or
a mention of somebody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.outcome import Outcome
from labwright.reports import summary
from labwright.reports.wording import between, number, when
from labwright.text import markdown

if TYPE_CHECKING:
    from labwright.score import Score, StepResult

CELL_LIMIT = 500
"""Maximum characters of one sentence: a summary may have 1 MiB; the report has everything."""


def render(score: Score) -> str:
    """Return the summary: the points, then a table for each part of the lab."""
    rows = [f"## {_shown(score.title)}: {summary.total(score)}", ""]
    told = [_shown(score.target), summary.counts(score), when(score.started)]
    told.append(between(score.started, score.finished))
    rows += [", ".join(filter(None, told)), ""]
    broken = summary.not_a_grade(score)
    if broken:
        rows += [f"**{broken}**", ""]
    for part, steps in summary.by_part(score):
        if part:
            rows += [f"### {_shown(part)}", ""]
        rows += ["| step | outcome | points | why |", "| --- | --- | ---: | --- |"]
        rows += [_row(step) for step in steps]
        rows.append("")
    return "\n".join(rows)


def _row(step: StepResult) -> str:
    outcome = str(step.outcome)
    if step.outcome in (Outcome.FAILED, Outcome.BROKEN):
        outcome = f"**{outcome}**"
    why = "<br>".join(f"{word}: {_shown(said)}" for word, said in summary.said(step))
    points = f"{number(step.points)}/{number(step.max_points)}"
    symbol = summary.SYMBOLS[step.outcome].replace("!", "&#33;")
    return f"| {_shown(step.title)} | {symbol} {outcome} | {points} | {why} |"


def _shown(text: str) -> str:
    return markdown(text, CELL_LIMIT)
