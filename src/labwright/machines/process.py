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
    from collections.abc import Sequence

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
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        streams = _Streams(process, stdin, limit)
        if not streams.pump(start + timeout):
            raise CommandTimedOut(f"{what or argv[0]} did not end within {timeout:g} s")
        status = process.wait(timeout=max(0.1, start + timeout - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise CommandTimedOut(f"{what or argv[0]} did not end within {timeout:g} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe and not pipe.closed:
                pipe.close()
    return Output(
        status,
        bytes(streams.stdout),
        bytes(streams.stderr),
        time.monotonic() - start,
        streams.truncated,
    )


class _Streams:
    """The three pipes of a process, none of which may block the others."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, limit: int) -> None:
        if not (process.stdin and process.stdout and process.stderr):
            raise ValueError("the process must have been given three pipes")
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        self._limit = limit
        self._left = memoryview(stdin)
        self._input = process.stdin
        self._selector = selectors.DefaultSelector()
        self._selector.register(process.stdout, selectors.EVENT_READ, self.stdout)
        self._selector.register(process.stderr, selectors.EVENT_READ, self.stderr)
        if stdin:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE)
        else:
            process.stdin.close()

    def pump(self, deadline: float) -> bool:
        """Move bytes until both outputs are closed; False if the deadline came first."""
        with self._selector:
            while self._selector.get_map():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                for key, _ in self._selector.select(remaining):
                    if key.fileobj is self._input:
                        self._write()
                    else:
                        self._read(key)
        return True

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._input.fileno(), self._left[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._input)
            with contextlib.suppress(BrokenPipeError):  # it need not read all of it
                self._input.close()

    def _read(self, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, CHUNK)
        if not data:
            self._selector.unregister(key.fileobj)
            return
        kept: bytearray = key.data
        room = self._limit - len(kept)
        self.truncated |= len(data) > room
        kept += data[: max(0, room)]
