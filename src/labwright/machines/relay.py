"""A local Unix socket that connects each client to the input and output of a new command.

It is used if sshd does not forward sockets, or if only root may use Docker's socket.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from labwright.machines import login
from labwright.machines.process import end_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

TICK_S = 0.5
START_S = 30.0
"""Seconds that the command has to start."""
IDLE_S = 600.0
"""Seconds without data after which a connection is closed."""
CHUNK = 1 << 16


class Relay:
    """A listening socket; it works until it is closed."""

    def __init__(self, path: Path, argv: Sequence[str], mark: bytes = b"") -> None:
        """Start to listen.

        :param argv: a program on this computer.
        :param mark: the beginning of the line that the program prints before the data.
        """
        self._argv, self._mark = list(argv), mark
        self.words = ""
        """The latest text on the program's standard error."""
        self._closed = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(TICK_S)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self._closed.set()
        self._listener.close()
        for process in self._processes:
            end_session(process)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # the socket was closed
                return
            connection.settimeout(IDLE_S)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._processes.append(process)
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018
        words = threading.Thread(target=self._listen, args=(process.stderr.fileno(),), daemon=True)
        words.start()
        with contextlib.suppress(OSError, ValueError):
            rest = self._pass_mark(process.stdout.fileno())
            if rest is not None:
                there = threading.Thread(
                    target=_copy, args=(connection, process.stdin), daemon=True
                )
                there.start()
                connection.sendall(rest)
                while data := _read(process.stdout.fileno(), IDLE_S):
                    connection.sendall(data)
        end_session(process)
        words.join(TICK_S)
        with connection, contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # also ends the thread that reads from it

    def _pass_mark(self, descriptor: int) -> bytes | None:
        """Return the data after the mark; None if the mark was not printed."""
        heard, deadline = b"", time.monotonic() + START_S
        while self._mark:
            _, mark, rest = heard.partition(self._mark)
            if mark and b"\n" in rest:
                return rest.partition(b"\n")[2]
            data = _read(descriptor, deadline - time.monotonic())
            if not data:
                return None
            heard = (heard + data)[-CHUNK:]
        return b""

    def _listen(self, descriptor: int) -> None:
        kept = b""
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, CHUNK):  # ends with the process, which _serve ends
                kept = (kept + data)[-4096:]
                self.words = login.reason(kept.decode(errors="backslashreplace"))


def _read(descriptor: int, timeout: float) -> bytes:
    """Return available data; empty at the end of the file or after the time-out."""
    if not select.select([descriptor], [], [], max(0.0, timeout))[0]:
        return b""
    return os.read(descriptor, CHUNK)


def _copy(connection: socket.socket, pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := connection.recv(CHUNK):
            pipe.write(data)
            pipe.flush()
