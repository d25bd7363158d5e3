"""The journal of a class's folder: an append-only file of JSON lines.

Each line is one of the structs below. A line that was cut off by a crash (the beginning of a
line) is ignored, and its work is done again. Any other line that is none of the structs is
damaged, or was written by another program. It is an error that names the line number: a grade may
depend on it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from labwright.batch.task import Identity  # noqa: TC001  msgspec reads it
from labwright.errors import SetupError, UsageError
from labwright.grading.run import RunOptions  # noqa: TC001  msgspec reads it
from labwright.outcome import Outcome
from labwright.score import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FORMAT: Literal["labwright/journal/v3"] = "labwright/journal/v3"
Points = Annotated[float, msgspec.Meta(ge=0)]
StepPoints = tuple[Outcome, Points, Points]
"""A step's outcome, its points and its maximum points."""
CUT_OFF = "truncated"
"""A word in msgspec's error for a line that was cut off."""


class Begun(msgspec.Struct, frozen=True, tag_field="line", tag="begun"):
    """What all following attempts have in common; written again when the class is regraded."""

    lab: str
    definition: str
    """A hash of the lab's definition."""
    options: RunOptions
    seed: int
    variants: str = ""
    """A fingerprint of the secret from which variants were drawn; "" without variants."""
    journal: Literal["labwright/journal/v3"] = FORMAT

    def __str__(self) -> str:
        """Return the lab and its options as command-line arguments."""
        variants = f"--variants={self.variants}" if self.variants else ""
        return " ".join(filter(None, (self.lab, str(self.options), variants)))


class Attempt(msgspec.Struct, frozen=True, tag_field="line", tag="attempt"):
    """One finished attempt to grade one student, whether it succeeded or not."""

    id: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    """Counts from 1 for each student; also the name of its folder."""
    graded: bool
    reached: bool
    problem: str
    """Why it is not a grade; empty if it is one."""
    key: str
    """The machine that was graded: :attr:`labwright.batch.student.Student.key`."""
    identity: Identity
    points: Points = 0.0
    max_points: Points = 0.0
    steps: dict[str, StepPoints] = {}
    """Enough to compute the grade if the attempt's files are lost."""
    digest: str = ""
    """A hash of the score in its folder; empty if no step could be checked (then no folder)."""
    source: Literal["machine", "record", "handed in"] = "machine"
    of: int = 0
    """The number of the attempt whose record was judged again; 0: not a new judgement."""
    findings: tuple[str, ...] = ()
    """Findings that a person should look at before the grade is used."""
    marks: tuple[str, ...] = ()
    """Values that are unique to a run: :func:`labwright.batch.submission.marks`."""
    file: str = ""
    """A hash of the file that was handed in."""
    made: str = ""
    """When the machine was checked, in ISO 8601; for a record, when it was recorded."""
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
    """A setting that applies to the class's files from now on."""

    name: str
    value: Any
    at: str = ""


Line = Begun | Attempt | Counts | Setting


class Journal:
    """The journal of one folder. It is read once, and only one process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded = False
        self._begun: Begun | None = None
        self._attempts: list[Attempt] = []
        self._counting: dict[str, Counts] = {}
        self._settings: dict[str, Any] = {}
        self._decoder = msgspec.json.Decoder(Line)

    def exists(self) -> bool:
        """Whether the journal exists and is not empty."""
        return self.path.exists() and self.path.stat().st_size > 0

    def write(self, line: Line) -> None:
        """Append a line; it is on disk (fsync) when this returns.

        :raises SetupError: the line cannot be written.
        """
        self._load()
        if isinstance(line, Attempt | Counts | Setting):
            line = msgspec.structs.replace(line, at=now())
        append_lines(self.path, [msgspec.json.encode(line)])
        self._take(line)

    @property
    def begun(self) -> Begun | None:
        """The last line of this kind, or None."""
        self._load()
        return self._begun

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts of all students, in the order of the journal."""
        self._load()
        return self._attempts

    def counting(self, id: str) -> Counts | None:
        """Return the line that says which attempt of a student counts."""
        self._load()
        return self._counting.get(id)

    def setting(self, name: str, default: Any) -> Any:
        """Return the latest value of a setting."""
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
            if not text.strip(b" \t\r\0"):  # a power failure can leave null bytes
                continue
            try:
                yield self._decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
                if _is_cut_off(text, problem):
                    continue
                older = b'"labwright/journal/v' in text and FORMAT.encode() not in text
                why = "another version of labwright wrote it" if older else str(problem)
                raise UsageError(
                    f"{self.path}:{number}: not a line of a journal: {why}; choose another folder "
                    "with --out, or correct the line"
                ) from None


def _is_cut_off(text: bytes, problem: Exception) -> bool:
    """Whether a crash can have cut off a line that cannot be decoded."""
    if isinstance(problem, msgspec.ValidationError):
        return False
    # Of a line that ends within a number, msgspec says that the number is invalid.
    begun = text.startswith(b'{"') and not text.endswith(b"}")
    return begun or CUT_OFF in str(problem)


def append_lines(path: Path, lines: Iterable[bytes], *, derived: bool = False) -> None:
    """Append lines to a file; they are on disk (fsync) when this returns.

    :param derived: the lines can be made again, so fsync is not needed.
    :raises SetupError: the lines cannot be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # End a line that a crash cut off, so that it does not damage the next one.
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
            "then run the command again (`grade` with --resume)"
        ) from problem
