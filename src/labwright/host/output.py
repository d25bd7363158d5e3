"""Lets a command continue when its standard output or error is closed or full.

Other output, such as a score in a file, is still written. The problem is reported at the end.
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
    """An output stream that drops text once writing has failed."""

    def __init__(self, stream: Any, *, closed: bool = False) -> None:
        self._stream = stream
        self._closed = closed
        """Whether the stream was closed before the start; then ``stream`` writes to /dev/null."""
        self.problem: OSError | None = None
        """Why writing failed."""

    def write(self, text: str) -> int:
        """Write a text, or drop it if writing has failed before."""
        if self._closed and text and not self.problem:
            self.problem = OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
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
        """Flush the stream, or drop its text, so that Python does not retry at exit."""
        self.flush()
        if self.problem:
            # Redirect it again: pytest, for example, restores the original stream.
            self._discard()

    def _discard(self) -> None:
        """Discard buffered text and all later text."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        """Forward everything else to the stream."""
        return getattr(self._stream, name)


@contextmanager
def lasting() -> Iterator[tuple[Stream, Stream]]:
    """Wrap standard output and error so that writing never raises; yield both."""
    before = sys.stdout, sys.stderr
    # Python sets a stream to None if it was closed before the start.
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
    """Return why some of the output was not written, or "" if all was."""
    if stream.problem is None:
        return ""
    if stream.problem.errno in CLOSED:
        return "the output was closed before its end"
    return f"the output could not be written: {stream.problem.strerror}"
