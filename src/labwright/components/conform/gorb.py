"""The daemon under trial: requests, replies, and what was to be expected of them."""

from __future__ import annotations

import http.client
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from labwright.errors import HostUnreachable, UsageError

TIMEOUT_S = 10.0
SHOWN = 400
"""Characters of a body that are shown."""


class Difference(Exception):  # noqa: N818  it is what is looked for
    """A claim does not hold: what was asked, what Gorb answers, what was answered."""

    def __init__(self, asked: str, expected: str, seen: str) -> None:
        super().__init__(f"{asked}: expected {expected}, seen {seen}")
        self.asked, self.expected, self.seen = asked, expected, seen


@dataclass(frozen=True)
class Reply:
    """What came back; a status of 0 is a connection that was closed without an answer."""

    asked: str
    status: int
    headers: dict[str, str]
    """By lower-case names."""
    body: bytes

    def must_be_empty(self, status: int = 200) -> None:
        """Demand a status and nothing else."""
        self._must_have_status(status)
        if self.body or self.headers.get("content-length") not in ("0", None):
            raise self._differs(f"{status} with an empty body")

    def must_be_error(self, status: int, error: str) -> None:
        """Demand an error in Gorb's words and form."""
        body = f'{{\n\t"error": {json.dumps(error)}\n}}'
        for character in "<>&":
            body = body.replace(character, f"\\u{ord(character):04x}")
        self.must_be_json(body.encode(), status)

    def must_be_json(self, body: bytes, status: int = 200) -> None:
        """Demand a body, byte by byte."""
        self.json(status)
        if self.body != body:
            raise self._differs(f"{status} {body.decode()}")

    def json(self, status: int = 200) -> Any:
        """Demand JSON, and return what it says."""
        self._must_have_status(status)
        self.must_have("Content-Type", "application/json")
        try:
            return json.loads(self.body)
        except ValueError:
            raise self._differs("JSON") from None

    def must_have(self, header: str, value: str) -> None:
        """Demand a header."""
        if self.headers.get(header.lower()) != value:
            raise self._differs(f"{header}: {value}", self.headers.get(header.lower(), "none"))

    def must_show(self, shown: Any, expected: Any, what: str) -> None:
        """Demand that a part of the answer is what it should be."""
        if shown != expected:
            raise Difference(self.asked, f"{what} {json.dumps(expected)}", json.dumps(shown))

    def text(self, status: int = 200) -> str:
        """Demand a status, and return the body."""
        self._must_have_status(status)
        return self.body.decode(errors="replace")

    def _must_have_status(self, status: int) -> None:
        if self.status != status:
            raise self._differs(str(status))

    def _differs(self, expected: str, seen: str = "") -> Difference:
        if not self.status:
            return Difference(self.asked, expected, "the connection closed without an answer")
        shown = self.body.decode(errors="backslashreplace")[:SHOWN]
        return Difference(self.asked, expected, seen or f"{self.status} {shown}".strip())


class Gorb:
    """A daemon at a URL. What is created is remembered, so that it can be removed."""

    def __init__(self, url: str, own_port: int | None = None) -> None:
        """Take note of where it is.

        :param own_port: where the daemon itself listens, if the URL leads there otherwise.
        :raises UsageError: it is no URL of a daemon.
        """
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            self._host, self._port = parts.hostname or "", parts.port or 4672
        except ValueError:
            self._host = ""
        if parts.scheme != "http" or not self._host or parts.path not in ("", "/"):
            raise UsageError(f"{url} is no daemon's address: give it as http://HOST:4672")
        self.url = f"http://{parts.netloc}"
        self.own_port = own_port or self._port
        self._created: list[str] = []
        self._prefix = f"conform-{secrets.token_hex(3)}"

    def id(self, name: str) -> str:
        """Return an id of this run's own, which nobody else has."""
        return f"{self._prefix}-{name}"

    def services(self) -> list[str]:
        """Return the ids of its services.

        :raises HostUnreachable: it does not answer.
        """
        try:
            reply = self._ask("GET", "/service", b"")
        except OSError as problem:
            raise HostUnreachable(
                f"no daemon answers at {self.url} ({problem}): start one, or see its log"
            ) from None
        try:
            found = reply.json()
        except Difference as difference:
            raise UsageError(f"{self.url} is no Gorb: {difference}") from None
        return [str(one) for one in found] if isinstance(found, list) else []

    def ask(self, method: str, path: str, body: Any = b"") -> Reply:
        """Make a request; a body that is no bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            reply = self._ask(method, path, sent)
        except (OSError, http.client.HTTPException):
            reply = Reply(f"{method} {path}", 0, {}, b"")
        if method == "PUT" and reply.status == 200:
            self._created.append(path)
        return reply

    def get(self, path: str) -> Reply:
        """Ask for something."""
        return self.ask("GET", path)

    def put(self, path: str, **options: Any) -> Reply:
        """Create something."""
        return self.ask("PUT", path, options)

    def with_service(self, name: str = "s", **options: Any) -> str:
        """Create a service that a case takes for granted; return its path."""
        path = f"/service/{self.id(name)}"
        given = {"host": "192.0.2.1", "port": 4444, "method": "rr"} | options
        self.put(path, **given).must_be_empty()
        return path

    def with_backend(self, service: str, name: str = "b", **options: Any) -> str:
        """Create a backend that a case takes for granted; return its path."""
        path = f"{service}/{self.id(name)}"
        given = {"host": "192.0.2.101", "port": 4444, "pulse": NO_PULSE} | options
        self.put(path, **given).must_be_empty()
        return path

    def clean_up(self) -> None:
        """Remove what was created, the latest first; what is gone already is no matter."""
        while self._created:
            self.ask("DELETE", self._created.pop())

    def _ask(self, method: str, path: str, body: bytes) -> Reply:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, quote(path, safe="/%?=&.:~-_"), body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            asked = f"{method} {path}{f' {_shown(body)}' if body else ''}"
            return Reply(asked, answer.status, found, answer.read())
        finally:
            connection.close()


NO_PULSE = {"type": "none", "interval": "10h"}


def _shown(body: bytes) -> str:
    text = body.decode(errors="backslashreplace")
    return text if len(text) < SHOWN else f"{text[:SHOWN]}..."
