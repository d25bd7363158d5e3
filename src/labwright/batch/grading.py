"""Grades a class: all that are missing, then once more those that broke, and never more."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from labwright.batch.journal import Beginning, Entry
from labwright.batch.task import Identity, Task, bare, definition_of
from labwright.errors import UsageError
from labwright.lab.model import find_lab
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labwright.batch.folder import Folder
    from labwright.batch.stop import Stop
    from labwright.batch.student import Student
    from labwright.batch.task import Examined
    from labwright.batch.turns import Listener
    from labwright.lab.model import Lab
    from labwright.score import Score

    Spread = Callable[[list[list[Task]], Stop, Listener], None]

PER_CORE = 8
"""Students at once for each core; benchmarks/batch.py measures it: a student takes 0.4 s of
a core, a worker 1.5 s to start, and most of the 10 s and more that an examination lasts is
waiting for the machine. Twice as many may pay where machines are slow: ``paced`` tells."""
MEBIBYTES_EACH = 150
"""Memory of a worker and its examiner, with some to spare."""
ATTEMPTS = 2


class View(Protocol):
    """Who watches a class being graded."""

    def round(self, students: int, attempt: int) -> None:
        """So many students are going to be examined now."""

    def started(self, id: str) -> None:
        """A student's machine is being examined."""

    def ended(self, examined: Examined) -> None:
        """A student's machine was examined."""


@dataclass
class Record:
    """What is known of a student in the end."""

    score: Score | None = None
    """Bare: what was seen stays in the student's files."""
    problem: str = "not examined yet"
    """Why there is no grade; empty when there is one."""
    reached: bool = False
    identity: Identity = field(default_factory=Identity)

    @property
    def graded(self) -> bool:
        """Whether there is a grade."""
        return self.score is not None and not self.problem


def workers_for(students: int) -> int:
    """Return how many students to examine at once: what cores and memory allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    by_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(1, min(students, (cores or 1) * PER_CORE, by_memory // (MEBIBYTES_EACH << 20)))


class Grading:
    """One grading of a class into one folder, which is locked."""

    def __init__(
        self,
        students: Sequence[Student],
        lab: Lab,
        folder: Folder,
        options: tuple[str, ...],
        limit_s: float,
    ) -> None:
        """Prepare it.

        :param options: of the lab's run of pytest, the same for all.
        :param limit_s: seconds for each student.
        """
        self.students = students
        self._lab = lab
        self.folder = folder
        self._options = options
        self._limit_s = limit_s
        self._seed = 0
        self.records = {student.id: Record() for student in students}
        self.only = set(self.records)
        """Who is graded now; the others stay as they are."""

    def begin(self, seed: int, *, resume: bool) -> None:
        """Begin, or go on where an earlier grading stopped.

        :raises UsageError: the folder holds a grading that this one cannot be a part of.
        """
        beginning = Beginning(self._lab.name, definition_of(self._lab.folder), self._options, seed)
        journal = self.folder.journal
        before, entries = journal.read()
        # One that nobody was examined in, for want of a cluster perhaps, may begin anew.
        if not journal.exists() or not (entries or resume):
            journal.begin(beginning)
            self._seed = seed
            return
        if not resume:
            raise UsageError(
                f"{self.folder.path}: there is a grading already: go on with it by --resume, or "
                "choose another folder with --out"
            )
        if before is None:
            raise UsageError(
                f"{self.folder.path}: its journal has no beginning: choose another folder"
            )
        if replace(before, seed=seed) != beginning:
            raise UsageError(
                f"{self.folder.path}: the lab or its options are not those that it was begun "
                f"with ({before.lab} {' '.join(before.options)}), and grades would not be alike: "
                "choose another folder with --out"
            )
        self._seed = before.seed
        self._remember(entries)

    def _remember(self, entries: Iterable[Entry]) -> None:
        """Take over what an earlier grading did, where its score is still there."""
        students = {student.id: student for student in self.students}
        for entry in entries:
            student = students.get(entry.id)
            if student is None or student.key != entry.key:
                continue
            if entry.digest:
                score = self.folder.score(entry.id, entry.digest)
                problem = entry.problem if score else "its score.json is gone or was changed"
                self.records[entry.id] = Record(score, problem, entry.reached, entry.identity)

    @property
    def missing(self) -> list[Student]:
        """The students without a grade."""
        left = [student for student in self.students if student.id in self.only]
        return [student for student in left if not self.records[student.id].graded]

    def run(self, spread: Spread, view: View, stop: Stop, *, dry: bool = False) -> None:
        """Grade whoever is missing; retry once, at the end, those that broke."""
        for attempt in range(1, 2 if dry else ATTEMPTS + 1):
            students = self.missing
            if not students or stop.finishing:
                break
            view.round(len(students), attempt)
            pins = self.folder.pins()
            groups: dict[str, list[Task]] = defaultdict(list)
            for student in students:
                groups[student.address].append(self._task(student, pins, dry=dry))
            spread(list(groups.values()), stop, _Keeper(self, view, attempt, dry=dry))

    def _task(self, student: Student, pins: list[str], *, dry: bool) -> Task:
        given = [f"{student.id} {student.host_key}"] if student.host_key else []
        names = {other.id for other in self.students} - {student.id}
        kept = [line for line in pins if line.split()[0] not in names]
        if given:
            kept = [line for line in kept if line.split()[0] != student.id]
        settings = [f"--set={key}={value}" for key, value in student.values.items()]
        return Task(
            id=student.id,
            target=student.target,
            lab=_lab_anywhere(self._lab),
            jump=student.jump,
            pins=(*given, *kept),
            options=(*self._options, *settings, f"--seed={seed_of(self._seed, student.id)}"),
            limit_s=self._limit_s,
            reach_only=dry,
            definition=definition_of(self._lab.folder),
        )

    def keep(self, examined: Examined, attempt: int) -> None:
        """Write what became of a student, and then that it was written."""
        record = self.records[examined.id]
        # One time-out more must not cost what was seen before.
        better = record.score is None or _broken(examined.score) <= _broken(record.score)
        digest = ""
        self.folder.pin(examined.pins)
        if better:
            digest = self.folder.write(examined.id, examined.files)
            record.score = bare(examined.score) if examined.score else None
            record.problem = examined.problem
            record.reached = examined.reached
        if examined.reached:
            record.identity = examined.identity
        student = next(student for student in self.students if student.id == examined.id)
        self.folder.journal.note(
            Entry(
                id=examined.id,
                attempt=attempt,
                graded=examined.graded,
                reached=examined.reached,
                problem=examined.problem,
                key=student.key,
                digest=digest,
                identity=record.identity,
                seconds=examined.seconds,
            )
        )


class _Keeper:
    """Keeps what workers tell, then shows it."""

    def __init__(self, grading: Grading, view: View, attempt: int, *, dry: bool) -> None:
        self._grading = grading
        self._view = view
        self._attempt = attempt
        self._dry = dry

    def started(self, id: str) -> None:
        """A student's machine is being examined."""
        self._view.started(id)

    def ended(self, examined: Examined) -> None:
        """A student's machine was examined."""
        if self._dry:
            self._grading.records[examined.id] = Record(
                problem=examined.problem, reached=examined.reached, identity=examined.identity
            )
        else:
            self._grading.keep(examined, self._attempt)
        self._view.ended(examined)


def seed_of(seed: int, id: str) -> int:
    """Return a student's own seed: the same when the grading is resumed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {id}".encode()).digest()[:4]) >> 1


def _lab_anywhere(lab: Lab) -> str:
    """Return a lab's name where it is one of ours, which other computers have elsewhere."""
    try:
        return lab.name if find_lab(lab.name) == lab.folder else str(lab.folder)
    except UsageError:
        return str(lab.folder)


def _broken(score: Score | None) -> int:
    return score.count(Outcome.BROKEN) if score else 1 << 30


class Deadline:
    """Abandons a grading when its time is over; use it as a context."""

    def __init__(self, stop: Stop, limit_s: float | None) -> None:
        self._timer = None
        if limit_s is not None:
            reason = f"the time limit of {limit_s:g} s for all was over"
            self._timer = threading.Timer(limit_s, stop.abandon, [reason])
            self._timer.daemon = True

    def __enter__(self) -> Deadline:
        """Start the clock."""
        if self._timer:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._timer:
            self._timer.cancel()
