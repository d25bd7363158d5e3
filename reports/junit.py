"""Renders a score as JUnit XML, which continuous integration shows.

failed is a failure, broken an error, blocked skipped. A step's file and line are
attributes of its testcase; points are properties, of the testcase and of the suite.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from labwright.outcome import Outcome
from labwright.reports import summary
from labwright.reports.pictures import picture
from labwright.reports.wording import moment, number
from labwright.text import excerpt, line, visible

if TYPE_CHECKING:
    from labwright.score import Score, StepResult

OUTPUT_LIMIT = 4_000
"""Characters kept of one piece of output: this file is read in web pages and mails."""

_ELEMENTS = {Outcome.FAILED: "failure", Outcome.BROKEN: "error", Outcome.BLOCKED: "skipped"}


def render(score: Score) -> str:
    """Return the XML document."""
    started, finished = moment(score.started), moment(score.finished)
    took = (finished - started).total_seconds() if started and finished else 0.0
    counted = {
        "tests": str(len(score.steps)),
        "failures": str(score.count(Outcome.FAILED)),
        "errors": str(score.count(Outcome.BROKEN)),
        "skipped": str(score.count(Outcome.BLOCKED)),
        "time": f"{took:.3f}",
    }
    root = ET.Element("testsuites", {"name": "labwright", **counted})
    suite = ET.SubElement(root, "testsuite", {"name": line(score.lab), **counted})
    if started:
        suite.set("timestamp", started.isoformat(timespec="seconds"))
    _properties(
        suite,
        {
            "title": score.title,
            "target": score.target,
            "points": number(score.points),
            "max_points": number(score.max_points),
            "graded": str(score.graded).lower(),
            "seed": "" if score.seed is None else str(score.seed),
        },
    )
    for step in score.steps:
        _case(suite, score, step)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _case(suite: ET.Element, score: Score, step: StepResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": f"{line(score.lab)}.{line(step.part).replace('.', ' ')}",
            "name": line(step.id),
            "time": f"{step.duration_s:.3f}",
        },
    )
    if step.file:
        case.set("file", line(step.file))
        case.set("line", str(step.line))
    _properties(
        case,
        {
            "title": step.title,
            "points": number(step.points),
            "max_points": number(step.max_points),
        },
    )
    element = _ELEMENTS.get(step.outcome)
    if element:
        verdict = ET.SubElement(case, element, {"message": line(_message(step), 500)})
        if step.outcome is not Outcome.BLOCKED:
            verdict.set("type", f"labwright.{step.outcome}")
        verdict.text = excerpt(summary.explanation(step), OUTPUT_LIMIT)
    if step.evidence or step.notices:
        ET.SubElement(case, "system-out").text = _evidence(step)


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


def _properties(parent: ET.Element, values: dict[str, str]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, value in values.items():
        if value:
            ET.SubElement(properties, "property", {"name": name, "value": line(value, 500)})
