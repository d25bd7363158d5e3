"""Renders a score for GitHub Classroom's reporter, as the result of an autograding step.

``github-education-resources/autograding-grading-reporter`` reads these keys. It adds up the
tests' ``score`` and ``max_score``, and writes no points if ``max_score`` is 0. So a score that
is not a grade has a ``max_score`` of 0: it never becomes a zero.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from labwright.outcome import Outcome
from labwright.reports.summary import verdict
from labwright.text import line

if TYPE_CHECKING:
    from labwright.score import Score, StepResult

STATUS = {Outcome.PASSED: "pass", Outcome.BROKEN: "error"}
"""Every other outcome is ``fail``."""


def render(score: Score) -> dict[str, Any]:
    """Return the result of an autograding step."""
    if not score.graded:
        status = "error"
    else:
        status = "pass" if score.count(Outcome.PASSED) == len(score.steps) else "fail"
    return {
        "version": 1,
        "status": status,
        "max_score": score.max_points if score.graded else 0,
        "tests": [_test(step, graded=score.graded) for step in score.steps],
    }


def _test(step: StepResult, *, graded: bool) -> dict[str, Any]:
    # One line each: no line of a target's text may look like a GitHub command.
    message = "; ".join(f"{word}: {line(sentence, 400)}" for word, sentence in verdict(step))
    return {
        "name": line(step.title, 200),
        "status": STATUS.get(step.outcome, "fail"),
        "score": step.points if graded else 0,
        "message": message,
        "line_no": step.line,
        "filename": line(step.file, 200),
        "duration": step.duration_s,
    }


def outputs(score: Score) -> str:
    """Return the lines for ``$GITHUB_OUTPUT``: ``result``, ``points`` and ``max_points``."""
    result = base64.b64encode(json.dumps(render(score)).encode()).decode()
    points = f"{score.points:g}" if score.graded else ""
    return f"result={result}\npoints={points}\nmax_points={score.max_points:g}\n"
