"""Renders a score as JUnit XML for continuous integration.

A failed step is a failure, a broken one an error, a blocked one is skipped. A step's file and
line are attributes of its testcase; points are properties of the testcase and the suite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.outcome import Outcome
from labwright.reports import summary
from labwright.reports.junit_xml import (
    Case,
    Error,
    Failure,
    Skipped,
    add_properties,
    document,
    suite,
)
from labwright.reports.pictures import picture
from labwright.reports.wording import moment, number
from labwright.text import excerpt, line, visible

if TYPE_CHECKING:
    from labwright.score import Score, StepResult

OUTPUT_LIMIT = 4_000
"""Maximum characters of one output: the file is shown in web pages and mails."""

MESSAGE_LIMIT = 500

_ELEMENTS = {Outcome.FAILED: Failure, Outcome.BROKEN: Error, Outcome.BLOCKED: Skipped}


def render(score: Score) -> str:
    """Return the XML document."""
    started, finished = moment(score.started), moment(score.finished)
    took = (finished - started).total_seconds() if started and finished else 0.0
    properties = {
        "title": score.title,
        "target": score.target,
        "points": number(score.points),
        "max_points": number(score.max_points),
        "graded": str(score.graded).lower(),
        "seed": "" if score.seed is None else str(score.seed),
    }
    made = suite(score.lab, [_case(score, step) for step in score.steps], took, properties)
    if started:
        made.timestamp = started.isoformat(timespec="seconds")
    return document("labwright", [made])


def _case(score: Score, step: StepResult) -> Case:
    part = line(step.part).replace(".", " ")
    case = Case(line(step.id), f"{line(score.lab)}.{part}", round(step.duration_s, 3))
    if step.file:
        case.file = line(step.file)
        case.line = step.line
    add_properties(
        case,
        {
            "title": step.title,
            "points": number(step.points),
            "max_points": number(step.max_points),
        },
    )
    element = _ELEMENTS.get(step.outcome)
    if element:
        blocked = step.outcome is Outcome.BLOCKED
        verdict = element(
            line(_message(step), MESSAGE_LIMIT), None if blocked else f"labwright.{step.outcome}"
        )
        verdict.text = excerpt(summary.explanation(step), OUTPUT_LIMIT)
        case.result = verdict
    if step.evidence or step.notices:
        case.system_out = _evidence(step)
    return case


def _message(step: StepResult) -> str:
    if step.expected and step.actual:
        return f"expected {step.expected}, but {step.actual}"
    return step.reason or step.outcome.value


def _evidence(step: StepResult) -> str:
    said = [f"notice: {excerpt(notice, OUTPUT_LIMIT)}" for notice in step.notices]
    for piece in step.evidence:
        said.append(f"claim: {visible(piece.claim)}")
        if piece.ran:
            said.append(f"run: {excerpt(piece.ran, OUTPUT_LIMIT)}")
        drawn = picture(piece)
        if drawn:
            said.append(drawn.words)
        if piece.saw:
            said.append(excerpt(piece.saw, OUTPUT_LIMIT))
        said.append("")
    return "\n".join(said)
