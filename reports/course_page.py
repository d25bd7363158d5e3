"""Renders a course as one self-contained HTML page: a table of students and labs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from labwright.reports import html
from labwright.reports.wording import number, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

REMARK_LIMIT = 300


@dataclass(frozen=True)
class LabCell:
    """A student's grade in one lab."""

    points: float | None
    max_points: float
    share: float | None
    remark: str
    why: str
    """Why this attempt counts."""

    @property
    def kind(self) -> str:
        """The CSS class for its colour."""
        if self.share is None:
            return "blocked"
        return "passed" if self.share >= 0.995 else ("failed" if self.share < 0.5 else "partly")


@dataclass(frozen=True)
class CourseRow:
    """One student of a course."""

    id: str
    name: str
    cells: tuple[LabCell, ...]
    total: float | None
    so_far: float | None


def render(
    title: str,
    labs: Sequence[tuple[str, str, str]],
    rows: Sequence[CourseRow],
    decisions: Sequence[tuple[str, str, str]],
) -> str:
    """Return the page.

    :param labs: id, title and description of each lab.
    :param decisions: student, lab and text of each manual decision.
    """
    style = "".join(html.source(name) for name in ("charts.css", "report.css", "class.css"))
    script = html.source("class.js")
    return html.template("course.html").render(
        title=title,
        labs=labs,
        rows=rows,
        complete=[row for row in rows if row.total is not None],
        means=[_mean([row.cells[n] for row in rows]) for n in range(len(labs))],
        decisions=decisions,
        limit=REMARK_LIMIT,
        plural=plural,
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        policy=html.policy(style, script),
    )


def _mean(cells: Sequence[LabCell]) -> str:
    """Return the number of grades and their mean, in words."""
    shares = [cell.share for cell in cells if cell.share is not None]
    if not shares:
        return "nobody has a grade"
    mean = number(round(100 * statistics.mean(shares), 1))
    return f"{len(shares)} of {plural(len(cells), 'student')} graded, mean {mean} %"
