"""``labwright course``: grades over all labs of a course, in one gradebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import course_folder
from labwright.batch.course import read
from labwright.errors import UsageError
from labwright.host.console import Console
from labwright.reports.wording import number, plural

if TYPE_CHECKING:
    import argparse

OUT = "course"
EPILOG = """\
course.toml lists the labs with their folders, dates, late rules and weights. overrides.toml
beside it has manual decisions. Nothing in the labs' folders is changed.

exit status: 0 all students have a grade in all labs, 2 wrong usage, 3 some grades are missing
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``course``."""
    import argparse

    parser = commands.add_parser(
        "course",
        help="the labs of a term: everybody's grades in one gradebook",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("course", type=Path, metavar="course.toml", help="the labs and the rules")
    add("--out", type=Path, metavar="DIR", help=f"(default: {OUT}, beside course.toml)")
    add("--moodle", action="store_true", help="write a file for Moodle for each lab")
    add("--canvas", action="store_true", help="write a file for Canvas for each lab")
    add("--student", metavar="ID", help="only show this student's grades, with the reasons")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the course's files and print a summary; see ``labwright course --help``."""
    course, overrides = read(arguments.course)
    base = arguments.course.resolve().parent
    term = course_folder.read_term(base, course, overrides)
    console = Console(stderr=True)
    if arguments.student:
        return _say_of_one(term, arguments.student, console)
    out = arguments.out or base / OUT
    wanted = [name for name in ("moodle", "canvas") if getattr(arguments, name)]
    files, notes = course_folder.write(term, out, wanted)
    complete = [one for one in term.standings.values() if one.total is not None]
    console.print(
        f"{len(complete)} of {plural(len(term.standings), 'student')} have a grade in every lab"
    )
    for each in term.classes:
        graded = [s for s in term.standings.values() if s.grades[each.lab.id].points is not None]
        line = f"  {each.lab.id}: {len(graded)} of {plural(len(each.students), 'student')} graded"
        console.print(Text(line), highlight=False)
    for note in notes:
        console.print(Text(note), soft_wrap=True, highlight=False)
    for path in files:
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0 if len(complete) == len(term.standings) else 3


def _say_of_one(term: course_folder.Term, id: str, console: Console) -> int:
    """Print one student's grades, with the reasons."""
    if id not in term.standings:
        raise UsageError(f"--student: {id!r} is not in the course")
    standing = term.standings[id]
    for each in term.classes:
        found = standing.grades[each.lab.id]
        points = "no grade"
        if found.points is not None:
            points = f"{number(found.points)} of {number(found.max_points)}"
        attempt = f" (attempt {found.attempt.number}: {found.why})" if found.attempt else ""
        said = f"{each.lab.id}: {points}{attempt}{': ' if found.remark else ''}{found.remark}"
        console.print(Text(said), soft_wrap=True, highlight=False)
    if standing.so_far is not None:
        what = "total" if standing.total is not None else "so far"
        console.print(f"{what}: {number(round(standing.so_far, 2))} %", highlight=False)
    return 0
