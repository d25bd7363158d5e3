"""Runs a program on this computer with limited time and output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.errors import CommandTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHUNK = 1 << 16
KILLED_S = 5.0
"""Seconds that a killed process has to end."""
LOGIN_LIMIT = 1 << 20
"""Maximum bytes before the mark."""


@dataclass(frozen=True)
class Output:
    """The result of a program; its outputs are bytes, cut at the limit."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    truncated: bool


def run_bounded(
    argv: Sequence[str],
    *,
    timeout: float,
    limit: int,
    stdin: bytes = b"",
    what: str = "",
    mark: Mark | None = None,
) -> Output:
    """Run a program in its own session, so that a time-out ends its children, too.

    Output beyond ``limit`` bytes is read and dropped, so that the program is not blocked.

    :param timeout: seconds.
    :param what: the program's name in messages; default: the program itself.
    :param mark: a line before the program's own output; output before it is dropped.
    :raises CommandTimedOut: the program did not end in time, and was killed.
    """
    start = time.monotonic()
    process = start_piped(argv)
    streams = Streams(process, limit, mark)
    try:
        streams.send(stdin, last=True)
        if not streams.pump(start + timeout):
            raise CommandTimedOut(f"{what or argv[0]} did not end within {timeout:g} s")
        status = process.wait(timeout=max(0.1, start + timeout - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise CommandTimedOut(f"{what or argv[0]} did not end within {timeout:g} s") from None
    finally:
        streams.close()
    return Output(
        status,
        bytes(streams.stdout),
        bytes(streams.stderr),
        time.monotonic() - start,
        streams.truncated,
    )


def start_piped(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in its own session, with three pipes."""
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def end_session(process: subprocess.Popen[bytes], gentle_s: float = 0.0) -> None:
    """End a session leader and its process group, and wait for it.

    The process must not have been waited for before: its number could then belong to another
    process group.

    :param gentle_s: seconds between SIGTERM and SIGKILL.
    """
    if process.returncode is not None:
        return
    if gentle_s:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(gentle_s)
    if process.returncode is None:
        _signal(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it is blocked in the kernel
            process.wait(KILLED_S)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class Mark:
    """A line that is printed on both outputs before the program's own output.

    Text before the mark comes from something that ran before the program, and is dropped.
    """

    def __init__(self, word: bytes) -> None:
        self.word = word
        self.note = ""
        """The text after the word on the first output; empty until the mark was seen."""
        self.seen = False
        """Whether the mark was seen on the first output."""
        self._passed: set[int] = set()

    def passed(self, fd: int) -> bool:
        """Whether the mark was seen on this output."""
        return fd in self._passed

    def cut(self, output: bytearray, fd: int, *, first: bool) -> None:
        """Remove everything up to the end of the mark's line, if the mark is there.

        :param fd: the output's file descriptor; ``first`` tells whether it is standard output.
        """
        if fd in self._passed:
            return
        start = output.find(self.word)
        end = output.find(b"\n", start)
        if start < 0 or end < 0:
            return
        self._passed.add(fd)
        if first:
            self.seen = True
            note = output[start + len(self.word) : end]
            self.note = note.decode(errors="backslashreplace").strip()
        del output[: end + 1]


class Streams:
    """The three pipes of a process, handled without blocking.

    With a mark, the input is sent only after the mark was seen, so that nothing that runs before
    the program can read it.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], limit: int, mark: Mark | None = None
    ) -> None:
        if not (process.stdin and process.stdout and process.stderr):
            raise ValueError("the process must have been given three pipes")
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        self._process = process
        self._limit = limit
        self._mark = mark
        self._left = memoryview(b"")
        self._last = False
        self._input = process.stdin
        os.set_blocking(self._input.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self.stdout)
        self._selector.register(process.stderr, selectors.EVENT_READ, self.stderr)

    def send(self, data: bytes, *, last: bool) -> None:
        """Write to the process; :meth:`pump` writes the rest that does not fit at once.

        :param last: whether the input ends here.
        """
        self._left = memoryview(bytes(self._left) + data)
        self._last = last
        if self._mark and not self._mark.seen:
            return
        if self._write() and self._input not in self._selector.get_map():
            self._selector.register(self._input, selectors.EVENT_WRITE)

    def pump(self, deadline: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """Move bytes until both outputs are closed, or ``enough`` returns true.

        :param deadline: by the monotonic clock; if it is reached first, False is returned.
        """
        while any(key.fileobj is not self._input for key in self._selector.get_map().values()):
            if enough():
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            for key, _ in self._selector.select(remaining):
                if key.fileobj is not self._input:
                    self._read(key)
                elif not self._write():
                    self._selector.unregister(self._input)
        return True

    def close(self) -> None:
        """End the process and its children (unless it was waited for), and close the pipes."""
        self._selector.close()
        end_session(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _write(self) -> bool:
        """Write as much as possible without blocking; return whether something is left."""
        try:
            while self._left:
                self._left = self._left[os.write(self._input.fileno(), self._left[:CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # a program need not read all of its input
            self._left = self._left[:0]
        if self._last:
            self._input.close()
        return False

    def _read(self, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, CHUNK)
        if not data:
            self._selector.unregister(key.fileobj)
            return
        kept: bytearray = key.data
        kept += data
        mark = self._mark
        if mark and not mark.passed(key.fd):
            seen = mark.seen
            mark.cut(kept, key.fd, first=kept is self.stdout)
            if mark.seen and not seen:
                self.send(b"", last=self._last)
        limit = self._limit + (LOGIN_LIMIT if mark and not mark.passed(key.fd) else 0)
        if len(kept) > limit:
            self.truncated = True
            del kept[limit:]
