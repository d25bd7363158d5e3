"""``labwright gate``: is the document right?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from labwright.course import formats, gate, lock
from labwright.course.changes import Change, changes
from labwright.course.instructions import pieces
from labwright.errors import LabwrightError, UsageError
from labwright.lab import DEFAULT

if TYPE_CHECKING:
    from labwright.course.gate import Course, Stage, Verdict

EXAMPLES = """\
examples:
  labwright gate                          the lab: covered and linted
  labwright gate labs/mine --only lint    one stage
  labwright gate notes.md --only lint     a document that belongs to no lab
  labwright gate labs/mine --update       show what has changed, and lock it
  labwright gate labs/* --github --sarif gate.sarif --summary "$GITHUB_STEP_SUMMARY"

exit status: 0 passed, 1 something found, 2 wrong usage, or the gate could not be run
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``gate``."""
    parser = commands.add_parser(
        "gate",
        help="hold a lab's document against its definition, and lint it",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "lab",
        nargs="*",
        default=[DEFAULT],
        metavar="LAB|FILE.md",
        help=f"a lab's name or folder, or a document (default: {DEFAULT})",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=gate.STAGES,
        default=[],
        metavar="STAGE",
        help="cover or lint; may be given again (default: both)",
    )
    parser.add_argument(
        "--update", action="store_true", help="show what the document says anew, and lock it"
    )
    parser.add_argument("--github", action="store_true", help="print GitHub's annotations")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="write SARIF 2.1.0 there")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there")
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="append a summary in Markdown there"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the gate; see ``labwright gate --help``."""
    courses = [gate.read(name, Path(name)) for name in arguments.lab]
    console = Console(highlight=False)
    if arguments.update:
        if arguments.only not in ([], ["cover"]):
            raise UsageError("--update goes with the stage cover only")
        for course in courses:
            _update(course, console)
        arguments.only = ["cover"]
    verdicts = []
    for course in courses:
        stages: list[Stage] = []
        verdict = gate.Verdict(course)
        for name in gate.STAGES:
            if not arguments.only or name in arguments.only:
                stages.append(_stage(name, course))
                verdict = gate.Verdict(course, tuple(stages))
        formats.terminal(verdict, console)
        verdicts.append(verdict)
    _write(arguments, verdicts)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _stage(name: str, course: Course) -> Stage:
    return gate.run_cover(course) if name == "cover" else gate.run_lint(course)


def _update(course: Course, console: Console) -> None:
    """Show every change to what was locked, and lock what the document says now."""
    if course.lock is None:
        raise UsageError(f"{course.document.path} belongs to no lab: it has no lab.toml beside it")
    said = pieces(course.document)
    try:
        locked = lock.read(course.lock) or []
    except LabwrightError as problem:
        console.print(Text(f"{problem}\nall of the document is shown as new"), soft_wrap=True)
        locked = []
    found = changes(locked, said)
    for change in found:
        _show(change, course, console)
    if found or not course.lock.exists():
        lock.write(course.lock, said)
    number = f"{len(found)} change{'s' * (len(found) != 1)}" if found else "nothing has changed"
    console.print(Text(f"{formats.shown(course.lock)}: {number}"), soft_wrap=True)


def _show(change: Change, course: Course, console: Console) -> None:
    piece = change.piece
    where = f"{formats.shown(course.document.path)}:{change.line}"
    step = f", step {piece.step}" if piece.step else ""
    console.print(Text(f"{where}: {change.kind} {piece.kind}{step}", "bold"), soft_wrap=True)
    for row in change.difference().splitlines():
        style = {"+": "green", "-": "red"}.get(row[:1], "")
        console.print(Text(f"  {row}", style), soft_wrap=True)


def _write(arguments: argparse.Namespace, verdicts: list[Verdict]) -> None:
    if arguments.github:
        sys.stdout.write(formats.github(verdicts))
    try:
        if arguments.sarif:
            arguments.sarif.write_text(formats.sarif(verdicts), encoding="utf-8")
        if arguments.junit:
            arguments.junit.write_text(formats.junit(verdicts), encoding="utf-8")
        if arguments.summary:
            with arguments.summary.open("a", encoding="utf-8") as file:
                file.write(formats.markdown(verdicts))
    except OSError as problem:
        raise UsageError(f"cannot write {problem.filename}: {problem.strerror}") from None
