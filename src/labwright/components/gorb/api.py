"""Gorb's REST interface, as a plain ASGI application."""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from posixpath import normpath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from labwright.components.gorb.changes import Changes
from labwright.components.gorb.go_json import marshal, plain_number
from labwright.components.gorb.options import read_backend, read_service, read_weight
from labwright.components.gorb.problems import GorbError
from labwright.components.gorb.pulse import check_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from labwright.components.gorb.registry import Registry

    Receive = Callable[[], Awaitable[Mapping[str, Any]]]
    Send = Callable[[Mapping[str, Any]], Awaitable[None]]

log = logging.getLogger("gorb")

JSON = "application/json"
BODY_LIMIT = 1 << 20
"""Bytes; no service or backend takes a hundredth of it to describe."""


class Answer(NamedTuple):
    """What a request is answered."""

    status: int = 200
    body: bytes = b""
    content_type: str = ""
    more_headers: tuple[tuple[bytes, bytes], ...] = ()


NOT_FOUND = Answer(
    404,
    b"404 page not found\n",
    "text/plain; charset=utf-8",
    ((b"X-Content-Type-Options", b"nosniff"),),
)
NOT_ALLOWED = Answer(405)
TOO_LARGE = Answer(413, marshal({"error": "request body too large"}), JSON)


class Api:
    """The application: routes a request to the registry and words the answer."""

    def __init__(
        self, registry: Registry, default_address: str | None, changes: Changes | None = None
    ) -> None:
        self._registry = registry
        self._changes = changes or Changes(registry)
        self._default_address = default_address

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _body(receive)
        if body is None:
            answer = TOO_LARGE
        elif (clean := _cleaned(scope["path"])) != scope["path"]:
            answer = _moved(clean, scope["query_string"])
        else:
            answer = await self._answer(scope["method"], scope["path"], body)
        log.debug("%s %s: %d", scope["method"], scope["path"], answer.status)
        headers = _headers(answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        # A HEAD request is not allowed anywhere, and that answer has no body.
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, method: str, path: str, body: bytes) -> Answer:
        operations, ids = self._route(path)
        if not operations:
            return NOT_FOUND
        operation = operations.get(method)
        if operation is None:
            return NOT_ALLOWED
        try:
            return await operation(body, *ids)
        except GorbError as problem:
            return Answer(problem.status, marshal({"error": str(problem)}), JSON)

    def _route(
        self, path: str
    ) -> tuple[dict[str, Callable[..., Awaitable[Answer]]], tuple[str, ...]]:
        """Return what can be done at a path, by method, and the ids in the path."""
        match path.split("/")[1:]:
            case ["service"]:
                return {"GET": self._list}, ()
            case ["service", service] if service:
                return {
                    "GET": self._show_service,
                    "PUT": self._create_service,
                    "DELETE": self._remove_service,
                }, (service,)
            case ["service", service, backend] if service and backend:
                return {
                    "GET": self._show_backend,
                    "PUT": self._create_backend,
                    "PATCH": self._update_backend,
                    "DELETE": self._remove_backend,
                }, (service, backend)
            case ["metrics"]:
                return {"GET": self._metrics}, ()
            case ["openapi.json"]:
                return {"GET": self._describe}, ()
        return {}, ()

    async def _list(self, _: bytes) -> Answer:
        return _json([service.id for service in self._registry.services])

    async def _show_service(self, _: bytes, service_id: str) -> Answer:
        service = self._registry.service(service_id)
        return _json(
            {
                "options": service.options.as_json(),
                "health": plain_number(service.health),
                "backends": list(service.backends) or None,
            }
        )

    async def _create_service(self, body: bytes, service_id: str) -> Answer:
        options = await read_service(body, self._default_address)
        await self._changes.create_service(service_id, options)
        return Answer()

    async def _remove_service(self, _: bytes, service_id: str) -> Answer:
        await self._changes.remove_service(service_id)
        return Answer()

    # As in the original, a backend's id is global: the service in the path only counts
    # when a backend is created.

    async def _show_backend(self, _: bytes, __: str, backend_id: str) -> Answer:
        backend = self._registry.backend(backend_id)
        return _json(
            {
                "options": backend.options.as_json(backend.weight),
                "metrics": backend.health.as_json(),
            }
        )

    async def _create_backend(self, body: bytes, service_id: str, backend_id: str) -> Answer:
        options = await read_backend(body)
        check_of(options)  # a pulse that cannot be made is refused before anything is done
        await self._changes.create_backend(service_id, backend_id, options)
        return Answer()

    async def _update_backend(self, body: bytes, _: str, backend_id: str) -> Answer:
        await self._changes.set_weight(backend_id, read_weight(body))
        return Answer()

    async def _remove_backend(self, _: bytes, __: str, backend_id: str) -> Answer:
        await self._changes.remove_backend(backend_id)
        return Answer()

    async def _metrics(self, _: bytes) -> Answer:
        # Loaded when first asked for, and aside: it takes as long as all the rest.
        metrics = await asyncio.to_thread(_load_metrics)
        return Answer(200, metrics.exposition(self._registry), metrics.CONTENT_TYPE)

    async def _describe(self, _: bytes) -> Answer:
        from labwright.components.gorb.openapi import description

        return _json(description())


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers, spelt and ordered as Go does for those who `curl -i`."""
    headers = [*answer.more_headers]
    if answer.content_type:
        headers.insert(0, (b"Content-Type", answer.content_type.encode()))
    headers.append((b"Date", formatdate(usegmt=True).encode()))
    headers.append((b"Content-Length", b"%d" % len(answer.body)))
    return headers


def _cleaned(path: str) -> str:
    """Return a path without empty segments and dots, as Gorb's router wants it."""
    if "//" not in path and "/." not in path:
        return path
    clean = normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _moved(path: str, query: bytes) -> Answer:
    location = quote(path).encode() + (b"?" + query if query else b"")
    return Answer(301, more_headers=((b"Location", location),))


def _load_metrics() -> Any:
    from labwright.components.gorb import metrics

    return metrics


def _json(value: Any) -> Answer:
    return Answer(200, marshal(value), JSON)


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body, or None if it is too large."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body"):
            return body
