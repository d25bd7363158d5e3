"""The command line: thin. Only the module of the command that runs is loaded."""

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
    "demo": ("one_lab", "perform the lab on a real machine, grade it, report"),
    "perform": ("one_lab", "do a lab: run the commands of its document"),
    "check": ("one_lab", "check and grade a machine"),
    "regrade": ("one_lab", "judge again what was seen, after a change of points or thresholds"),
    "open": (
        "open",
        "do a lab in the browser: document, terminals and verdict in one page",
    ),
    "board": ("board", "see a class while it works: who is stuck where, and since when"),
    "new": ("new", "make a skeleton lab, which passes the gate"),
    "checks": ("checks", "list what a step can claim or check, with parameters and examples"),
    "document": ("document", "write a lab's document, or a student's own edition of it"),
    "gate": ("gate", "compare a lab's document with its definition, lint it, perform it"),
    "mistakes": ("mistakes", "test that the checks catch the known mistakes"),
    "grade": ("grade", "grade a class of machines, into a gradebook"),
    "submit": ("submit", "make the file that you hand in"),
    "challenge": ("submit", "print a challenge to give out, which nobody can know in advance"),
    "collect": ("collect", "take in the files that students made with `labwright submit`"),
    "course": ("course", "the labs of a term: everybody's grades in one gradebook"),
    "classroom": (
        "classroom",
        "print a score for GitHub Classroom's reporter",
    ),
    "hand-out": ("hand_out", "put the reports together for Moodle, Gradescope, or as a folder"),
    "vm": ("vm", "lab machines: QEMU guests"),
    "images": ("images", "a lab's images, for a machine's Docker"),
    "client": ("client", "send a load that varies, and watch it"),
    "conform": ("conform", "test whether a daemon answers as Gorb does"),
    "completion": ("completion", "print the completion script for a shell"),
    "test": ("one_lab", "run labwright's own tests (in a checkout)"),
}
"""Each command with the module that has it, and what it is for in a line."""
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
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser_for(argv).parse_args(argv)
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


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows all commands by name, and all of the one that is run."""
    wanted = next((word for word in argv if not word.startswith("-")), "")
    return _parser({COMMANDS[wanted][0]} if wanted in COMMANDS else set())


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser that knows all of every command. Slow: it loads all their modules."""
    return _parser({home for home, _ in COMMANDS.values()})


def _parser(modules: Container[str]) -> argparse.ArgumentParser:
    """Return a parser that knows all of the commands of some modules, others by name."""
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
