"""A local Unix socket: each connection to it is a command's input and output.

For a machine whose sshd does not forward sockets, or whose socket only root may use.
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
"""Seconds in which the command must have begun."""
IDLE_S = 600.0
"""Seconds after which a connection on which nothing moves is closed."""
CHUNK = 1 << 16


class Relay:
    """Listens until it is closed."""

    def __init__(self, path: Path, argv: Sequence[str], mark: bytes = b"") -> None:
        """Begin to listen.

        :param argv: a program of this computer.
        :param mark: what it prints before what counts, to the end of the line.
        """
        self._argv, self._mark = list(argv), mark
        self.words = ""
        """What the program said last on standard error."""
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
            except OSError:  # closed
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
            connection.shutdown(socket.SHUT_RDWR)  # what is read from it ends, too

    def _pass_mark(self, descriptor: int) -> bytes | None:
        """Return what followed the mark; None if it was not printed."""
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
            while data := os.read(descriptor, CHUNK):  # until its process ends, which we see to
                kept = (kept + data)[-4096:]
                self.words = login.reason(kept.decode(errors="backslashreplace"))


def _read(descriptor: int, timeout: float) -> bytes:
    """Return what can be read, empty at the end or when nothing came in time."""
    if not select.select([descriptor], [], [], max(0.0, timeout))[0]:
        return b""
    return os.read(descriptor, CHUNK)


def _copy(connection: socket.socket, pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := connection.recv(CHUNK):
            pipe.write(data)
            pipe.flush()
