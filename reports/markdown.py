"""Renders a score as Markdown, for the summary of a job in continuous integration.

It is shown as GitHub shows Markdown: what the target wrote must neither end a cell nor become
a link, an image, HTML or a mention of somebody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labwright.outcome import Outcome
from labwright.reports import summary
from labwright.reports.text import between, line, number, when

if TYPE_CHECKING:
    from labwright.score import Score, StepResult

CELL_LIMIT = 500
"""Characters of one sentence: a summary may have 1 MiB, and the report has all of it."""
_MARKUP = re.compile(r"[&<>|`*_~\[\]\\$@#!:]")


def render(score: Score) -> str:
    """Return the summary: the points, then a table for each part of the lab."""
    rows = [f"## {_plain(score.title)}: {summary.total(score)}", ""]
    told = [_plain(score.target), summary.counts(score), when(score.started)]
    told.append(between(score.started, score.finished))
    rows += [", ".join(filter(None, told)), ""]
    broken = summary.not_a_grade(score)
    if broken:
        rows += [f"**{broken}**", ""]
    for part, steps in summary.by_part(score):
        if part:
            rows += [f"### {_plain(part)}", ""]
        rows += ["| step | outcome | points | why |", "| --- | --- | ---: | --- |"]
        rows += [_row(step) for step in steps]
        rows.append("")
    return "\n".join(rows)


def _row(step: StepResult) -> str:
    outcome = str(step.outcome)
    if step.outcome in (Outcome.FAILED, Outcome.BROKEN):
        outcome = f"**{outcome}**"
    why = "<br>".join(f"{word}: {_plain(said)}" for word, said in summary.verdict(step))
    points = f"{number(step.points)}/{number(step.max_points)}"
    symbol = summary.SYMBOLS[step.outcome].replace("!", "&#33;")
    return f"| {_plain(step.title)} | {symbol} {outcome} | {points} | {why} |"


def _plain(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    short = line(text, CELL_LIMIT)
    # Without its stop, www.example.org would be made a link.
    short = re.sub(r"(?i)\bwww\.", lambda match: match[0][:-1] + "\0", short)
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", short).replace("\0", "&#46;")
