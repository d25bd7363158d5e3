"""The output folder of a class. One grader at a time uses it; files are written atomically.

::

    journal.jsonl                 all attempts, and which of them count
    roster.json                   the students of the last roster
    known_hosts                   the machines' SSH host keys, each under its student's id
    students/ID/attempts/001/     score.json of an attempt: written once, never changed
    students/ID/                  report.html, score.json and junit.xml of the attempt that counts
    scores.jsonl                  a cache: the attempts' scores without their records
    index.html                    the page of the class
    gradebook.csv                 the gradebook; also the files for learning platforms, if any

Journal, roster, keys and attempts are the data; everything else is made from them.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING

import msgspec

from labwright.batch.journal import Journal, append_lines
from labwright.batch.score_cache import ScoreCache
from labwright.batch.student import Student
from labwright.batch.task import bare
from labwright.errors import LabwrightError, SetupError, UsageError
from labwright.host.files import write_text
from labwright.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from labwright.batch.journal import Attempt

ORPHANS_S = 20.0
"""Seconds within which the workers of a killed grader notice its end and exit."""
WORKERS = "workers.lock"


class Folder:
    """The output folder of a class."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path / "journal.jsonl")
        self.cache = ScoreCache(path / "scores.jsonl")
        self._pinned: set[tuple[str, ...]] | None = None
        self.workers_lock = path / f".{WORKERS}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other graders; the lock is released when this process ends.

        :raises UsageError: another grader uses the folder.
        :raises SetupError: the folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise SetupError(f"cannot write to {self.path}: {problem.strerror}") from problem
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{self.path}: another grader is using this folder: wait until it ends, or "
                    "choose another folder with --out"
                ) from None
            self._await_orphans()
            yield
        finally:
            os.close(handle)

    def _await_orphans(self) -> None:
        """Wait until the workers of a killed grader have ended."""
        handle = os.open(self.workers_lock, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + ORPHANS_S
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise UsageError(
                            f"{self.path}: workers of an earlier grader are still running: "
                            "try again later"
                        ) from None
                    time.sleep(0.1)
        finally:
            os.close(handle)

    def student(self, id: str) -> Path:
        """Return the folder of a student."""
        return self.path / "students" / id

    def keep_roster(self, students: Sequence[Student]) -> None:
        """Save the students, for commands that run without the roster."""
        write_text(self.path / "roster.json", msgspec.json.encode(students).decode())

    def roster(self) -> tuple[Student, ...]:
        """Return the saved students.

        :raises UsageError: this is not the folder of a class.
        """
        path = self.path / "roster.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=tuple[Student, ...])
        except OSError as problem:
            raise UsageError(
                f"{self.path}: not the folder of a class: {path.name}: {problem.strerror}"
            ) from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
            raise UsageError(f"{path}: not a list of students: {problem}") from None

    def keep_attempt(self, id: str, number: int, score: str) -> tuple[int, str]:
        """Save the score of an attempt; return the attempt's number and the score's digest.

        :param number: the lowest number to try. A folder that a killed grader left is skipped.
        :raises SetupError: the score cannot be written.
        """
        place = self.student(id) / "attempts"
        try:
            place.mkdir(parents=True, exist_ok=True)
            for left in place.glob(".*"):
                shutil.rmtree(left, ignore_errors=True)
            while (place / f"{number:03}").exists():
                number += 1
            beside = place / f".{number:03}"
            beside.mkdir()
            write_text(beside / "score.json", score)
            beside.rename(place / f"{number:03}")
        except OSError as problem:
            raise SetupError(
                f"cannot write {place}: {problem.strerror}; free some space there, "
                "then run the command again (`grade` with --resume)"
            ) from problem
        return number, _digest(score)

    def attempt(self, id: str, number: int) -> Path:
        """Return the path of an attempt's score."""
        return self.student(id) / "attempts" / f"{number:03}" / "score.json"

    def score_text(self, id: str, number: int, digest: str) -> str | None:
        """Return the saved text of an attempt's score; None if it is missing or was changed."""
        try:
            text = self.attempt(id, number).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return text if _digest(text) == digest else None

    def score(self, attempt: Attempt, *, keep: bool = False) -> Score | None:
        """Return an attempt's score without its record; None if its file is missing or was changed.

        :param keep: whether a score that was read from the attempt's file is added to the cache.
        """
        if not attempt.digest:
            return None
        file = self.attempt(attempt.id, attempt.number)
        score = self.cache.get(attempt, file)
        if score is not None:
            return score
        text = self.score_text(attempt.id, attempt.number, attempt.digest)
        try:
            score = bare(Score.from_json(text)) if text else None
        except LabwrightError:
            return None
        if score and keep:
            self.cache.put(attempt, file, score)
        return score

    def pins(self) -> list[str]:
        """Return the lines of known_hosts."""
        path = self.path / "known_hosts"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [
            line for line in lines if line.strip() and not line.startswith("#") and _whole(line)
        ]

    def pin(self, met: Iterable[str]) -> None:
        """Add host keys that were seen for the first time; existing keys are not changed."""
        if self._pinned is None:
            self._pinned = {tuple(line.split()[:2]) for line in self.pins()}
        new = [line for line in met if tuple(line.split()[:2]) not in self._pinned]
        self._pinned |= {tuple(line.split()[:2]) for line in new}
        if new:
            append_lines(self.path / "known_hosts", [line.encode() for line in new])


def _whole(line: str) -> bool:
    """Whether a line of known_hosts is complete, not cut off by a crash.

    A key contains the lengths of its own fields.
    """
    try:
        key = base64.b64decode(line.split()[2], validate=True)
    except (IndexError, ValueError):
        return False
    place = 0
    while len(key) - place > 0:
        place += 4 + int.from_bytes(key[place : place + 4])
    return place == len(key)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
