"""Runs a program of this computer with bounded time and output."""

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


@dataclass(frozen=True)
class Output:
    """What a program did; its outputs are bytes, cut at the limit."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    truncated: bool


def run_bounded(
    argv: Sequence[str], *, timeout: float, limit: int, stdin: bytes = b"", what: str = ""
) -> Output:
    """Run a program in a session of its own, so that a time-out ends its children too.

    Output beyond ``limit`` bytes is read and thrown away: a talkative program is neither
    blocked nor believed.

    :param timeout: seconds.
    :param what: how a message names the program; the program itself if empty.
    :raises CommandTimedOut: it did not end in time; it has been killed.
    """
    start = time.monotonic()
    process = start_piped(argv)
    streams = Streams(process, limit)
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
    """Start a program in a session of its own, with three pipes."""
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


class Streams:
    """The three pipes of a process, none of which may block the others."""

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        if not (process.stdin and process.stdout and process.stderr):
            raise ValueError("the process must have been given three pipes")
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        self._process = process
        self._limit = limit
        self._left = memoryview(b"")
        self._last = False
        self._input = process.stdin
        os.set_blocking(self._input.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self.stdout)
        self._selector.register(process.stderr, selectors.EVENT_READ, self.stderr)

    def send(self, data: bytes, *, last: bool) -> None:
        """Write to the process, what does not fit at once while it is pumped.

        :param last: whether this ends its input.
        """
        self._left = memoryview(bytes(self._left) + data)
        self._last = last
        if self._write() and self._input not in self._selector.get_map():
            self._selector.register(self._input, selectors.EVENT_WRITE)

    def pump(self, deadline: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """Move bytes until both outputs are closed, or it is enough.

        :param deadline: by the monotonic clock; False is returned when it came first.
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
        """End the process and its children, if it has not ended, and close the pipes."""
        self._selector.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _write(self) -> bool:
        """Write what can be written at once; return whether something is left."""
        try:
            while self._left:
                self._left = self._left[os.write(self._input.fileno(), self._left[:CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # it need not read all of it
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
        room = self._limit - len(kept)
        self.truncated |= len(data) > room
        kept += data[: max(0, room)]
