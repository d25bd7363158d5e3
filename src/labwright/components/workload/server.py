"""The lab's server: ``python3 -m labwright.components.workload.server``.

``/doWork`` takes one unit of work, 500 ms; ``/heartbeat`` answers ``tick``; ``/stop`` ends
the process. One connection is accepted at a time and the others wait in the listen
backlog, so one server answers two requests a second, and a client that keeps its
connection open makes all others wait; ``--concurrency`` lets more in. The console is a
witness of the lab's checks: ``Processing request`` when work begins (stderr, with the
time), ``Response sent`` when it is done (stdout).

In two things it differs from the document's, which trusts its clients. A client that sends
nothing is given up after ``--read-timeout`` seconds, or it would starve everyone else for
ever; and SIGTERM ends it at once, also as a container's first process.

It reads requests by hand: http.server would take longer to load than all the rest, on an
emulated processor.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
from typing import NamedTuple, NoReturn, TextIO

PORT = 4444
WORK_MS = 500
BACKLOG = 4096
"""Connections that may wait; the kernel cuts it to net.core.somaxconn."""
MOST_CONCURRENCY = 256
HEAD_LIMIT = 16384
BODY_LIMIT = 1 << 20
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 431: "Request Header Fields Too Large"}


class BadRequest(Exception):  # noqa: N818  the status's own name
    """What came is no request that can be answered; the argument is the status."""


class Request(NamedTuple):
    """What the server needs to know of a request."""

    method: str
    path: str
    keep_alive: bool
    length: int
    """Bytes of a body that follow."""


def parse_head(head: bytes) -> Request:
    """Read a request line and headers, without the blank line after them.

    :raises BadRequest: they are not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\n")
    words = first.split()
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or words[1][:1] not in "/*h":
        raise BadRequest(400)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(400)
        headers[name.strip().lower()] = value.strip().lower()
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 10):
        raise BadRequest(400)
    asked = headers.get("connection", "close" if words[2] == "HTTP/1.0" else "")
    # Nobody sends this server a body; where one cannot be skipped, the connection ends.
    skippable = "transfer-encoding" not in headers and int(length) <= BODY_LIMIT
    keep_alive = "close" not in asked and skippable
    return Request(words[0], words[1].partition("?")[0], keep_alive, int(length))


class Connection:
    """The one connection that is being served."""

    def __init__(self, sock: socket.socket, read_timeout: float) -> None:
        self._sock = sock
        self._read_timeout = read_timeout
        self._buffer = b""

    def read_request(self) -> Request | None:
        """Return the next request, or None if the client has no more.

        :raises BadRequest: what came is none.
        :raises TimeoutError: it did not come in time; a byte now and then gains none.
        """
        deadline = time.monotonic() + self._read_timeout
        self._buffer = self._buffer.lstrip(b"\r\n")
        while b"\n\r\n" not in self._buffer and b"\n\n" not in self._buffer:
            if len(self._buffer) > HEAD_LIMIT:
                raise BadRequest(431)
            data = self._receive(deadline)
            if not data:
                return None
            self._buffer += data
        blank = b"\n\r\n" if b"\n\r\n" in self._buffer else b"\n\n"
        head, _, self._buffer = self._buffer.partition(blank)
        request = parse_head(head)
        self._skip(min(request.length, BODY_LIMIT), deadline)
        return request

    def answer(self, status: int, body: str, request: Request | None) -> None:
        """Send an answer; for a request that could not be read there is none to go by."""
        content = body.encode()
        keep_alive = request is not None and request.keep_alive
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\n"
            f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}\r\n"
            f"Content-Length: {len(content)}\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n"
            + ("" if keep_alive else "Connection: close\r\n")
            + "\r\n"
        )
        self._sock.settimeout(self._read_timeout)
        bodiless = request is not None and request.method == "HEAD"
        self._sock.sendall(head.encode() + (b"" if bodiless else content))

    def _skip(self, length: int, deadline: float) -> None:
        while len(self._buffer) < length:
            length -= len(self._buffer)
            self._buffer = self._receive(deadline)
            if not self._buffer:
                return
        self._buffer = self._buffer[length:]

    def _receive(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock.recv(8192)


class Server:
    """Answers one connection at a time, and does one unit of work at a time.

    :param work_s: seconds of one unit of work.
    :param read_timeout: seconds that a client has to send a request.
    :param concurrency: how many connections at a time, if not one.
    """

    def __init__(
        self,
        listener: socket.socket,
        work_s: float,
        read_timeout: float,
        concurrency: int = 1,
    ) -> None:
        self._listener = listener
        self._work_s = work_s
        self._read_timeout = read_timeout
        self._concurrency = concurrency

    def serve(self) -> NoReturn:
        """Serve until ``/stop`` or a signal raises SystemExit."""
        if self._concurrency > 1:
            import threading  # the lab's servers need none, and start without it

            for _ in range(self._concurrency - 1):
                threading.Thread(target=self._serve_beside, daemon=True).start()
        self._serve_in_turn()

    def _serve_beside(self) -> None:
        try:
            self._serve_in_turn()
        except SystemExit:  # of /stop, which must end the whole process
            os.kill(os.getpid(), signal.SIGTERM)

    def _serve_in_turn(self) -> NoReturn:
        while True:
            try:
                sock, _ = self._listener.accept()
            except ConnectionError:  # it went away while it waited
                continue
            with sock:
                self._serve_connection(Connection(sock, self._read_timeout))

    def _serve_connection(self, connection: Connection) -> None:
        # A client that is silent or gone is no news; the next one is waiting.
        with contextlib.suppress(OSError):
            try:
                while request := connection.read_request():
                    self._serve_request(connection, request)
                    if not request.keep_alive:
                        return
            except BadRequest as problem:
                status = problem.args[0]
                connection.answer(status, f"{status} {REASONS[status]}\n", None)

    def _serve_request(self, connection: Connection, request: Request) -> None:
        if request.path == "/doWork":
            self._work(connection, request)
        elif request.path == "/heartbeat":
            connection.answer(200, "tick\n", request)
        elif request.path == "/stop":
            connection.answer(200, "", request._replace(keep_alive=False))
            sys.exit(0)
        else:
            connection.answer(404, "404 page not found\n", request)

    def _work(self, connection: Connection, request: Request) -> None:
        say(f"{time.strftime('%Y/%m/%d %H:%M:%S')} Processing request", sys.stderr)
        time.sleep(self._work_s)
        connection.answer(200, f"Response sent after {self._work_s * 1000:.0f} ms\n", request)
        say("Response sent", sys.stdout)


def say(line: str, stream: TextIO) -> None:
    """Print a line at once, and whole: who reads the console must not wait for a buffer."""
    stream.write(f"{line}\n")
    stream.flush()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of all addresses, IPv6 too where there is any."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
    return socket.create_server(("", port), backlog=BACKLOG)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python3 -m labwright.components.workload.server",
        description="Serve /doWork, /heartbeat and /stop, one connection at a time.",
    )
    parser.add_argument("--port", type=int, default=PORT, help="0: any that is free")
    parser.add_argument("--work-ms", type=float, default=WORK_MS, help="one unit of work")
    parser.add_argument(
        "--concurrency", type=int, default=1, metavar="N", help="connections at a time (1)"
    )
    parser.add_argument("--name", default="server", help="how it calls itself when it starts")
    parser.add_argument(
        "--read-timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds that a client has to send a request",
    )
    options = parser.parse_args(arguments)
    if not (0 <= options.port <= 65535 and options.work_ms >= 0 and options.read_timeout > 0):
        parser.error("a port is 0 to 65535, and durations are not negative")
    if not 1 <= options.concurrency <= MOST_CONCURRENCY:
        parser.error(f"--concurrency is 1 to {MOST_CONCURRENCY}")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop; exits 0 then, and 1 if the port cannot be had."""
    options = parse_arguments(arguments)
    # The kernel does not end a container's first process by a signal that it ignores.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        listener = listen(options.port)
    except OSError as problem:
        reason = os.strerror(problem.errno or 0)
        sys.exit(f"{options.name} cannot listen on port {options.port}: {reason}")
    with listener:
        say(f"{options.name} listens on port {listener.getsockname()[1]}", sys.stderr)
        work_s, concurrency = options.work_ms / 1000, options.concurrency
        Server(listener, work_s, options.read_timeout, concurrency).serve()


if __name__ == "__main__":
    main()
