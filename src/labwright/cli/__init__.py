"""The command line: thin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import labwright
from labwright.cli import (
    board,
    checks,
    classroom,
    client,
    collect,
    conform,
    course,
    document,
    gate,
    grade,
    hand_out,
    images,
    lab,
    mistakes,
    new,
    submit,
    vm,
)
from labwright.cli import open as open_command
from labwright.cli.options import add_lab, add_student, add_system
from labwright.errors import LabwrightError
from labwright.grading.step_check import HINTS
from labwright.host.extras import explain
from labwright.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\
examples:
  labwright demo                          do the lab on a real machine and grade it
  labwright check                         check this machine
  labwright check --part 2                only part 2, and what it needs
  labwright check --target vm:a --repeat 20
  labwright regrade ann/score.json --out ann-again
  labwright check --target ssh://ann@10.1.2.3 --out ann
  labwright grade class.csv --out lab1
  labwright perform --target vm:a --upto service-created
  labwright vm up a --state deployed

exit status of check and demo: 0 all passed, 1 something failed or blocked,
2 wrong usage, 3 something broken (ours or the network's: not a grade)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status. Bad input is one sentence and exit status 2."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ModuleNotFoundError as problem:
        lacking = explain(problem)
        if lacking is None:
            raise
        print(f"labwright: {lacking}", file=sys.stderr)  # noqa: T201
        return 2
    except LabwrightError as problem:
        print(f"labwright: {visible(str(problem))}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="labwright",
        description="Performs, verifies and grades hands-on labs on real machines.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"labwright {labwright.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="perform the lab on a real machine, grade it, report")
    add_lab(demo)
    add_system(demo)
    _output(demo)
    demo.set_defaults(run=lab.demo)

    perform = commands.add_parser("perform", help="play the student: do what the lab says")
    add_lab(perform)
    _target(perform)
    perform.add_argument("--upto", metavar="STEP", help="stop after this step")
    perform.set_defaults(run=lab.perform_lab)

    check = commands.add_parser(
        "check",
        help="check and grade a machine",
        epilog="Nothing is changed on the machine; requests are sent through its load balancer.",
    )
    add_lab(check)
    _target(check)
    check.add_argument("--part", type=int, metavar="N", help="only this part of the document")
    check.add_argument(
        "--step", action="append", default=[], metavar="ID", help="only this step, and its needs"
    )
    check.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    add_student(check)
    check.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="grade so often, and tell what is flaky"
    )
    check.add_argument(
        "--watch", action="store_true", help="keep the checklist and follow the machine"
    )
    check.add_argument("--deploy", action="store_true", help="bring the lab up first, down after")
    _output(check)
    check.set_defaults(run=lab.check)

    regrade = commands.add_parser(
        "regrade",
        help="judge again what was seen, after a change of points or thresholds",
        epilog="Without the machine. What was not asked when it was graded is broken, not guessed.",
    )
    regrade.add_argument(
        "score", type=Path, metavar="score.json|DIR", help="a score, or the folder of a class"
    )
    regrade.add_argument("--apply", action="store_true", help="of a class: keep what changes")
    regrade.add_argument("--rule", type=Path, metavar="FILE", help="of a class: its rule")
    regrade.add_argument("--lab", metavar="LAB", help="its lab, if not the one of that name")
    regrade.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    add_student(regrade)
    _writing(regrade)
    regrade.set_defaults(run=lab.regrade)

    open_command.add_parser(commands)
    board.add_parser(commands)
    new.add_parser(commands)
    checks.add_parser(commands)
    document.add_parser(commands)
    gate.add_parser(commands)
    mistakes.add_parser(commands)
    grade.add_parser(commands)
    submit.add_parser(commands)
    collect.add_parser(commands)
    course.add_parser(commands)
    classroom.add_parser(commands)
    hand_out.add_parser(commands)
    vm.add_parser(commands)
    images.add_parser(commands)
    client.add_parser(commands)
    conform.add_parser(commands)

    test = commands.add_parser("test", help="run labwright's own tests (in a checkout)")
    test.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="...")
    test.set_defaults(run=lab.run_tests)
    return parser


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        metavar="T",
        help="local, ssh://[user@]host[:port] or vm:NAME "
        "(default: this machine if it can run the lab, else a guest)",
    )


def _output(parser: argparse.ArgumentParser) -> None:
    _writing(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="of the load's random profile")
    parser.add_argument("--alluredir", type=Path, metavar="DIR", help="write Allure results there")


def _writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write score.json, report.html and junit.xml there"
    )
    parser.add_argument("--json", metavar="FILE", help="write the score there; - is the output")
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="append a summary in Markdown there"
    )
    parser.add_argument(
        "--hints", choices=HINTS, default="full", help="how much a failed step gives away"
    )


if __name__ == "__main__":
    sys.exit(main())
