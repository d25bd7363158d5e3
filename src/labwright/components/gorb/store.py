"""``-store``: services and backends kept in etcd or Consul, and shared with other daemons.

The layout is the original's: ``PATH/services/ID`` and ``PATH/backends/ID`` hold the options
as JSON, those of a backend with its service's id as ``vsid``. A weight is kept as it was
first asked for; what pulses or a PATCH make of it is each daemon's own.

The original speaks version 2 of etcd's interface, which etcd no longer has: this is version 3.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from labwright.components.gorb.problems import ObjectExists, StartError, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from labwright.components.gorb.options import BackendOptions, ServiceOptions

log = logging.getLogger("gorb")

TIMEOUT_S = 5
"""How long one request to the store may take."""
INSTALL = "pip install 'labwright[store]'"
SLASHES = {"etcd": "/", "consul": ""}
"""What a key begins with: etcd's look like paths, Consul refuses a slash there."""


class Unavailable(Exception):  # noqa: N818
    """A server of the store gave no good answer; the message says why."""


class Keys(Protocol):
    """Keys and values on one server; each call raises :class:`Unavailable`."""

    def list(self, prefix: str) -> dict[str, bytes]:
        """Return all that begins with a prefix."""

    def create(self, key: str, value: bytes) -> bool:
        """Set a key that is not there; False if it is."""

    def put(self, key: str, value: bytes) -> None:
        """Set a key."""

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""


class EtcdKeys:
    """An etcd server."""

    def __init__(self, host: str, port: int | None) -> None:
        etcd = client_package("etcd3gw", "-store etcd://")
        from etcd3gw.exceptions import Etcd3Exception

        self._failures = (Etcd3Exception, OSError, ValueError)
        # Keys and values are bytes here: text would have to be Latin-1.
        self._client = etcd.Etcd3Client(host, port or 2379, timeout=TIMEOUT_S)

    def list(self, prefix: str) -> dict[str, bytes]:
        """Return all that begins with a prefix."""
        found = self._ask(self._client.get_prefix, prefix.encode())
        return {about["key"].decode(errors="replace"): value for value, about in found}

    def create(self, key: str, value: bytes) -> bool:
        """Set a key that is not there."""
        return bool(self._ask(self._client.create, key.encode(), value))

    def put(self, key: str, value: bytes) -> None:
        """Set a key."""
        self._ask(self._client.put, key.encode(), value)

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        self._ask(self._client.delete, key.encode())

    def _ask(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return operation(*arguments)
        except self._failures as problem:
            detail = getattr(problem, "detail_text", None) or str(problem)
            raise Unavailable(detail or type(problem).__name__) from problem


class ConsulKeys:
    """A Consul agent."""

    def __init__(self, host: str, port: int | None) -> None:
        consul = client_package("consul", "-store consul://")
        self._failures = (consul.ConsulException, OSError, ValueError)
        self._client = consul.Consul(host, port or 8500, connections_timeout=TIMEOUT_S)

    def list(self, prefix: str) -> dict[str, bytes]:
        """Return all that begins with a prefix."""
        _, found = self._ask(self._client.kv.get, prefix, recurse=True)
        return {one["Key"]: one["Value"] or b"" for one in found or ()}

    def create(self, key: str, value: bytes) -> bool:
        """Set a key that is not there."""
        return bool(self._ask(self._client.kv.put, key, value, cas=0))

    def put(self, key: str, value: bytes) -> None:
        """Set a key."""
        self._ask(self._client.kv.put, key, value)

    def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        self._ask(self._client.kv.delete, key)

    def _ask(self, operation: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        try:
            return operation(*arguments, **more)
        except self._failures as problem:
            raise Unavailable(str(problem) or type(problem).__name__) from problem


KINDS: dict[str, Callable[[str, int | None], Keys]] = {"etcd": EtcdKeys, "consul": ConsulKeys}


class Contents(NamedTuple):
    """What a store holds, by id, as it was written there."""

    services: dict[str, bytes]
    backends: dict[str, bytes]


class Store:
    """Services and backends by id, on the first server of several that answers.

    Every method waits for the network, so it is called in a thread, and raises
    :class:`StoreFailed` when no server did what was asked.
    """

    def __init__(self, servers: list[Keys], service_path: str, backend_path: str) -> None:
        self._servers = servers
        self._service_path = service_path
        self._backend_path = backend_path

    def contents(self) -> Contents:
        """Return all that there is."""
        return Contents(self._list(self._service_path), self._list(self._backend_path))

    def create_service(self, service_id: str, options: ServiceOptions) -> None:
        """Keep a new service.

        :raises ObjectExists: another daemon has registered one of this id.
        """
        self._create(f"{self._service_path}/{service_id}", _json(options.as_json()))

    def create_backend(self, backend_id: str, options: BackendOptions) -> None:
        """Keep a new backend.

        :raises ObjectExists: another daemon has registered one of this id.
        """
        self._create(f"{self._backend_path}/{backend_id}", _backend_json(options))

    def put_service(self, service_id: str, options: ServiceOptions) -> None:
        """Keep a service, whatever there was."""
        value = _json(options.as_json())
        self._ask(lambda keys: keys.put(f"{self._service_path}/{service_id}", value))

    def put_backend(self, backend_id: str, options: BackendOptions) -> None:
        """Keep a backend, whatever there was."""
        value = _backend_json(options)
        self._ask(lambda keys: keys.put(f"{self._backend_path}/{backend_id}", value))

    def remove_service(self, service_id: str) -> None:
        """Keep a service no longer."""
        self._ask(lambda keys: keys.delete(f"{self._service_path}/{service_id}"))

    def remove_backend(self, backend_id: str) -> None:
        """Keep a backend no longer."""
        self._ask(lambda keys: keys.delete(f"{self._backend_path}/{backend_id}"))

    def _list(self, path: str) -> dict[str, bytes]:
        found: dict[str, bytes] = self._ask(lambda keys: keys.list(f"{path}/"))
        return {key.rpartition("/")[2]: value for key, value in found.items() if key[-1] != "/"}

    def _create(self, key: str, value: bytes) -> None:
        if not self._ask(lambda keys: keys.create(key, value)):
            raise ObjectExists

    def _ask(self, question: Callable[[Keys], Any]) -> Any:
        for server in list(self._servers):
            try:
                return question(server)
            except Unavailable as problem:
                log.error("the store does not answer: %s", problem)
                # The next request begins with another one.
                self._servers.append(self._servers.pop(0))
        raise StoreFailed


def open_store(urls: str, service_path: str, backend_path: str) -> Store:
    """Return the store that ``-store`` names: URLs separated by commas, of one scheme and path.

    Nothing is asked of it yet.

    :raises StartError: there is no such store, or the package that speaks to it is missing.
    """
    found = [urlsplit(url.strip()) for url in urls.split(",")]
    first = found[0]
    if first.scheme not in KINDS:
        raise StartError(
            f"-store {urls} is no store: name one as etcd://HOST:PORT/PATH or consul://HOST:PORT/PATH"
        )
    if any((url.scheme, url.path) != (first.scheme, first.path) for url in found):
        raise StartError(f"-store {urls} must have the same scheme and path in all its URLs")
    try:
        servers = [KINDS[first.scheme](url.hostname or "127.0.0.1", url.port) for url in found]
    except ValueError as problem:  # of a port
        raise StartError(f"-store {urls} is no store: {problem}") from None
    start = SLASHES[first.scheme]
    paths = (_joined(first.path, path, start) for path in (service_path, backend_path))
    return Store(servers, *paths)


def _joined(path: str, name: str, start: str) -> str:
    parts = [part for part in f"{path}/{name}".split("/") if part]
    return start + "/".join(parts)


def client_package(name: str, flag: str) -> ModuleType:
    """Import a package that only some users need.

    :raises StartError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise StartError(
            f"{flag} needs a package that is missing ({problem.name}): run `{INSTALL}`"
        ) from None


def _backend_json(options: BackendOptions) -> bytes:
    return _json(options.as_json(options.weight))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def with_service(options: BackendOptions, service_id: str) -> BackendOptions:
    """Return a backend's options as they are kept: with the id of its service."""
    return dataclasses.replace(options, vsid=service_id)
