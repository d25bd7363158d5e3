"""``labwright document``: writes a lab's document, or a student's own edition of it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from labwright.cli.options import add_student, student_settings
from labwright.errors import UsageError
from labwright.lab.edition import as_html, as_markdown, edition
from labwright.lab.model import DEFAULT, find_lab

EXAMPLES = """\
examples:
  labwright document gorb                         the document, in Markdown
  labwright document gorb --html --out gorb.html
  labwright document gorb --student ann --secret-file course.secret --html --out ann.html
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``document``."""
    parser = commands.add_parser(
        "document",
        help="write a lab's document, or a student's own edition of it",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "lab",
        nargs="?",
        default=DEFAULT,
        metavar="LAB",
        help=f"a lab's name or folder (default: {DEFAULT})",
    )
    add_student(parser)
    parser.add_argument(
        "--settings",
        action="store_true",
        help="print the student's values instead, as options for check and submit",
    )
    parser.add_argument("--html", action="store_true", help="write HTML, not Markdown")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to this file, not to standard output"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write a document; see ``labwright document --help``."""
    folder = find_lab(arguments.lab)
    settings = student_settings(folder, arguments)
    if arguments.settings:
        if not settings:
            raise UsageError("--settings needs --student")
        sys.stdout.write(shlex.join(f"--set={setting}" for setting in settings) + "\n")
        return 0
    lab = edition(folder, settings)
    text = as_html(lab) if arguments.html else as_markdown(lab)
    if arguments.out is None:
        sys.stdout.write(text)
        return 0
    try:
        arguments.out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"cannot write {arguments.out}: {problem.strerror}") from None
    return 0
