"""Renders the gate's findings: terminal, GitHub, Markdown, JUnit, SARIF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rich.text import Text

import labwright
from labwright.gate.lint import RULES
from labwright.reports.junit_xml import Case, Error, Failure, Skipped, document, suite
from labwright.text import github as github_text
from labwright.text import line, markdown_block, visible
from labwright.text import markdown as cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from labwright.gate.findings import Finding
    from labwright.gate.stages import Stage, Verdict

HOME = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def shown(path: Path) -> str:
    """Return a path relative to the current folder."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def terminal(verdict: Verdict, console: Console) -> None:
    """Print a verdict for people."""

    def put(text: str, style: str = "") -> None:
        console.print(Text(visible(text), style), soft_wrap=True)

    put(f"{shown(verdict.course.document.path)}: {verdict.course.document.title}", "bold")
    for stage in verdict.stages:
        put(
            f"  {_status(stage)}", "green" if stage.passed else "yellow" if stage.skipped else "red"
        )
        if stage.problem:
            put(f"    {stage.problem}", "bold")
        explained = set[str]()
        for finding in stage.findings:
            put(f"\n  {shown(finding.path)}:{finding.line}:{finding.column}: {finding.rule}")
            put(f"    {finding.message}", "bold")
            for row in finding.details.splitlines():
                put(f"      {row}", {"+": "green", "-": "red"}.get(row[:1], ""))
            if finding.why and finding.rule not in explained:
                put(f"    why: {finding.why}", "dim")
                explained.add(finding.rule)
            if finding.suggestion:
                put(f"    do:  {finding.suggestion}", "dim")
        if stage.findings:
            put("")


def _status(stage: Stage) -> str:
    if stage.skipped:
        return f"{stage.name:8} {'not run':11} {stage.skipped}"
    found = "passed" if stage.passed else _number(stage)
    found = "broken" if stage.problem else found
    return f"{stage.name:8} {found:11} {stage.summary} ({stage.seconds:.1f} s)"


def _number(stage: Stage) -> str:
    number = len(stage.findings)
    return f"{number} finding{'s' * (number != 1)}"


def github(verdicts: Sequence[Verdict]) -> str:
    """Return annotations for GitHub, one on each line."""

    lines = []
    for finding in _all(verdicts):
        place = f"file={github_text(shown(finding.path), attribute=True)},line={finding.line}"
        title = github_text(finding.rule, attribute=True)
        body = "\n".join(filter(None, (finding.message, finding.details, _advice(finding))))
        column = f",col={finding.column}"
        lines.append(f"::error {place}{column},title={title}::{github_text(body)}\n")
    for problem in _problems(verdicts):
        lines.append(f"::error title=no verdict::{github_text(problem)}\n")
    return "".join(lines)


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return a summary in Markdown for a GitHub job."""
    rows = ["## labwright gate", "", "| document | stage | verdict | looked at | time |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for verdict in verdicts:
        name = cell(shown(verdict.course.document.path))
        for stage in verdict.stages:
            said = "passed" if stage.passed else f"**{_number(stage)}**"
            said = f"**broken**: {cell(stage.problem)}" if stage.problem else said
            said = f"not run: {cell(stage.skipped)}" if stage.skipped else said
            cells = (name, stage.name, said, cell(stage.summary), f"{stage.seconds:.1f} s")
            rows.append("| " + " | ".join(cells) + " |")
    for finding in _all(verdicts):
        place = f"{shown(finding.path)}:{finding.line}"
        rows += ["", f"- {cell(place)} **{cell(finding.rule)}**: {cell(finding.message)}"]
        if finding.suggestion:
            rows.append(f"  ({cell(finding.suggestion)})")
        if finding.details:
            rows += ["", *markdown_block(finding.details, "diff", "  ")]
    return "\n".join(rows) + "\n"


def junit(verdicts: Iterable[Verdict]) -> str:
    """Return JUnit XML: a suite for each stage of a document, a failure for each finding."""
    suites = [
        suite(f"{path} {stage.name}", _cases(stage, path), stage.seconds)
        for verdict in verdicts
        for path in (shown(verdict.course.document.path),)
        for stage in verdict.stages
    ]
    return document("labwright gate", suites)


def _cases(stage: Stage, path: str) -> list[Case]:
    if stage.findings:
        return [_case(finding) for finding in stage.findings]
    case = Case(stage.name, path, round(stage.seconds, 3))
    case.file = path
    if stage.problem:
        case.result = Error(line(stage.problem))
    elif stage.skipped:
        case.result = Skipped(line(stage.skipped))
    return [case]


def _case(finding: Finding) -> Case:
    path = shown(finding.path)
    case = Case(f"{finding.rule} line {finding.line}", path, 0.0)
    case.file = path
    case.line = finding.line
    failure = Failure(line(finding.message), finding.rule)
    parts = (f"{path}:{finding.line}:{finding.column}", finding.details, _advice(finding))
    failure.text = visible("\n".join(filter(None, parts)))
    case.result = failure
    return case


def sarif(verdicts: Sequence[Verdict]) -> str:
    """Return SARIF 2.1.0, which code hosts and editors show next to the lines."""
    found = _all(verdicts)
    about = {f"lint/{name}": rule.why for name, rule in RULES.items()}
    about.update({finding.rule: finding.why for finding in found if finding.why})
    rules = [
        {
            "id": name,
            "shortDescription": {"text": name.partition("/")[2].replace("-", " ")},
            "fullDescription": {"text": why},
            "defaultConfiguration": {"level": "error"},
        }
        for name, why in sorted(about.items())
    ]
    driver: dict[str, Any] = {
        "name": "labwright",
        "version": labwright.__version__,
        "rules": rules,
    }
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [_result(finding, numbers) for finding in found]
    log = {
        "$schema": HOME,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [_invocation(_problems(verdicts))],
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _invocation(problems: list[str]) -> dict[str, Any]:
    """Return SARIF's invocation, which tells "no findings" from "could not be run"."""
    notes = [{"level": "error", "message": {"text": visible(problem)}} for problem in problems]
    return {"executionSuccessful": not problems, "toolExecutionNotifications": notes}


def _result(finding: Finding, numbers: dict[Any, int]) -> dict[str, Any]:
    text = "\n".join(filter(None, (finding.message, finding.details, finding.suggestion)))
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": "error",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(shown(finding.path))},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }
    if finding.rule in numbers:
        result["ruleIndex"] = numbers[finding.rule]
    return result


def _advice(finding: Finding) -> str:
    return "\n".join(filter(None, (finding.why, finding.suggestion)))


def _all(verdicts: Iterable[Verdict]) -> list[Finding]:
    return [f for verdict in verdicts for stage in verdict.stages for f in stage.findings]


def _problems(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the problems because of which a document could not be tested."""
    return [
        f"{shown(verdict.course.document.path)}: {stage.name}: {stage.problem}"
        for verdict in verdicts
        for stage in verdict.stages
        if stage.problem
    ]
