"""``labwright submit``: makes the file to hand in. ``labwright challenge``: prints a challenge."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import reach, submission
from labwright.batch.challenge import Challenge
from labwright.batch.student import ID
from labwright.cli.options import add_lab
from labwright.errors import UsageError
from labwright.grading.run import plan
from labwright.host.console import Console
from labwright.host.files import write_text
from labwright.lab.edition import edition
from labwright.lab.model import find_lab
from labwright.plugin.grade import grade
from labwright.reports import summary
from labwright.reports.terminal import Checklist
from labwright.vm.default_machine import choose
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    import argparse

EPILOG = """\
The machine is checked once more. The result and its record are written to one file, which you
hand in as your instructor says. The points in it are not trusted: the record is judged again.
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``submit`` and ``challenge``."""
    submit = commands.add_parser("submit", help="make the file to hand in", epilog=EPILOG)
    add = submit.add_argument
    add("--id", required=True, help="your student id from your instructor")
    add_lab(submit)
    add("--target", metavar="T", help="the machine (default: this one, or your guest)")
    add(
        "--challenge",
        metavar="TEXT",
        default="",
        help="the challenge from your instructor",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab")
    add("--out", type=Path, metavar="FILE", help=f"(default: LAB-ID{submission.SUFFIX})")
    submit.set_defaults(run=run)
    challenge = commands.add_parser(
        "challenge",
        help="print a new, unpredictable challenge for a class",
        epilog="Publish it when it begins; later run `labwright collect --challenge TEXT`.",
    )
    challenge.add_argument(
        "--hours", type=float, default=2, help="how long it is valid (default: 2)"
    )
    challenge.add_argument("--begins", metavar="TIME", help="in ISO 8601 (default: now)")
    challenge.set_defaults(run=print_challenge)


def run(arguments: argparse.Namespace) -> int:
    """Make the file; see ``labwright submit --help``."""
    if not ID.fullmatch(arguments.id):
        raise UsageError(f"--id: not an id: {arguments.id[:60]!r}")
    lab = edition(find_lab(arguments.lab), arguments.set)
    challenge = Challenge.parse(arguments.challenge) if arguments.challenge else None
    console = Console(stderr=True)
    target = arguments.target or choose(lab).target
    seed = challenge.seed(arguments.id) if challenge else None
    run = plan(lab, target, settings=arguments.set, seed=seed)
    checklist = Checklist(console, target)
    checklist.begin(lab, len(lab.steps))
    with closing(open_machine(target)) as machine:
        machine.prepare()
        identity = reach.identity_of(machine)
        score = grade(run, checklist, machine)
    checklist.end(score)
    values = dict(setting.partition("=")[::2] for setting in arguments.set)
    given = challenge.text if challenge else ""
    text = submission.make(score, lab, arguments.id, values, given, identity)
    path = write_text(arguments.out or Path(f"{lab.name}-{arguments.id}{submission.SUFFIX}"), text)
    console.print(Text(f"written: {path}: {summary.total(score)}; hand in this file"))
    return 0 if score.graded else 3


def print_challenge(arguments: argparse.Namespace) -> int:
    """Print a challenge; see ``labwright challenge --help``."""
    if not 0 < arguments.hours <= 24 * 366:
        raise UsageError(f"--hours is {arguments.hours:g}: it must be more than 0")
    try:
        begins = datetime.fromisoformat(arguments.begins) if arguments.begins else None
    except ValueError:
        raise UsageError(f"--begins: not a time: {arguments.begins!r}: 2026-11-28T10:00Z") from None
    sys.stdout.write(Challenge.new(arguments.hours, begins).text + "\n")
    return 0
