"""``labwright collect``: grades the files that a class has handed in."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import collect, grade_rule, outputs, pool, roster
from labwright.batch.challenge import Challenge
from labwright.batch.folder import Folder
from labwright.batch.grading import Grading
from labwright.batch.view import ClassView
from labwright.cli.grade import (
    INTERRUPTED,
    NOT_ALL,
    OUT,
    add_book_options,
    add_roster_options,
    assignment_of,
    own_editions,
    platforms_of,
    show,
    stopping,
)
from labwright.cli.options import add_lab, add_variants
from labwright.grading.run import RunOptions
from labwright.grading.step_check import HINTS
from labwright.host.console import Console
from labwright.host.temporary import Scratch
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.reports.wording import plural

if TYPE_CHECKING:
    import argparse

    from labwright.batch.stop import Stop

EPILOG = """\
Each record is judged by your own definition of the lab; the points in a file are not
trusted. Anything unusual is printed and noted in the gradebook. A file is collected only once.

exit status: 0 every file was graded, 2 wrong usage, 3 some were not
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``collect``."""
    import argparse

    parser = commands.add_parser(
        "collect",
        help="collect and grade the files made with `labwright submit`",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "files",
        type=Path,
        nargs="+",
        metavar="DIR|FILE.lab",
        help="files that were handed in, or folders with them",
    )
    add(
        "--roster",
        type=Path,
        required=True,
        help="the students of the class; targets are not needed",
    )
    add("--out", type=Path, default=OUT, metavar="DIR", help=f"the class's folder ({OUT})")
    add_lab(parser)
    add_variants(parser)
    add("--challenge", metavar="TEXT", help="grade only files that answer it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab")
    add("--hints", choices=HINTS, default="full", help="how much of a hint is shown")
    add_roster_options(parser)
    add_book_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Collect the files; see ``labwright collect --help``."""
    lab = load_lab(find_lab(arguments.lab))
    lab.values_with(arguments.set)
    challenge = Challenge.parse(arguments.challenge) if arguments.challenge else None
    how = roster.Reading(
        arguments.targets, arguments.encoding, arguments.skip_bad_rows, needs_target=False
    )
    read = roster.read(arguments.roster, lab, how)
    files = collect.files_in(arguments.files)
    grades = grade_rule.load(arguments.rule)
    folder = Folder(arguments.out)
    read, drawn = own_editions(read, lab, arguments)
    options = RunOptions(settings=tuple(arguments.set), hints=arguments.hints)
    grading = Grading(read.students, lab, folder, options, 0, drawn)
    console = Console(stderr=True)
    view = ClassView(console, 0, {})
    for note in (*read.notes, *(f"left out: {mistake}" for mistake in read.skipped)):
        view.say(note)

    def spread(groups: Any, stop: Stop, listener: Any) -> None:
        pool.spread(groups, 0, stop, folder.workers_lock, listener)

    with folder.locked(), Scratch() as place, stopping(view) as stop:
        grading.begin(random.SystemRandom().randrange(1 << 31), resume=True)
        folder.keep_roster(read.students)
        grade_rule.keep(folder, arguments.rule, resume=True)
        grading.count(arguments.counts or grading.policy)
        assignment = assignment_of(folder, arguments)
        known = {a.file for a in folder.journal.attempts if a.file and collect.settled(a)}
        handed_in, refused = collect.sort_out(files, read.students, lab, known)
        taken = collect.judge(grading, lab, handed_in, options, challenge, spread, stop, place)
        new = [one for one in refused if not one.before]
        for one in [*sorted(taken, key=lambda t: t.student), *new]:
            console.print(Text(f"  {one.text}"), soft_wrap=True, highlight=False)
        if len(new) < len(refused):
            many = plural(len(refused) - len(new), "file")
            console.print(f"  {many} had been collected earlier", highlight=False)
        book = outputs.write(grading, lab, folder, grades, platforms_of(arguments), assignment)
        show(console, book)
    if stop.reason:
        return INTERRUPTED
    bad = [one for one in taken if not one.graded]
    return NOT_ALL if new or bad or read.skipped else 0
