"""Grades a class: each student without a grade is graded, and retried once if a step broke."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from labwright.batch.attempts import HANDED_IN, belongs, choose
from labwright.batch.journal import Attempt, Begun, Counts, Setting
from labwright.batch.own_values import editions
from labwright.batch.record import Record, from_journal
from labwright.batch.submission import marks
from labwright.batch.task import Task, definition_of
from labwright.errors import UsageError
from labwright.lab.model import find_lab
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from labwright.batch.attempts import Policy
    from labwright.batch.folder import Folder
    from labwright.batch.own_values import Edition
    from labwright.batch.pool import Listener
    from labwright.batch.stop import Stop
    from labwright.batch.student import Student
    from labwright.batch.task import Examined
    from labwright.grading.run import RunOptions
    from labwright.lab.model import Lab
    from labwright.score import Score

    Spread = Callable[[list[list[Task]], Stop, Listener], None]

ATTEMPTS = 2
FITS = "it fits the variant of"
JUMP_AT_ONCE = 6
"""Students graded at once through one jump host."""
PAUSE_S = 0.5
Source = Literal["machine", "record", "handed in"]


class ProgressView(Protocol):
    """Shows the progress of a grading."""

    def round(self, students: int, attempt: int) -> None:
        """A round begins, in which this many students are graded."""

    def started(self, id: str) -> None:
        """The grading of a student has started."""

    def ended(self, examined: Examined) -> None:
        """The grading of a student has ended."""


class Grading:
    """The grading of one class into one locked folder."""

    def __init__(
        self,
        students: Sequence[Student],
        lab: Lab,
        folder: Folder,
        options: RunOptions,
        limit_s: float,
        variants: str = "",
    ) -> None:
        """Prepare the grading.

        :param options: the same for all students.
        :param limit_s: time limit for each student, in seconds.
        :param variants: see :attr:`labwright.batch.journal.Begun.variants`.
        """
        self.students = students
        self._by_id = {student.id: student for student in students}
        self._lab = lab
        self.folder = folder
        self._options = options
        self._limit_s = limit_s
        self._variants = variants
        self._seed = 0
        self.policy: Policy = "best"
        self.records = {student.id: Record() for student in students}
        self.only = set(self.records)
        """Ids of the students to grade now; the others keep their grades."""
        self.again: set[str] = set()
        """Ids of the students to grade again even if they have a grade."""

    @property
    def begun(self) -> Begun:
        """The journal line with what all attempts have in common."""
        definition = definition_of(self._lab.folder)
        return Begun(self._lab.name, definition, self._options, self._seed, self._variants)

    def begin(self, seed: int, *, resume: bool) -> None:
        """Begin a grading, or resume an earlier one.

        :raises UsageError: the folder has a grading that cannot be resumed with these options.
        """
        journal = self.folder.journal
        before = journal.begun
        self._seed = seed
        # Without any attempt (for example, there was no cluster) the grading may begin again.
        if not journal.exists() or not (resume or journal.attempts):
            journal.write(self.begun)
            return
        if not resume:
            raise UsageError(
                f"{self.folder.path}: there is already a grading: continue it with --resume, or "
                "choose another folder with --out"
            )
        if before is None:
            raise UsageError(
                f"{self.folder.path}: the beginning of its journal is missing: "
                "choose another folder with --out"
            )
        self._seed = before.seed
        if before != self.begun:
            raise UsageError(
                f"{self.folder.path}: this grading was begun with another version of the lab or "
                f"with other options ({before}), so the grades would not be comparable: "
                f"judge all of it again with `labwright regrade {self.folder.path}`, or choose "
                "another folder with --out"
            )
        self.remember()

    def remember(self) -> None:
        """Load the attempts from the journal. It keeps students who have left the roster."""
        journal = self.folder.journal
        self._seed = journal.begun.seed if journal.begun else self._seed
        self.policy = journal.setting("counts", self.policy)
        for attempt in journal.attempts:
            if attempt.id in self.records:
                self.records[attempt.id].attempts.append(attempt)
        for id, record in self.records.items():
            if record.attempts:
                self._settle(id)

    def count(self, policy: Policy) -> None:
        """Change which attempt counts, for all students."""
        if policy != self.policy:
            self.policy = policy
            self.folder.journal.write(Setting("counts", policy))
            for id, record in self.records.items():
                if record.attempts:
                    self._settle(id)

    def _settle(self, id: str) -> None:
        """Decide which attempt of a student counts, and write that to the journal."""
        record = self.records[id]
        choice = choose(record.attempts, self.policy, self._by_id[id].key)
        if choice.attempt is not record.choice.attempt:
            record.score, record.note = self._score(choice.attempt)
        record.choice = choice
        number = choice.attempt.number if choice.attempt and choice.attempt.graded else 0
        noted = self.folder.journal.counting(id)
        if noted is None or (noted.number, noted.why) != (number, choice.why):
            self.folder.journal.write(Counts(id, number, choice.why))

    def _score(self, attempt: Attempt | None) -> tuple[Score | None, str]:
        """Return an attempt's score without its record, and a note.

        If its file is lost, the score is rebuilt from the journal.
        """
        if attempt is None or not attempt.steps:
            return None, ""
        score = self.folder.score(attempt, keep=True)
        if score is not None:
            return score, ""
        note = "the score file was lost or changed after grading; the points in the journal count"
        return from_journal(attempt, self._lab), note if attempt.digest else ""

    @property
    def missing(self) -> list[Student]:
        """The students that are still to be graded."""
        return [s for s in self.students if s.id in self.only and not self._done(s)]

    def _done(self, student: Student) -> bool:
        attempt = self.records[student.id].choice.attempt
        here = attempt is not None and attempt.graded and belongs(attempt, student.key)
        return here and student.id not in self.again

    def run(self, spread: Spread, view: ProgressView, stop: Stop, *, dry: bool = False) -> None:
        """Grade the students without a grade; at the end, retry once those that broke."""
        for attempt in range(1, 2 if dry else ATTEMPTS + 1):
            students = self.missing
            if not students or stop.finishing:
                break
            view.round(len(students), attempt)
            pins = self.folder.pins()
            owners = {line.split()[0] for line in pins} & set(self._by_id)
            jumps = [line for line in pins if line.split()[0] not in owners]
            own = {line.split()[0]: line for line in pins if line.split()[0] in owners}
            groups: dict[str, list[Task]] = defaultdict(list)
            for student in students:
                known = [own[student.id]] if student.id in own else []
                groups[student.address].append(self._task(student, known, jumps, dry=dry))
            spread(by_jump_host(groups.values()), stop, _Keeper(self, view, dry=dry))

    def _task(self, student: Student, known: list[str], jumps: list[str], *, dry: bool) -> Task:
        if student.host_key:
            known = [f"{student.id} {student.host_key}"]
        options = replace(
            self._options,
            settings=(*self._options.settings, *student.settings),
            seed=seed_of(self._seed, student.id),
        )
        return Task(
            id=student.id,
            target=student.target,
            lab=portable_lab_name(self._lab),
            jump=student.jump,
            pins=(*known, *jumps),
            options=options,
            limit_s=self._limit_s,
            reach_only=dry,
            definition=definition_of(self._lab.folder),
            editions=() if dry else self.editions,
        )

    @cached_property
    def editions(self) -> tuple[Edition, ...]:
        """The class's editions of the lab; empty if all students have the same one."""
        return editions(self.students, self._lab)

    def keep(
        self,
        examined: Examined,
        source: Source = "machine",
        of: Attempt | None = None,
        **more: Any,
    ) -> None:
        """Save an attempt: first its score, then its journal line, then whether it counts.

        :param of: the attempt whose record was judged again, if this is a new judgement.
        :param more: other fields of the journal line.
        """
        record, score = self.records[examined.id], examined.score
        number = 1 + max((attempt.number for attempt in record.attempts), default=0)
        digest = ""
        self.folder.pin(examined.pins)
        if score and score.count(Outcome.BROKEN) < len(score.steps):
            number, digest = self.folder.keep_attempt(examined.id, number, examined.text)
        attempt = self.attempt_of(examined, number, source, of, digest)
        attempt = msgspec.structs.replace(attempt, **more)
        self.folder.journal.write(attempt)
        if score and digest:
            self.folder.cache.put(attempt, self.folder.attempt(attempt.id, number), score)
        record.attempts.append(attempt)
        self._settle(examined.id)
        if examined.graded:
            self.again.discard(examined.id)

    def _key(self, id: str, source: Source, of: Attempt | None) -> str:
        if of:
            return of.key
        return HANDED_IN if source == "handed in" else self._by_id[id].key

    def attempt_of(
        self,
        examined: Examined,
        number: int,
        source: Source,
        of: Attempt | None = None,
        digest: str = "",
    ) -> Attempt:
        """Return the journal line of an attempt."""
        score = examined.score
        steps = score.steps if score else ()
        return Attempt(
            id=examined.id,
            number=number,
            graded=examined.graded and not examined.problem,
            reached=examined.reached,
            problem=examined.problem,
            key=self._key(examined.id, source, of),
            identity=of.identity if of else examined.identity,
            points=score.points if score else 0.0,
            max_points=score.max_points if score else 0.0,
            steps={s.id: (s.outcome, s.points, s.max_points) for s in steps},
            digest=digest,
            source=source,
            findings=_findings(examined, of),
            marks=of.marks if of else marks(score) if score else (),
            file=of.file if of else "",
            of=(of.of or of.number) if of else 0,
            made=score.finished if score else "",
            seconds=examined.seconds,
        )


def _findings(examined: Examined, of: Attempt | None) -> tuple[str, ...]:
    """Return the findings of an attempt, with those of the attempt that is judged again."""
    said = f"{FITS} {examined.fits}, and not the student's own"
    before = of.findings if of else ()
    return (*before, *((said,) if examined.fits and said not in before else ()))


def by_jump_host(groups: Iterable[list[Task]]) -> list[list[Task]]:
    """Merge the groups behind the same jump host into at most six, with pauses between them.

    The students of a group are graded one after another. When ten connections are not logged
    in yet, sshd drops new ones at random (MaxStartups), so many students at once would fail.
    """
    direct: list[list[Task]] = []
    behind: dict[str, list[list[Task]]] = defaultdict(list)
    for group in groups:
        jump = group[0].jump
        (behind[jump] if jump else direct).append(group)
    for through in behind.values():
        lanes: list[list[Task]] = [[] for _ in through[:JUMP_AT_ONCE]]
        for place, group in enumerate(through):
            lanes[place % len(lanes)] += group
        direct += [
            [replace(t, pause_s=PAUSE_S * (1 if place else lane)) for place, t in enumerate(tasks)]
            for lane, tasks in enumerate(lanes)
        ]
    return direct


class _Keeper:
    """Saves the results that workers report, and then shows them."""

    def __init__(self, grading: Grading, view: ProgressView, *, dry: bool) -> None:
        self._grading = grading
        self._view = view
        self._dry = dry

    def started(self, id: str) -> None:
        """Show that a student is being graded."""
        self._view.started(id)

    def ended(self, examined: Examined) -> None:
        """Save and show the result of a student."""
        if self._dry:
            self._grading.records[examined.id] = Record(tried=examined.problem)
        else:
            self._grading.keep(examined)
        self._view.ended(examined)


def seed_of(seed: int, id: str) -> int:
    """Return a student's own seed; it stays the same when the grading is resumed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {id}".encode()).digest()[:4]) >> 1


def portable_lab_name(lab: Lab) -> str:
    """Return the name of a lab that comes with labwright, or the folder of another lab.

    On other computers, the folder of a lab that comes with labwright is another one.
    """
    try:
        return lab.name if find_lab(lab.name) == lab.folder else str(lab.folder)
    except UsageError:
        return str(lab.folder)


class Deadline:
    """Abandons a grading when its time limit is reached; a context manager."""

    def __init__(self, stop: Stop, limit_s: float | None) -> None:
        self.timer = None
        if limit_s is not None:
            reason = f"the time limit of {limit_s:g} s for the class was reached"
            self.timer = threading.Timer(limit_s, stop.abandon, [reason])
            self.timer.daemon = True

    def __enter__(self) -> Deadline:
        """Start the timer."""
        if self.timer:
            self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the timer."""
        if self.timer:
            self.timer.cancel()
