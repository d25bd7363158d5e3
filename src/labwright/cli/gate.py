"""``labwright gate``: tests whether a lab's document is correct."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.cli.options import add_system
from labwright.errors import LabwrightError, UsageError
from labwright.gate import formats, lock, perform, stages
from labwright.gate.changes import Change, changes
from labwright.gate.stages import Stage
from labwright.gate.variants import tried
from labwright.host.console import Console
from labwright.host.files import append_text, write_text
from labwright.lab.definition import load_lab
from labwright.lab.document import Document
from labwright.lab.instructions import pieces
from labwright.lab.model import DEFAULT
from labwright.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.gate.stages import Course, Verdict

EXAMPLES = """\
examples:
  labwright gate                          the default lab, all three stages
  labwright gate labs/mine --only perform --target vm:a
  labwright gate labs/mine --only lint    one stage
  labwright gate notes.md --only lint     a document without a lab
  labwright gate labs/mine --update       show the changes, and lock the document
  labwright gate labs/*/ --github --sarif gate.sarif --summary "$GITHUB_STEP_SUMMARY"

The third stage follows the document on a new lab machine, which is removed afterwards. It is
not run if the first two stages have findings, unless --only perform asks for it.

exit status: 0 passed, 1 findings, 2 wrong usage, or the gate could not be run
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``gate``."""
    parser = commands.add_parser(
        "gate",
        help="compare a lab's document with its definition, lint it, perform it",
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
        choices=stages.STAGES,
        default=[],
        metavar="STAGE",
        help="cover, lint or perform; may be given again (default: all three)",
    )
    parser.add_argument(
        "--update", action="store_true", help="show the changes in the document, and lock it"
    )
    parser.add_argument(
        "--target",
        metavar="T",
        help="the machine for perform: vm:NAME, ssh://[user@]host[:port] or local "
        "(default: a new lab machine)",
    )
    add_system(parser)
    parser.add_argument(
        "--variants",
        type=int,
        default=0,
        metavar="N",
        help="also perform N students' editions of the document, each on its own machine",
    )
    parser.add_argument("--github", action="store_true", help="print GitHub's annotations")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="write SARIF 2.1.0 there")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML to this file")
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="append a summary in Markdown to this file"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the gate; see ``labwright gate --help``."""
    courses = [stages.read(name, Path(name)) for name in arguments.lab]
    console = Console(highlight=False)
    if arguments.update:
        if arguments.only not in ([], ["cover"]):
            raise UsageError("--update works only with the stage cover: leave out --only")
        for course in courses:
            _update(course, console)
        arguments.only = ["cover"]
    verdicts = []
    for course in courses:
        verdicts.append(stages.Verdict(course, tuple(_stages(course, arguments))))
        formats.terminal(verdicts[-1], console)
    _write(arguments, verdicts)
    if any(stage.problem for verdict in verdicts for stage in verdict.stages):
        return 2
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _stages(course: Course, arguments: argparse.Namespace) -> Iterator[Stage]:
    """Run the requested stages; the slow one only if the others have no findings."""
    found = False
    for name in arguments.only or stages.STAGES:
        if name == "perform":
            continue
        stage = stages.run_cover(course) if name == "cover" else stages.run_lint(course)
        found = found or not stage.passed
        yield stage
    if arguments.only and "perform" not in arguments.only:
        return
    if course.lock is None:
        if arguments.only:
            raise UsageError(
                f"{course.document.path} has no lab.toml beside it, so it cannot be performed"
            )
        return
    if found:
        why = "not run because of the findings above; --only perform runs it anyway"
        yield Stage("perform", (), 0, "", skipped=why)
        return
    system = arguments.system
    yield stages.run_perform(course, lambda: perform.follow(course, arguments.target, system))
    if arguments.variants and course.lab:
        for values in tried(course.lab, arguments.variants):
            lab = load_lab(course.lab.folder, values)
            own = stages.Course(Document.of(lab), lab, None)
            stage = stages.run_perform(own, partial(perform.follow, own, arguments.target, system))
            named = ", ".join(f"{key} {value}" for key, value in values.items())
            yield replace(stage, summary=f"{named}: {stage.summary}")


def _update(course: Course, console: Console) -> None:
    """Show all changes since the document was locked, and lock it again."""
    if course.lock is None:
        raise UsageError(f"{course.document.path} cannot be locked: no lab.toml is beside it")
    said = pieces(course.document)
    try:
        locked = lock.read(course.lock) or []
    except LabwrightError as problem:
        why = visible(str(problem))
        console.print(Text(f"{why}\nthe whole document is shown as new"), soft_wrap=True)
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
        console.print(Text(f"  {visible(row)}", style), soft_wrap=True)


def _write(arguments: argparse.Namespace, verdicts: list[Verdict]) -> None:
    if arguments.github:
        sys.stdout.write(formats.github(verdicts))
    if arguments.sarif:
        write_text(arguments.sarif, formats.sarif(verdicts))
    if arguments.junit:
        write_text(arguments.junit, formats.junit(verdicts))
    if arguments.summary:
        append_text(arguments.summary, formats.markdown(verdicts))
