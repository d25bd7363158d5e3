"""What has been done, line by line: only ever added to, so that nothing done is forgotten.

Each line is JSON. A line that was cut off by a crash is the last one, and counts for
nothing: what it would have told is done again.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labwright.batch.task import Identity
from labwright.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "labwright/journal/v1"


@dataclass(frozen=True)
class Beginning:
    """What all of a grading has in common; it cannot be resumed with anything else."""

    lab: str
    definition: str
    """A hash of what the lab asks for."""
    options: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Entry:
    """One examination of one student that came to its end."""

    id: str
    attempt: int
    graded: bool
    reached: bool
    problem: str
    key: str
    """What was examined: :attr:`labwright.batch.student.Student.key`."""
    digest: str
    """Of the score that was written; empty when an earlier one is better and was kept."""
    identity: Identity
    seconds: float
    at: str = ""


class Journal:
    """The journal of one output folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether anything was begun here."""
        return self._path.exists() and self._path.stat().st_size > 0

    def begin(self, beginning: Beginning) -> None:
        """Note what is begun."""
        self._append({"journal": FORMAT, **asdict(beginning)})

    def note(self, entry: Entry) -> None:
        """Note that a student was examined; it is on the disk when this returns."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({**asdict(entry), "at": at})

    def read(self) -> tuple[Beginning | None, list[Entry]]:
        """Return what was begun, and the examinations in their order."""
        beginning, entries = None, []
        for body in self._bodies():
            with contextlib.suppress(TypeError, KeyError, AttributeError):
                if body.pop("journal", None) == FORMAT:
                    beginning = Beginning(**{**body, "options": tuple(body["options"])})
                elif "setting" not in body:
                    entries.append(_entry(body))
        return beginning, entries

    def note_setting(self, name: str, value: Any) -> None:
        """Note how the class's files are made from now on."""
        self._append({"setting": name, "value": value})

    def setting(self, name: str, default: Any) -> Any:
        """Return what was noted last of a setting."""
        found = [body for body in self._bodies() if body.get("setting") == name]
        return found[-1].get("value", default) if found else default

    def _bodies(self) -> list[dict[str, Any]]:
        """Return its lines, but for those that a crash cut off."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        bodies = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                bodies.append(json.loads(line))
        return [body for body in bodies if isinstance(body, dict)]

    def _append(self, body: dict[str, Any]) -> None:
        try:
            # What a crash cut off is ended first, so that it spoils no more than itself.
            torn = self.exists() and not self._path.read_bytes().endswith(b"\n")
            line = ("\n" if torn else "") + json.dumps(body) + "\n"
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, line.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as problem:
            raise SetupError(
                f"cannot write {self._path}: {problem.strerror}; free some space there, "
                "and go on with --resume"
            ) from problem


def _entry(body: dict[str, Any]) -> Entry:
    return Entry(**{**body, "identity": Identity.of(body["identity"])})
