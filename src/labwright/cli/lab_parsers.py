"""The parsers of the commands for one lab; :mod:`labwright.cli.lab_commands` runs them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.cli.options import add_lab, add_student, add_system
from labwright.grading.run import LIMIT_S
from labwright.grading.step_check import HINTS

if TYPE_CHECKING:
    from collections.abc import Callable


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``demo``, ``perform``, ``check``, ``regrade`` and ``test``."""
    _add_demo(commands)
    _add_perform(commands)
    _add_check(commands)
    _add_regrade(commands)
    test = commands.add_parser("test", help="run labwright's own tests (in a checkout)")
    test.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="...")
    test.set_defaults(run=_later("run_tests"))


def _add_demo(commands: argparse._SubParsersAction[Any]) -> None:
    demo = commands.add_parser("demo", help="perform the lab on a real machine, grade it, report")
    add_lab(demo)
    add_system(demo)
    _output(demo)
    demo.set_defaults(run=_later("demo"))


def _add_perform(commands: argparse._SubParsersAction[Any]) -> None:
    perform = commands.add_parser("perform", help="do a lab: run the commands of its document")
    add_lab(perform)
    _target(perform)
    perform.add_argument("--upto", metavar="STEP", help="stop after this step")
    perform.set_defaults(run=_later("perform_lab"))


def _add_check(commands: argparse._SubParsersAction[Any]) -> None:
    check = commands.add_parser(
        "check",
        help="check and grade a machine",
        epilog="Nothing is changed on the machine; requests are sent through its load balancer.",
    )
    add_lab(check)
    _target(check)
    check.add_argument("--part", type=int, metavar="N", help="only this part of the document")
    check.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="ID",
        help="only this step, and the steps it needs",
    )
    check.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    add_student(check)
    check.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="grade this many times, and report flaky steps",
    )
    check.add_argument(
        "--watch",
        action="store_true",
        help="keep the checklist on the terminal and follow the machine",
    )
    check.add_argument(
        "--limit",
        type=float,
        default=LIMIT_S,
        metavar="S",
        help=f"seconds for all steps (default: {LIMIT_S:g}); later steps are broken",
    )
    check.add_argument(
        "--deploy",
        action="store_true",
        help="start the lab's containers first, and remove them afterwards",
    )
    _output(check)
    check.set_defaults(run=_later("check"))


def _add_regrade(commands: argparse._SubParsersAction[Any]) -> None:
    regrade = commands.add_parser(
        "regrade",
        help="judge a record again, after a change of points or thresholds",
        epilog="The machine is not contacted. A step is broken if its questions are not recorded.",
    )
    regrade.add_argument(
        "score",
        type=Path,
        metavar="score.json|FILE.lab|DIR",
        help="a score, a handed-in file, or the folder of a class",
    )
    regrade.add_argument("--apply", action="store_true", help="for a class: save the changes")
    regrade.add_argument("--rule", type=Path, metavar="FILE", help="for a class: its grade rule")
    regrade.add_argument(
        "--lab", metavar="LAB", help="the lab, if not the one that the score names"
    )
    regrade.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    add_student(regrade)
    _writing(regrade)
    regrade.set_defaults(run=_later("regrade"))


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    """Return a function that imports and runs a command; ``--help`` does not import it."""

    def run(arguments: argparse.Namespace) -> int:
        from labwright.cli import lab_commands

        return int(getattr(lab_commands, name)(arguments))

    return run


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        metavar="T",
        help="local, ssh://[user@]host[:port] or vm:NAME "
        "(default: this machine if it can run the lab, else a guest)",
    )


def _output(parser: argparse.ArgumentParser) -> None:
    _writing(parser)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the seed of the load's random profile"
    )
    parser.add_argument(
        "--alluredir", type=Path, metavar="DIR", help="write Allure results to this folder"
    )


def _writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write score.json, report.html and junit.xml to this folder",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the score to this file; - is standard output"
    )
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="append a summary in Markdown to this file"
    )
    parser.add_argument(
        "--hints", choices=HINTS, default="full", help="how much of a hint is shown"
    )
