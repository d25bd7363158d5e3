"""The output folder of a class: one grader at a time, and nothing half-written in it.

::

    journal.jsonl        what has been done
    known_hosts          the hosts' keys, each under its student's id
    students/ID/         score.json, report.html, junit.xml
    index.html           the class
    gradebook.csv        and those for learning platforms, where they were asked for
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from typing import TYPE_CHECKING

from labwright.batch.journal import Journal
from labwright.batch.task import bare
from labwright.errors import LabwrightError, SetupError, UsageError
from labwright.host.files import write_text
from labwright.score import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ORPHANS_S = 20.0
"""Seconds in which the workers of a grader that was killed notice that, and end."""
WORKERS = "workers.lock"


class Folder:
    """The output folder of a class."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path / "journal.jsonl")
        self.workers_lock = path / f".{WORKERS}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other graders out; the lock ends with this process, however that ends.

        :raises UsageError: another grader is at work here.
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
                    f"{self.path}: another grader is at work there: wait for it, or choose "
                    "another folder with --out"
                ) from None
            self._await_orphans()
            yield
        finally:
            os.close(handle)

    def _await_orphans(self) -> None:
        """Wait until no worker of a killed grader is at a machine any more."""
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
                            f"{self.path}: workers of an earlier grader are still at work there"
                        ) from None
                    time.sleep(0.1)
        finally:
            os.close(handle)

    def student(self, id: str) -> Path:
        """Return the folder of a student."""
        return self.path / "students" / id

    def write(self, id: str, files: dict[str, str]) -> str:
        """Write a student's files, the score last; return the score's digest.

        :raises SetupError: they cannot be written.
        """
        for name in sorted(files, key=lambda name: name == "score.json"):
            write_text(self.student(id) / name, files[name])
        return _digest(files["score.json"])

    def score(self, id: str, digest: str = "") -> Score | None:
        """Return a student's bare score; None where there is none, or not that of the digest."""
        try:
            text = (self.student(id) / "score.json").read_text(encoding="utf-8")
            return bare(Score.from_json(text)) if not digest or _digest(text) == digest else None
        except (OSError, UnicodeDecodeError, LabwrightError):
            return None

    def pins(self) -> list[str]:
        """Return the lines of known_hosts."""
        path = self.path / "known_hosts"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line for line in lines if line.strip() and not line.startswith("#")]

    def pin(self, met: Iterable[str]) -> None:
        """Keep keys that were met for the first time; those that are kept stay as they are."""
        lines = self.pins()
        known = {tuple(line.split()[:2]) for line in lines}
        new = [line for line in met if tuple(line.split()[:2]) not in known]
        if new:
            write_text(self.path / "known_hosts", "".join(f"{ln}\n" for ln in [*lines, *new]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
