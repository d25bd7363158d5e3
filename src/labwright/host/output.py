"""Standard output and error that may be closed or full: a command goes on, and says so at the end.

What was asked for besides, such as a score in a file, is written all the same.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSED = (errno.EPIPE, errno.EBADF)


class Stream:
    """A stream that is written to as long as that is possible."""

    def __init__(self, stream: Any, *, closed: bool = False) -> None:
        self._stream = stream
        self._closed = closed
        """Whether it was closed before the start, and ``stream`` leads nowhere."""
        self.problem: OSError | None = None
        """Why it cannot be written to any more."""

    def write(self, text: str) -> int:
        """Write a text, or drop it if the reader is gone."""
        if self._closed and text and not self.problem:
            self.problem = OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(self._stream.flush)

    def _try(self, what: Any) -> None:
        if self.problem:
            return
        try:
            what()
        except OSError as problem:
            self.problem = problem
            self._discard()

    def close(self) -> None:
        """Hand on what can be; what cannot, Python does not try again when it ends."""
        self.flush()
        if self.problem:
            # Once more: pytest, for one, puts the first output back in its place.
            self._discard()

    def _discard(self) -> None:
        """Discard what is buffered, and what is written from now on."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        """Be the stream itself in all else."""
        return getattr(self._stream, name)


@contextmanager
def lasting() -> Iterator[tuple[Stream, Stream]]:
    """Keep standard output and error usable, also when they are closed; yield both."""
    before = sys.stdout, sys.stderr
    # Python has none where it was closed before the start.
    streams = [
        Stream(s or open(os.devnull, "w", encoding="utf-8"), closed=s is None)  # noqa: PTH123, SIM115
        for s in before
    ]
    sys.stdout, sys.stderr = streams
    try:
        yield streams[0], streams[1]
    finally:
        for stream in streams:
            stream.close()
        sys.stdout, sys.stderr = before


def lost(stream: Stream) -> str:
    """Return why not all of the output was written, or nothing."""
    if stream.problem is None:
        return ""
    if stream.problem.errno in CLOSED:
        return "the output was closed before its end"
    return f"the output could not be written: {stream.problem.strerror}"
