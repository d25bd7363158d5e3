"""``labwright grade``: grades the class of a roster, and writes a gradebook."""

from __future__ import annotations

import os
import random
import signal
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import (
    cluster,
    grade_rule,
    gradebook_platforms,
    outputs,
    own_values,
    pool,
    roster,
)
from labwright.batch.attempts import POLICIES
from labwright.batch.folder import Folder
from labwright.batch.gradebook_platforms import Assignment
from labwright.batch.grading import Deadline, Grading
from labwright.batch.journal import Setting
from labwright.batch.stop import Stop
from labwright.batch.view import ClassView
from labwright.cli.options import SECRET, add_lab, add_variants, variants_secret
from labwright.errors import UsageError
from labwright.grading.run import RunOptions
from labwright.grading.step_check import HINTS, bind
from labwright.host.console import Console
from labwright.host.temporary import Scratch
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.reports.wording import plural
from labwright.text import line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from labwright.batch.grading import Spread
    from labwright.batch.roster import Roster
    from labwright.lab.model import Lab

INTERRUPTED = 130
NOT_ALL = 3
"""Exit status when some students could not be graded; the same as for a broken check."""
OUT = Path("labwright-class")
EXAMPLES = """\
examples:
  labwright grade class.csv --dry-run                 only test the connections
  labwright grade class.csv --out lab1 --moodle       grade, and write a CSV for Moodle
  labwright grade class.csv --out lab1 --resume       only students without a grade

exit status: 0 everybody was graded, 2 wrong usage, 3 some could not be graded,
130 interrupted
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``grade``."""
    import argparse

    grade = commands.add_parser(
        "grade",
        help="grade a class of machines, into a gradebook",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = grade.add_argument
    add(
        "roster",
        type=Path,
        metavar="ROSTER",
        help="CSV, .xlsx or YAML: id, target, name, email, ...",
    )
    add_roster_options(grade)
    add_lab(grade)
    add_variants(grade)
    add("--out", type=Path, default=OUT, metavar="DIR", help=f"output folder (default: {OUT})")
    add("-n", default="auto", metavar="N", help="students at once (default: auto, by the cores)")
    add("--dask", metavar="ADDRESS", help="use a Dask cluster: tcp://host:8786")
    add("--resume", action="store_true", help="continue with students without a grade")
    add("--again", action="store_true", help="with --resume: grade again, keep both attempts")
    add("--dry-run", action="store_true", help="only test the connections; write nothing")
    add("--only", action="append", default=[], metavar="ID", help="only this student")
    add(
        "--limit",
        type=float,
        default=300,
        metavar="S",
        help="seconds for each student (default: 300)",
    )
    add("--total-limit", type=float, metavar="S", help="seconds for the whole class")
    add("--part", type=int, metavar="N", help="only this part of the document")
    add(
        "--step",
        action="append",
        default=[],
        metavar="ID",
        help="only this step, and steps it needs",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab")
    add(
        "--hints",
        choices=HINTS,
        default="full",
        help="how much of a hint is shown",
    )
    add("--seed", type=int, metavar="N", help="the random seed (default: a new one)")
    add("--names", action="store_true", help="also show names while grading")
    add_book_options(grade)
    grade.set_defaults(run=run)


def add_roster_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for reading a roster."""
    add = parser.add_argument
    add(
        "--targets",
        type=Path,
        metavar="FILE",
        help="CSV with id and target, if ROSTER has no targets",
    )
    add(
        "--encoding",
        metavar="NAME",
        help="encoding of the CSV, if not UTF-8: cp1252, mac_roman, ...",
    )
    add("--skip-bad-rows", action="store_true", help="report wrong rows, grade the others")


def add_book_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the gradebook."""
    add = parser.add_argument
    add("--counts", choices=POLICIES, help="which attempt counts (default: best)")
    add("--rule", type=Path, metavar="FILE", help="a grade rule in Python; none: no rule")
    for platform in gradebook_platforms.NAMES:
        add(f"--{platform}", action="store_true", help=f"also write for {platform.capitalize()}")
    add("--assignment", metavar="NAME", help='its name on the platform; on Canvas "Name (ID)"')
    add("--points", type=float, metavar="N", help="its maximum on the platform; grades are scaled")
    add(
        "--moodle-by",
        choices=gradebook_platforms.MOODLE_BY,
        help="how Moodle finds a user (idnumber)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Grade a class; see ``labwright grade --help``."""
    lab = load_lab(find_lab(arguments.lab))
    _validate(lab, arguments)
    how = roster.Reading(arguments.targets, arguments.encoding, arguments.skip_bad_rows)
    read = roster.read(arguments.roster, lab, how)
    read, drawn = own_editions(read, lab, arguments)
    students = [s for s in read.students if not arguments.only or s.id in arguments.only]
    unknown = set(arguments.only) - {student.id for student in students}
    if unknown:
        raise UsageError(f"--only: not in the roster: {', '.join(sorted(unknown))}")
    grades = grade_rule.load(arguments.rule)
    workers = _workers(arguments.n, len(students))
    console = Console(stderr=True)
    folder = Folder(arguments.out)
    # The outputs have the whole class, even when only some students are graded.
    grading = Grading(read.students, lab, folder, options_of(arguments), arguments.limit, drawn)
    names = {student.id: student.name for student in students} if arguments.names else {}
    view = ClassView(console, 0 if arguments.dask else workers, names)
    for note in (*read.notes, *(f"left out: {mistake}" for mistake in read.skipped)):
        view.say(note)
    if read.unused:
        view.say(f"columns that only a grade rule can use: {line(', '.join(read.unused), 200)}")

    def spread(tasks: Any, stop: Stop, listener: Any) -> None:
        if arguments.dask:
            cluster.spread(tasks, arguments.dask, stop, listener)
        else:
            pool.spread(
                tasks, min(workers, len(tasks)), stop, grading.folder.workers_lock, listener
            )

    grading.only = {student.id for student in students}
    if arguments.dry_run:
        return _try(grading, spread, view, console)
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    with folder.locked():
        grading.begin(seed, resume=arguments.resume)
        folder.keep_roster(read.students)
        grade_rule.keep(folder, arguments.rule, resume=arguments.resume)
        assignment = assignment_of(folder, arguments)
        grading.count(arguments.counts or grading.policy)
        grading.again = set(grading.only) if arguments.again else set()
        if not grading.missing:
            view.say("every student has a grade; to grade one again: --only ID --again")
        with stopping(view) as stop:
            try:
                with Deadline(stop, arguments.total_limit), view:
                    grading.run(spread, view, stop)
            finally:
                book = outputs.write(
                    grading, lab, folder, grades, platforms_of(arguments), assignment
                )
        show(console, book)
    if stop.reason:
        console.print(Text(f"{stop.reason}: continue with --resume"), soft_wrap=True)
        return INTERRUPTED
    return NOT_ALL if grading.missing or read.skipped else 0


def own_editions(read: Roster, lab: Lab, arguments: argparse.Namespace) -> tuple[Roster, str]:
    """Return the roster with the values of each student's edition, and the secret's fingerprint."""
    secret = variants_secret(lab, arguments)
    if not secret:
        if lab.variants and SECRET in os.environ:
            said = f"${SECRET} is set and the lab has variants, but all are graded by the usual"
            read = replace(
                read, notes=(*read.notes, f"{said} edition: give --variants to change that")
            )
        return read, ""
    students = own_values.with_own_values(read.students, lab, secret)
    return replace(read, students=students), own_values.fingerprint(lab, secret)


def show(console: Console, book: outputs.Book) -> None:
    """Print the files that were written, and the summary."""
    console.print(Text(book.summary), soft_wrap=True, highlight=False)
    for note in book.notes:
        console.print(Text(note), soft_wrap=True, highlight=False)
    for path in book.files:
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def _try(grading: Grading, spread: Spread, view: ClassView, console: Console) -> int:
    """Test the connections to all machines, without writing anything."""
    with Scratch() as place:
        if not grading.folder.path.is_dir():
            grading.folder = Folder(place)
        with stopping(view) as stop, view:
            grading.run(spread, view, stop, dry=True)
    records = {id: record for id, record in grading.records.items() if id in grading.only}
    lost = {id: record.problem for id, record in records.items() if record.problem}
    reached = len(records) - len(lost)
    console.print(f"{reached} of {plural(len(records), 'machine')} can be reached")
    for id, problem in lost.items():
        console.print(Text(f"  {id}: {line(problem, 300)}"), soft_wrap=True, highlight=False)
    return INTERRUPTED if stop.reason else NOT_ALL if lost else 0


def _validate(lab: Lab, arguments: argparse.Namespace) -> None:
    """Check the options before any machine is contacted."""
    values = lab.values_with(arguments.set)
    for step in lab.selected(arguments.part, arguments.step):
        bind(lab, step, values)
    for name in ("limit", "total_limit"):
        limit = getattr(arguments, name)
        if limit is not None and not limit > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be more than 0 seconds")


def options_of(arguments: argparse.Namespace) -> RunOptions:
    """Return the options of the run, the same for all students."""
    return RunOptions(
        part=arguments.part,
        steps=tuple(arguments.step),
        settings=tuple(arguments.set),
        hints=arguments.hints,
    )


def _workers(text: str, students: int) -> int:
    if text == "auto":
        return pool.workers_for(students)
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1000):
        raise UsageError(f"-n is {text!r}: give a number from 1 to 1000, or auto")
    return min(int(text), students)


def platforms_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the platforms whose options are given."""
    return tuple(name for name in gradebook_platforms.NAMES if getattr(arguments, name))


def assignment_of(folder: Folder, arguments: argparse.Namespace) -> Assignment:
    """Return the assignment on the platform, from these options or from an earlier command."""
    before = Assignment.of(folder)
    given = {
        "name": arguments.assignment,
        "points": arguments.points,
        "moodle_by": arguments.moodle_by,
    }
    now = replace(before, **{key: value for key, value in given.items() if value is not None})
    now.check()
    if now != before:
        folder.journal.write(Setting("assignment", asdict(now)))
    return now


@contextmanager
def stopping(view: ClassView) -> Iterator[Stop]:
    """Handle Ctrl-C: the first finishes the running students, the second abandons them."""
    with Scratch() as place:
        stop = Stop(place)

        def asked(_number: int, _frame: object) -> None:
            if stop.finishing:
                stop.abandon("interrupted")
                view.say("abandoning the students that are being graded")
            else:
                stop.finish("interrupted")
                view.say("finishing the students that are being graded; Ctrl-C again abandons them")

        before = {
            number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
