"""What has been done in a class's folder: lines that are only ever added, never changed.

Each line is JSON, and is one of the structs here. A line that a crash cut off, the beginning
of one, counts for nothing; what it stood for is done again. Any other line that is none of the
structs is damaged, or was written by somebody else. It is refused with its number: a grade may
depend on it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from labwright.batch.task import Identity  # noqa: TC001  msgspec reads it
from labwright.errors import SetupError, UsageError
from labwright.grading.run import RunOptions  # noqa: TC001  msgspec reads it
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FORMAT: Literal["labwright/journal/v3"] = "labwright/journal/v3"
Points = Annotated[float, msgspec.Meta(ge=0)]
StepPoints = tuple[Outcome, Points, Points]
"""A step's outcome, its points, and how many it could have had."""
CUT_OFF = "truncated"
"""What msgspec says of the beginning of a line."""


class Begun(msgspec.Struct, frozen=True, tag_field="line", tag="begun"):
    """What all that follows has in common; written again when the class is regraded."""

    lab: str
    definition: str
    """A hash of what the lab asks for."""
    options: RunOptions
    seed: int
    variants: str = ""
    """Tells the secret that variants were drawn from, if any were, from other secrets."""
    journal: Literal["labwright/journal/v3"] = FORMAT

    def __str__(self) -> str:
        """Return the lab and its options as a command line has them."""
        variants = f"--variants={self.variants}" if self.variants else ""
        return " ".join(filter(None, (self.lab, str(self.options), variants)))


class Attempt(msgspec.Struct, frozen=True, tag_field="line", tag="attempt"):
    """One try to grade one student that came to its end, well or not."""

    id: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    """From 1, of this student; names the folder of its files."""
    graded: bool
    reached: bool
    problem: str
    """Why it is no grade; empty when it is one."""
    key: str
    """What was examined: :attr:`labwright.batch.student.Student.key`."""
    identity: Identity
    points: Points = 0.0
    max_points: Points = 0.0
    steps: dict[str, StepPoints] = {}
    """Enough to grade by, should the attempt's files be lost."""
    digest: str = ""
    """Of the score in its folder; empty: nothing was seen, and there is no folder."""
    source: Literal["machine", "record", "handed in"] = "machine"
    of: int = 0
    """The attempt whose record was judged again; 0: this is none of those."""
    findings: tuple[str, ...] = ()
    """What is to be looked at before the grade is believed."""
    marks: tuple[str, ...] = ()
    """What no two runs have in common: :func:`labwright.batch.submission.marks`."""
    file: str = ""
    """A hash of the file that was handed in."""
    made: str = ""
    """When the work was seen, in ISO 8601: for a record, when it was recorded."""
    seconds: float = 0.0
    at: str = ""
    """When this line was written."""


class Counts(msgspec.Struct, frozen=True, tag_field="line", tag="counts"):
    """Which attempt of a student counts from now on, and why; 0: none."""

    id: str
    number: int
    why: str
    at: str = ""


class Setting(msgspec.Struct, frozen=True, tag_field="line", tag="setting"):
    """How the class's files are made from now on."""

    name: str
    value: Any
    at: str = ""


Line = Begun | Attempt | Counts | Setting


class Journal:
    """The journal of one folder. It is read once; one process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded = False
        self._begun: Begun | None = None
        self._attempts: list[Attempt] = []
        self._counting: dict[str, Counts] = {}
        self._settings: dict[str, Any] = {}
        self._decoder = msgspec.json.Decoder(Line)

    def exists(self) -> bool:
        """Whether anything was begun here."""
        return self.path.exists() and self.path.stat().st_size > 0

    def write(self, line: Line) -> None:
        """Add a line; it is on the disk when this returns.

        :raises SetupError: it cannot be written.
        """
        self._load()
        if isinstance(line, Attempt | Counts | Setting):
            line = msgspec.structs.replace(line, at=_now())
        append_lines(self.path, [msgspec.json.encode(line)])
        self._take(line)

    @property
    def begun(self) -> Begun | None:
        """What was begun last."""
        self._load()
        return self._begun

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts of all students, in their order."""
        self._load()
        return self._attempts

    def counting(self, id: str) -> Counts | None:
        """Return which attempt of a student counts."""
        self._load()
        return self._counting.get(id)

    def setting(self, name: str, default: Any) -> Any:
        """Return what was noted last of a setting."""
        self._load()
        return self._settings.get(name, default)

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            for line in self._read():
                self._take(line)

    def _take(self, line: Line) -> None:
        match line:
            case Begun():
                self._begun = line
            case Attempt():
                self._attempts.append(line)
            case Counts():
                self._counting[line.id] = line
            case Setting():
                self._settings[line.name] = line.value

    def _read(self) -> Iterator[Line]:
        raw = self.path.read_bytes() if self.path.exists() else b""
        for number, text in enumerate(raw.split(b"\n"), 1):
            if not text.strip(b" \t\r\0"):  # nulls: what a power failure may leave
                continue
            try:
                yield self._decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
                if CUT_OFF in str(problem) and not isinstance(problem, msgspec.ValidationError):
                    continue  # a crash cut it off
                older = b'"labwright/journal/v' in text and FORMAT.encode() not in text
                why = "another labwright wrote it" if older else str(problem)
                raise UsageError(
                    f"{self.path}:{number}: not a line of a journal: {why}; choose another folder "
                    "with --out, or mend the line"
                ) from None


def append_lines(path: Path, lines: Iterable[bytes], *, derived: bool = False) -> None:
    """Add lines to the end of a file; they are on the disk when this returns.

    :param derived: they can be made again, and need not be there after a power failure.
    :raises SetupError: they cannot be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # What a crash cut off is ended first, so that it spoils no more than itself.
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines)
            while data:
                data = data[os.write(handle, data) :]
            if not derived:
                os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as problem:
        raise SetupError(
            f"cannot write {path}: {problem.strerror}; free some space there, "
            "and go on with --resume"
        ) from problem


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
