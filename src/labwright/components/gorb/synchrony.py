"""Making the registry and IPVS what the store says, at the start and again and again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.changes import exposed
from labwright.components.gorb.options import read_backend, read_service
from labwright.components.gorb.problems import GorbError, StoreFailed
from labwright.components.gorb.pulse import check_of
from labwright.components.gorb.registry import Put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from labwright.components.gorb.changes import Changes
    from labwright.components.gorb.ipvs import Listed, VirtualService
    from labwright.components.gorb.options import BackendOptions, ServiceOptions
    from labwright.components.gorb.registry import Backend, Registry, Service
    from labwright.components.gorb.store import Store

log = logging.getLogger("gorb")


class Synchrony:
    """Keeps a registry as a store says.

    What the store describes and IPVS has already, of nobody here, is taken over: so a
    daemon that was killed finds its services again. A store that does not answer changes
    nothing, and an entry that cannot be read leaves what is registered under its id alone.
    """

    def __init__(
        self, registry: Registry, changes: Changes, store: Store, default_address: str | None
    ) -> None:
        self._registry = registry
        self._changes = changes
        self._store = store
        self._default_address = default_address

    async def keep(self, interval_s: float) -> None:
        """Synchronise again and again, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.synchronise()

    async def synchronise(self) -> None:
        """Synchronise once; what cannot be done is told in the log."""
        async with self._changes.turn:
            before = exposed(self._registry)
            try:
                contents = await asyncio.to_thread(self._store.contents)
                services = await _read(contents.services, self._read_service)
                backends = await _read(contents.backends, _read_backend)
                self._remove(services, backends)
                self._create(services, backends)
            except StoreFailed:
                log.error("not synchronised: the store does not answer")
            except Exception:  # nothing may end the task that does this
                log.exception("not synchronised: this was not foreseen")
            await self._changes.announce(before)

    async def _read_service(self, body: bytes) -> ServiceOptions:
        return await read_service(body, self._default_address)

    def _remove(
        self,
        services: dict[str, ServiceOptions | None],
        backends: dict[str, BackendOptions | None],
    ) -> None:
        """Remove what the store has not, or has differently; all of it before anything is added."""
        for service in list(self._registry.services):
            for backend in list(service.backends.values()):
                if _is_another(backend, backends, _of_backend):
                    _attempt(self._registry.remove_backend, backend.id)
            if _is_another(service, services, _of_service):
                _attempt(self._registry.remove_service, service.id)

    def _create(
        self,
        services: dict[str, ServiceOptions | None],
        backends: dict[str, BackendOptions | None],
    ) -> None:
        known = {service.id: service for service in self._registry.services}
        registered = {name for service in known.values() for name in service.backends}
        strangers = self._registry.strangers() if services.keys() - known.keys() else {}
        taken: dict[str, Listed] = {}
        for name, wanted in services.items():
            if wanted is not None and name not in known:
                held = strangers.get(wanted.virtual)
                put = Put.UPDATE if held else Put.ADD
                if _attempt(self._registry.create_service, name, wanted, put) and held:
                    taken[name] = held
        for name, options in backends.items():
            if options is not None and name not in registered:
                there = options.vsid in taken and options.server in taken[options.vsid].destinations
                put = Put.UPDATE if there else Put.ADD
                _attempt(self._registry.create_backend, options.vsid, name, options, put)
        self._remove_strangers(taken)

    def _remove_strangers(self, taken: dict[str, Listed]) -> None:
        """Remove from services that were taken over what the store does not have in them."""
        for name, held in taken.items():
            service = self._registry.service(name)
            ours = {backend.options.server for backend in service.backends.values()}
            for server in held.destinations.keys() - ours:
                _attempt(self._registry.remove_stranger, service, server)


def take_over(strangers: dict[VirtualService, Listed], registry: Registry) -> None:
    """Register what IPVS has, as it is; ``-adopt`` asks for it.

    Nothing is changed in IPVS. Ids are made of addresses, and nothing watches the backends:
    a weight of 0 may be somebody's wish. What cannot be described here is left alone.
    """
    from labwright.components.gorb import options

    for virtual, held in strangers.items():
        try:
            service = options.service_as_held(virtual, held)
            name = f"{service.protocol}-{virtual.address}-{virtual.port}"
            backends = {
                f"{name}-{server.address}-{server.port}": options.backend_as_held(server, one)
                for server, one in held.destinations.items()
            }
        except KeyError as unknown:
            log.warning("left alone: %s:%d has %s, which cannot be told", *virtual[:2], unknown)
            continue
        if _attempt(registry.create_service, name, service, Put.LEAVE):
            for backend_name, backend in backends.items():
                _attempt(registry.create_backend, name, backend_name, backend, Put.LEAVE)


async def _read(
    entries: dict[str, bytes], read: Callable[[bytes], Awaitable[Any]]
) -> dict[str, Any]:
    """Return what entries say, by id; None for one that cannot be read."""
    found: dict[str, Any] = {}
    for name, body in entries.items():
        try:
            found[name] = await read(body)
        except GorbError as problem:
            log.error("the store's entry for [%s] cannot be used: %s", name, problem)
            found[name] = None
    return found


async def _read_backend(body: bytes) -> BackendOptions:
    options = await read_backend(body)
    check_of(options)
    return options


def _is_another(
    thing: Service | Backend, wanted: dict[str, Any], told: Callable[[Any], tuple[Any, ...]]
) -> bool:
    """Return whether the store lacks something, or has another of its id."""
    if thing.id not in wanted:
        return True
    options = wanted[thing.id]
    return options is not None and told(options) != told(thing.options)


def _of_service(options: ServiceOptions) -> tuple[Any, ...]:
    """What makes a service another one, by the original's rule."""
    return tuple(options.as_json().values())


def _of_backend(options: BackendOptions) -> tuple[Any, ...]:
    """What makes a backend another one: neither its weight nor its pulse, as in the original."""
    return options.host, options.port, options.method, options.vsid


def _attempt(operation: Callable[..., None], *arguments: Any) -> bool:
    """Do something; whether it was done. Why not is told in the log."""
    try:
        operation(*arguments)
    except GorbError as problem:
        log.warning(
            "could not %s %s: %s", operation.__name__.replace("_", " "), arguments[0], problem
        )
        return False
    return True
