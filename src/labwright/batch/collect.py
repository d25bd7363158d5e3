"""Collects the files that students hand in: finds the owner, judges the record, flags oddities.

The points in a file are never trusted. Its record is judged by the instructor's own
definition, in a process of its own: a record can be as hostile as a machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.batch import similar_machines, submission
from labwright.batch.grading import FITS, portable_lab_name
from labwright.batch.judge_class import MARK
from labwright.batch.own_values import values_note
from labwright.batch.task import Examined, Task, definition_of
from labwright.errors import UsageError
from labwright.host.files import write_text
from labwright.lab.edition import edition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from labwright.batch.challenge import Challenge
    from labwright.batch.grading import Grading, Spread
    from labwright.batch.journal import Attempt
    from labwright.batch.stop import Stop
    from labwright.batch.student import Student
    from labwright.batch.submission import Submission
    from labwright.grading.run import RunOptions
    from labwright.lab.model import Lab
    from labwright.score import Score

MOST_FILES = 20_000
NO_ANSWER = "not an answer to the challenge"
NO_RECORD = "it contains no record"
GAPS = "its record is incomplete for this lab"


@dataclass(frozen=True)
class HandedIn:
    """A file that was handed in, and its student."""

    path: Path
    student: Student
    said: Submission
    old: Score
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """The result for one file."""

    path: Path
    student: str
    what: str
    odd: tuple[str, ...] = ()
    graded: bool = False
    before: bool = False
    """Whether the same file was collected earlier; then nothing is printed about it."""

    @property
    def text(self) -> str:
        """The line that is printed for the file."""
        return f"{self.what}{': ' if self.odd else ''}{'; '.join(self.odd)}"


def files_in(paths: Iterable[Path]) -> list[Path]:
    """Return the files among the paths, and the submissions in the folders among them.

    :raises UsageError: a path does not exist, or no file was found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob(f"*{submission.SUFFIX}")) if p.is_file()]
            found += [p for p in inside if not p.is_symlink()]
        elif path.is_file():
            found.append(path)
        elif path.exists():
            raise UsageError(f"{path}: neither a file nor a folder")
        else:
            raise UsageError(f"{path}: no such file or folder")
    if not found:
        raise UsageError(f"no {submission.SUFFIX} file in {', '.join(map(str, paths))}")
    if len(found) > MOST_FILES:
        raise UsageError(f"{len(found)} files; at most {MOST_FILES} can be collected at once")
    return found


def settled(attempt: Attempt) -> bool:
    """Whether a file need not be judged again: it was graded, or its own content was at fault."""
    return attempt.graded or attempt.problem.startswith((NO_ANSWER, NO_RECORD, GAPS))


def sort_out(
    paths: Sequence[Path], students: Sequence[Student], lab: Lab, known: set[str]
) -> tuple[list[HandedIn], list[Taken]]:
    """Return the files with their students, and the results of files that are refused.

    :param known: digests of the files that were collected earlier; these are skipped.
    """
    by_id = {student.id.casefold(): student for student in students}
    marked = _marks_of_platforms(students)
    found, refused = [], []
    for path in paths:
        try:
            said, old, digest = submission.read(path)
        except UsageError as problem:
            refused.append(Taken(path, "", str(problem)))
            continue
        if digest in known:
            refused.append(Taken(path, said.student, f"{path}: collected earlier", before=True))
            continue
        student = by_id.get(said.student.casefold())
        hint = _by_path(path, marked)
        shown = said.student[:60]
        if said.lab != lab.name:
            why = f"it is for the lab {said.lab[:60]!r}, not for {lab.name}"
        elif student is None and hint is None:
            why = f"it names the student {shown!r}, who is not in the roster"
        else:
            why = ""
        if why:
            refused.append(Taken(path, shown, f"{path}: {why}"))
            continue
        notes = []
        if hint and student and hint is not student:
            notes.append(f"it names the student {shown!r}, but {hint.id} handed it in")
        elif student is None:
            notes.append(f"it names the student {shown!r}, who is not in the roster")
        owner = hint or student
        assert owner  # noqa: S101
        known.add(digest)
        found.append(HandedIn(path, owner, said, old, digest, tuple(notes)))
    return found, refused


def _marks_of_platforms(students: Sequence[Student]) -> dict[str, Student]:
    """Return the students by the part of a file name that the platforms use for them.

    A part that two students share identifies neither.
    """
    found: dict[str, list[Student]] = {}
    for student in students:
        if student.extra.get("participant"):  # Moodle: "Ann Ames_4242_assignsubmission_file"
            mark = f"_{student.extra['participant']}_assignsubmission"
            found.setdefault(mark, []).append(student)
        if student.extra.get("canvas_id"):  # Canvas: "amesann_101_5555_file.lab"
            found.setdefault(f"_{student.extra['canvas_id']}_", []).append(student)
    return {mark: holders[0] for mark, holders in found.items() if len(holders) == 1}


def _by_path(path: Path, marked: Mapping[str, Student]) -> Student | None:
    """Return the student who handed a file in, if the platform put them into its name."""
    for name in (path.name, path.parent.name):
        match = re.match(r"[^_]*(_LATE)?(_\d+_(assignsubmission)?)", name)
        if match and match[2] in marked:
            return marked[match[2]]
    return None


def judge(
    grading: Grading,
    lab: Lab,
    handed_in: Sequence[HandedIn],
    options: RunOptions,
    challenge: Challenge | None,
    spread: Spread,
    stop: Stop,
    place: Path,
) -> list[Taken]:
    """Judge each record, and keep the result as an attempt.

    :param place: an empty folder, for the records.
    """
    known: dict[str, HandedIn] = {}
    groups = []
    for number, each in enumerate(handed_in):
        id = f"{each.student.id}{MARK}{number}"
        record = place / f"{number}.json"
        write_text(record, each.said.text, derived=True)
        settings = (*each.student.settings, *options.settings)
        known[id] = each
        groups.append(
            [
                Task(
                    id=id,
                    target="",
                    lab=portable_lab_name(lab),
                    options=replace(options, settings=settings, seed=each.old.seed),
                    limit_s=120,
                    record=str(record),
                    whole=True,
                    editions=grading.editions,
                    definition=definition_of(lab.folder),
                )
            ]
        )
    taken: list[Taken] = []

    class Keep:
        def started(self, id: str) -> None:
            """Ignore it: nothing is shown."""

        def ended(self, examined: Examined) -> None:
            """Keep the attempt, with notes on anything unusual."""
            each = known[examined.id]
            taken.append(_keep(grading, lab, each, examined, challenge))

    spread(groups, stop, Keep())
    copied = similar_machines.copies(grading.records)
    return [
        replace(one, odd=(*one.odd, f"{copied[one.student]} handed in the same record"))
        if one.student in copied
        else one
        for one in taken
    ]


def _keep(
    grading: Grading, lab: Lab, each: HandedIn, examined: Examined, challenge: Challenge | None
) -> Taken:
    own = edition(lab.folder, each.student.settings)
    odd = [*each.notes]
    odd += filter(None, [values_note(each.said.values, each.student.values, grading.editions)])
    if examined.fits:
        odd.append(f"{FITS} {examined.fits}, and not the student's own")
    odd += submission.findings(each.said, each.old, examined.score, own, challenge)
    odd += _machines(grading, each)
    problem = examined.problem
    given = each.said.challenge
    if challenge and (why := challenge.problem(given, each.student.id, each.old)):
        problem = f"{NO_ANSWER}: {why}"
    elif not any(step.observations for step in each.old.steps):
        problem = f"{NO_RECORD}, only points, which are not trusted"
    elif problem and "was not asked" in problem:
        # The rest of the message is the probe's raw question.
        problem = f"{GAPS}: {problem.partition(':')[0]}"
    kept = replace(
        examined, id=each.student.id, problem=problem, identity=each.said.machine, pins=()
    )
    grading.keep(
        kept, "handed in", findings=tuple(odd), marks=submission.marks(each.old), file=each.digest
    )
    points = f"{examined.score.points:g}" if examined.score and not problem else "not graded"
    said = tuple(filter(None, [problem, *odd]))
    return Taken(each.path, each.student.id, f"{each.student.id}: {points}", said, not problem)


def _machines(grading: Grading, each: HandedIn) -> list[str]:
    """Return a note if the machine is not the one of the student's earlier attempts."""
    earlier: list[Attempt] = grading.records[each.student.id].attempts
    machines = {a.identity.machine for a in earlier if a.identity.machine}
    if each.said.machine.machine and machines and each.said.machine.machine not in machines:
        return ["it was made on another machine than the earlier attempts"]
    return []
