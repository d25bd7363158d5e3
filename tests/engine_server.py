"""A Docker Engine as far as a test needs one: answers on a Unix socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

VERSION = {"Version": "29.0.0", "ApiVersion": "1.52", "MinAPIVersion": "1.40"}


class EngineServer:
    """Answers each path that it knows by a function that is handed the connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers = {"/version": lambda c: reply(c, VERSION), "/_ping": lambda c: reply(c, "OK")}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o777)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop to listen."""
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(60)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, IndexError):
            while head := connection.recv(65536):
                path = head.split()[1].decode().partition("?")[0]
                known = [answer for end, answer in self.answers.items() if path.endswith(end)]
                if known:
                    known[0](connection)
                else:
                    reply(connection, {"message": "no such thing"}, "404 Not Found")


def reply(connection: socket.socket, body: object, status: str = "200 OK") -> None:
    """Send an answer that is whole."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    connection.sendall(head.encode() + b"\r\n" + data)


def flood(connection: socket.socket) -> None:
    """Send an answer that is far too long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 629145600\r\n\r\n[")
    for _ in range(600):
        connection.sendall(b" " * (1 << 20))


def drip(connection: socket.socket) -> None:
    """Send an answer byte by byte, which never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def drip_head(connection: socket.socket) -> None:
    """Send the head of an answer byte by byte, which never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)
