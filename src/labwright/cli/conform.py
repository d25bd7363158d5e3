"""``labwright conform``: tests whether a daemon answers as Gorb does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from labwright.components.conform.gorb import Gorb
from labwright.components.conform.run import CASES, Finding, Verdict, run
from labwright.errors import UsageError
from labwright.host.console import Console
from labwright.host.files import write_text
from labwright.text import line

if TYPE_CHECKING:
    import argparse

FORMAT = "labwright/conform/v1"
MARKS = {
    Verdict.CONFORMS: "[green]✓[/]",
    Verdict.DIFFERS: "[red]✗[/]",
    Verdict.LACKS: "[yellow]-[/]",
}
EPILOG = """\
Each request of Gorb's API is made, and its status, headers and body are compared. Everything
that is created is removed again. Services use 192.0.2.0/24, which is reserved for documentation.

Exit status: 0 it conforms, 1 it differs, 2 it cannot be tested.
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``conform``."""
    parser = commands.add_parser(
        "conform", help="test whether a daemon answers as Gorb does", epilog=EPILOG
    )
    parser.add_argument("url", metavar="http://HOST:4672", help="the daemon")
    parser.add_argument(
        "--beside-others",
        action="store_true",
        help="test it even if it has services; these are kept",
    )
    parser.add_argument(
        "--only", metavar="WORDS", default="", help="run only cases whose names contain these words"
    )
    parser.add_argument(
        "--own-port",
        type=int,
        metavar="PORT",
        help="the daemon's own address, if the URL is a tunnel (for its pulses)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the findings to this file; - is standard output"
    )
    parser.set_defaults(run=conform)


def conform(arguments: argparse.Namespace) -> int:
    """Test a daemon and report the differences; see ``labwright conform --help``."""
    wanted = arguments.only.lower()
    cases = tuple(case for case in CASES if wanted in f"{case.group}: {case.name}".lower())
    if not cases:
        raise UsageError(f"no case has {arguments.only!r} in its name")
    gorb = Gorb(arguments.url, arguments.own_port)
    console = Console(stderr=arguments.json == "-", highlight=False)
    findings: list[Finding] = []
    for finding in run(gorb, cases, beside_others=arguments.beside_others):
        if not findings or findings[-1].case.group != finding.case.group:
            console.print(f"\n[bold]{finding.case.group}[/]")
        findings.append(finding)
        _show(console, finding)
    console.print(f"\n{escape(gorb.url)}: {_summary(findings)}")
    if arguments.json:
        _write(arguments.json, gorb.url, findings)
    return 1 if any(one.verdict is Verdict.DIFFERS for one in findings) else 0


def _show(console: Console, finding: Finding) -> None:
    console.print(f"  {MARKS[finding.verdict]} {escape(finding.case.name)}")
    if finding.difference is None:
        return
    if finding.case.addition:
        console.print("      an addition of labwright; the original does not have it", style="dim")
        return
    if finding.case.original:
        console.print(f"      the original {finding.case.original}", style="dim")
    for word, text in (
        ("asked", finding.difference.asked),
        ("expected", finding.difference.expected),
        ("seen", finding.difference.seen),
    ):
        console.print(f"      {word:9}{escape(line(text))}")


def _summary(findings: list[Finding]) -> str:
    counts = [sum(one.verdict is verdict for one in findings) for verdict in Verdict]
    conform, differ, lack = counts
    text = f"{conform} of {len(findings)} cases conform, {differ} differ"
    return text + (f", {lack} about additions that it lacks" if lack else "")


def _write(where: str, url: str, findings: list[Finding]) -> None:
    cases = [
        {
            "group": case.group,
            "name": case.name,
            "verdict": verdict.name.lower(),
            "addition": case.addition,
            "of_the_original": case.original,
        }
        | ({"asked": found.asked, "expected": found.expected, "seen": found.seen} if found else {})
        for case, verdict, found in findings
    ]
    text = json.dumps({"schema": FORMAT, "url": url, "cases": cases}, indent=2) + "\n"
    if where == "-":
        sys.stdout.write(text)
        return
    write_text(Path(where), text)
