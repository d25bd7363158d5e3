"""Renders a class as one self-contained HTML page, from its scores only."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from labwright.outcome import Outcome
from labwright.reports import html, summary
from labwright.reports.svg import Canvas
from labwright.reports.wording import number, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.score import Score, StepResult

BINS = 10
MOST_CAUSES = 12
REMARK_LIMIT = 400


@dataclass(frozen=True)
class ClassRow:
    """One student of a class."""

    id: str
    name: str
    score: Score | None
    points: float | None
    """The points in the gradebook; None: no grade."""
    remark: str
    """Why there is no grade, or the remark of the grade rule."""
    flags: tuple[str, ...] = ()
    report: str = ""
    """The student's own report, relative to the page."""


@dataclass(frozen=True)
class Cause:
    """A reason why a step failed, and the students who had it."""

    step: str
    seen: str
    students: tuple[str, ...]


def render(title: str, rows: Sequence[ClassRow]) -> str:
    """Return the page."""
    style = "".join(html.source(name) for name in ("charts.css", "report.css", "class.css"))
    script = html.source("class.js")
    graded = [row for row in rows if row.points is not None]
    steps = _steps(rows)
    return html.template("class.html").render(
        title=title,
        rows=rows,
        graded=graded,
        ungraded=[row for row in rows if row.points is None],
        flagged=[row for row in rows if row.flags],
        steps=steps,
        hardest=_hardest(rows, steps),
        causes=_causes(rows),
        middle=_middle(graded),
        distribution=Markup(_distribution(graded)),  # noqa: S704  ElementTree escapes
        outcomes=_outcomes,
        symbols={outcome.value: symbol for outcome, symbol in summary.SYMBOLS.items()},
        limit=REMARK_LIMIT,
        plural=plural,
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        policy=html.policy(style, script),
    )


def _steps(rows: Sequence[ClassRow]) -> list[StepResult]:
    """Return the lab's steps, from the first score."""
    first = next((row.score for row in rows if row.score), None)
    return list(first.steps) if first else []


def _outcomes(row: ClassRow) -> dict[str, str]:
    return {step.id: step.outcome.value for step in row.score.steps} if row.score else {}


def _hardest(
    rows: Sequence[ClassRow], steps: list[StepResult]
) -> list[tuple[StepResult, dict[str, int], int]]:
    """Return the steps with the number of each outcome; those that failed most often first."""
    found = []
    for step in steps:
        counts = {outcome.value: 0 for outcome in Outcome}
        for row in rows:
            counts[_outcomes(row).get(step.id, Outcome.BROKEN.value)] += 1
        found.append((step, counts, sum(counts.values())))
    return sorted(found, key=lambda each: (-each[1]["failed"], each[1]["passed"]))


def _causes(rows: Sequence[ClassRow]) -> list[Cause]:
    """Group the reasons of failures; reasons that differ only in numbers are equal."""
    met: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        for step in row.score.steps if row.score else ():
            if step.outcome is Outcome.FAILED:
                seen = step.actual or step.reason
                met[step.title, re.sub(r"[0-9a-f]{12,}|\d+", "#", seen)].append((row.id, seen))
    causes = [
        Cause(title, found[0][1], tuple(id for id, _ in found)) for (title, _), found in met.items()
    ]
    return sorted(causes, key=lambda cause: -len(cause.students))[:MOST_CAUSES]


def _middle(graded: Sequence[ClassRow]) -> str:
    """Return the median of the class, in words."""
    points = [row.points for row in graded if row.points is not None]
    if not points:
        return "nobody was graded"
    mean, median = statistics.mean(points), statistics.median(points)
    return (
        f"mean {number(round(mean, 1))}, median {number(median)}, "
        f"from {number(min(points))} to {number(max(points))}"
    )


def _distribution(graded: Sequence[ClassRow]) -> str:
    """Draw the number of students in each tenth of the points."""
    counts = [0] * BINS
    for row in graded:
        top = row.score.max_points if row.score else 0.0
        share = (row.points or 0.0) / top if top else 0.0
        counts[min(BINS - 1, max(0, int(share * BINS)))] += 1
    said = [f"{n} from {place * 10} to {place * 10 + 10} %" for place, n in enumerate(counts) if n]
    words = f"Grades in per cent of the points: {line(', '.join(said)) or 'none'}"
    width, height, base = 520.0, 170.0, 140.0
    canvas = Canvas(width, height, words)
    lane, most = width / BINS, max([*counts, 1])
    for place, count in enumerate(counts):
        tall = (base - 22) * count / most
        tip = f"{plural(count, 'student')} from {place * 10} to {place * 10 + 10} %"
        canvas.box(place * lane + 3, base - tall, lane - 6, tall, "s0", tip)
        if count:
            canvas.text(place * lane + lane / 2, base - tall - 5, str(count), "strong", "middle")
        canvas.text(place * lane + lane / 2, base + 16, f"{place * 10}", "quiet", "middle")
    canvas.line(0, base, width, base, "line")
    canvas.text(width, height - 2, "per cent", "quiet", "end")
    return str(canvas)
