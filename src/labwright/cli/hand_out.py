"""``labwright hand-out``: packs the reports for handing back to students."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import course_folder, hand_out
from labwright.batch.course import read
from labwright.batch.folder import Folder
from labwright.host.console import Console

if TYPE_CHECKING:
    import argparse

OUT = "hand-out"
EPILOG = """\
folder: a page for each student. moodle: a zip for "upload multiple feedback files in a zip" of
an assignment; the roster needs the column participant, as in Moodle's grading worksheet.
gradescope: a zip for the autograder of an assignment; it returns each student's results.
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``hand-out``."""
    import argparse

    parser = commands.add_parser(
        "hand-out",
        help="pack the reports for students: a folder, Moodle or Gradescope",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", type=Path, metavar="DIR|course.toml", help="a class's folder, or a course")
    add("--as", dest="form", choices=hand_out.FORMS, default="folder", help="(default: folder)")
    add("--out", type=Path, metavar="DIR", help=f"(default: {OUT} there)")
    add("--only", action="append", default=[], metavar="LAB", help="only this lab of a course")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the reports; see ``labwright hand-out --help``."""
    console = Console(stderr=True)
    what: Path = arguments.what
    if what.is_dir():
        out = arguments.out or what / OUT
        done = [hand_out.write(hand_out.of_class(Folder(what)), arguments.form, out, what.name)]
    else:
        course, overrides = read(what)
        base = what.resolve().parent
        term = course_folder.read_term(base, course, overrides)
        out = arguments.out or base / OUT
        done = []
        for each in term.classes:
            if each.students and (not arguments.only or each.lab.id in arguments.only):
                reports = hand_out.of_rows(each.folder, course_folder.rows_of(term, each))
                done.append(hand_out.write(reports, arguments.form, out, each.lab.id))
    for one in done:
        console.print(Text(str(one)), soft_wrap=True, highlight=False)
    return 0 if done and not any(one.left_out for one in done) else 3
