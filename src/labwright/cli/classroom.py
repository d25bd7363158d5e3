"""``labwright classroom``: prints a score for GitHub Classroom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.errors import LabwrightError, UsageError
from labwright.reports import classroom
from labwright.score import Score

if TYPE_CHECKING:
    import argparse


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``classroom``."""
    parser = commands.add_parser(
        "classroom",
        help="print a score for GitHub Classroom's reporter",
        epilog='In a workflow: labwright classroom score.json >>"$GITHUB_OUTPUT"',
    )
    parser.add_argument("score", type=Path, metavar="score.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the outputs; see ``labwright classroom --help``."""
    path: Path = arguments.score
    try:
        score = Score.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, LabwrightError) as problem:
        raise UsageError(f"{path}: not a readable score: {problem}") from None
    sys.stdout.write(classroom.outputs(score))
    return 0
