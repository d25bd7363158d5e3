"""The daemon on loopback, over a table in memory, for the tests of its interface."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from labwright.components.gorb.addresses import listen
from labwright.components.gorb.api import Api
from labwright.components.gorb.ipvs_memory import MemoryIpvs
from labwright.components.gorb.pulse import Pulses
from labwright.components.gorb.registry import Registry
from labwright.components.gorb.server import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE_ADDRESS = "10.0.2.15"


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The sentence of an error's answer."""
        assert self.headers["Content-Type"] == "application/json"
        return str(json.loads(self.body)["error"])

    def json(self) -> Any:
        """The body of an answer that is JSON."""
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


class Daemon:
    """One daemon and the table that it speaks to."""

    def __init__(self, ipvs: MemoryIpvs, port: int) -> None:
        self.ipvs = ipvs
        self.port = port

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Make a request; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def put(self, path: str, **options: Any) -> Reply:
        """Create something."""
        return self.ask("PUT", path, options)

    def get(self, path: str) -> Reply:
        """Ask for something."""
        return self.ask("GET", path)

    def clear(self) -> None:
        """Remove all services, and what the table was told to refuse."""
        self.ipvs.failures.clear()
        for service in self.get("/service").json():
            self.ask("DELETE", f"/service/{quote(service, safe='')}")


@contextmanager
def running() -> Iterator[Daemon]:
    """Serve in a thread."""
    ipvs = MemoryIpvs()
    registry = Registry(ipvs, Pulses().watch)
    server = make_server(Api(registry, DEVICE_ADDRESS))
    with listen("127.0.0.1:0") as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        try:
            yield Daemon(ipvs, port)
        finally:
            server.stop()
            thread.join()


def checks_of_conformance() -> list[Any]:
    """Return Schemathesis's checks that an answer is one that is described."""
    # Here: to import it takes two seconds.
    from schemathesis.checks import load_all_checks
    from schemathesis.specs.openapi import checks

    load_all_checks()
    return [
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.status_code_conformance,
    ]
