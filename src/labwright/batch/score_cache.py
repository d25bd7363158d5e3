"""A cache of the scores of a class without their records, in one file.

The page, the gradebook and the platforms' files need no records, and a record is ten times as
large as its score. Reading all attempts' files took most of the time of a resume or a course. A
line of the cache is used only if the attempt's file has the same size and time as before and
the points agree with the journal; otherwise the attempt's file is read.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import msgspec

from labwright.batch.journal import append_lines
from labwright.batch.task import bare
from labwright.score import Score

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.batch.journal import Attempt


class _Line(msgspec.Struct, array_like=True, frozen=True):
    """One score, and the file it was read from."""

    id: str
    number: int
    digest: str
    size: int
    changed: int
    """Modification time of the attempt's file, in nanoseconds."""
    score: msgspec.Raw


class ScoreCache:
    """The score cache of one class's folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[tuple[str, int], tuple[int, int]] | None = None
        """Offset and length, in bytes, of the line of each attempt."""
        self._decoder = msgspec.json.Decoder(_Line)
        # The points are compared with the journal, which was validated.
        self._scores = msgspec.json.Decoder(Score)

    def put(self, attempt: Attempt, file: Path, score: Score) -> None:
        """Add the score of an attempt, whose own file is already written.

        :raises SetupError: the cache cannot be written.
        """
        try:
            found = file.stat()
        except OSError:
            return
        body = msgspec.Raw(msgspec.json.format(bare(score).to_json().encode(), indent=-1))
        line = _Line(
            *(attempt.id, attempt.number, attempt.digest),
            *(found.st_size, found.st_mtime_ns, body),
        )
        raw = msgspec.json.encode(line)
        append_lines(self._path, [raw], derived=True)
        if self._places is not None:
            begin = self._path.stat().st_size - len(raw) - 1
            self._places[attempt.id, attempt.number] = (begin, len(raw))

    def get(self, attempt: Attempt, file: Path) -> Score | None:
        """Return an attempt's score without its record; None if its own file must be read."""
        places = self._find()
        try:
            begin, length = places[attempt.id, attempt.number]
            with self._path.open("rb") as lines:
                raw = os.pread(lines.fileno(), length, begin)
            line, found = self._decoder.decode(raw), file.stat()
            score = self._scores.decode(line.score)
        except (KeyError, OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        same = (line.size, line.changed) == (found.st_size, found.st_mtime_ns)
        steps = {s.id: (s.outcome.value, s.points, s.max_points) for s in score.steps}
        return score if same and line.digest == attempt.digest and steps == attempt.steps else None

    def _find(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return offset and length of the last line of each attempt."""
        if self._places is None:
            self._places, begin = {}, 0
            with contextlib.suppress(OSError), self._path.open("rb") as lines:
                for raw in lines:
                    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                        line = self._decoder.decode(raw)
                        self._places[line.id, line.number] = (begin, len(raw))
                    begin += len(raw)
        return self._places
