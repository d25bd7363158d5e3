"""The command line. Only the module of the command that runs is loaded."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import labwright
from labwright.errors import LabwrightError
from labwright.host.extras import explain
from labwright.text import visible

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

COMMANDS = {
    "demo": ("lab_parsers", "perform the lab on a real machine, grade it, report"),
    "perform": ("lab_parsers", "do a lab: run the commands of its document"),
    "check": ("lab_parsers", "check and grade a machine"),
    "regrade": ("lab_parsers", "judge a record again, after a change of points or thresholds"),
    "open": (
        "open",
        "do a lab in the browser: document, terminals and results on one page",
    ),
    "board": ("board", "watch a class at work: who is stuck, at which step, since when"),
    "new": ("new", "create a skeleton lab, which passes the gate"),
    "checks": ("checks", "list what a step can claim or check, with parameters and examples"),
    "document": ("document", "write a lab's document, or a student's own edition of it"),
    "gate": ("gate", "compare a lab's document with its definition, lint it, perform it"),
    "mistakes": ("mistakes", "test that the checks catch the known mistakes"),
    "grade": ("grade", "grade a class of machines, into a gradebook"),
    "submit": ("submit", "make the file to hand in"),
    "challenge": ("submit", "print a new, unpredictable challenge for a class"),
    "collect": ("collect", "collect and grade the files made with `labwright submit`"),
    "course": ("course", "the labs of a term: everybody's grades in one gradebook"),
    "classroom": (
        "classroom",
        "print a score for GitHub Classroom's reporter",
    ),
    "hand-out": ("hand_out", "pack the reports for students: a folder, Moodle or Gradescope"),
    "vm": ("vm", "lab machines: QEMU guests"),
    "images": ("images", "load a lab's images into a machine's Docker"),
    "client": ("client", "send a varying load and show its results"),
    "conform": ("conform", "test whether a daemon answers as Gorb does"),
    "completion": ("completion", "print a completion script for a shell"),
    "test": ("lab_parsers", "run labwright's own tests (in a checkout)"),
}
"""Maps each command to its module and a one-line description."""
EXAMPLES = """\
examples:
  labwright demo                          do the lab on a real machine and grade it
  labwright check                         check this machine
  labwright check --part 2                only part 2, and the steps that it needs
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
    """Run a command; return its exit status. Bad input gives one sentence and exit status 2."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser_for(argv).parse_args(argv)
        return _run(arguments)
    except ModuleNotFoundError as problem:
        lacking = explain(problem)
        if lacking is None:
            raise
        print(f"labwright: {lacking}", file=sys.stderr)  # noqa: T201
        return 2
    except LabwrightError as problem:
        print(f"labwright: {visible(str(problem))}", file=sys.stderr)  # noqa: T201
        return 2


def _run(arguments: argparse.Namespace) -> int:
    """Run a command; a ``sys.exit`` in a lab's file or a rule is an error, never a success."""
    try:
        return int(arguments.run(arguments))
    except SystemExit as end:
        raise LabwrightError(
            f"a Python file of the lab, or a rule, called sys.exit({end.code!r}), and so the "
            "command did not finish: remove that call"
        ) from None


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser with all commands, but with the options only of the command that runs."""
    wanted = next((word for word in argv if not word.startswith("-")), "")
    return _parser({COMMANDS[wanted][0]} if wanted in COMMANDS else set())


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser with all options of all commands. Slow: it imports all their modules."""
    return _parser({home for home, _ in COMMANDS.values()})


def _parser(modules: Container[str]) -> argparse.ArgumentParser:
    """Return a parser with all commands, but with the options only of those in some modules."""
    parser = argparse.ArgumentParser(
        prog="labwright",
        description="Performs, verifies and grades hands-on labs on real machines.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labwright {labwright.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (home, purpose) in COMMANDS.items():
        if home not in modules:
            commands.add_parser(name, help=purpose)
        elif name not in commands.choices:
            import_module(f"labwright.cli.{home}").add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
