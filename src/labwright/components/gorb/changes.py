"""What clients change: in the registry and IPVS, in the store, in the catalogue.

One change is made after another. With a store, a change is made in all places or in none:
what a later place refuses is undone in the earlier ones. Without one, nothing here waits, so
a change is over before the next request is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.problems import GorbError, IpvsFailed, ObjectExists, StoreFailed
from labwright.components.gorb.store import with_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.components.gorb.catalogue import Catalogue
    from labwright.components.gorb.ipvs import VirtualService
    from labwright.components.gorb.options import BackendOptions, ServiceOptions
    from labwright.components.gorb.registry import Backend, Registry, Service
    from labwright.components.gorb.store import Store

log = logging.getLogger("gorb")


class Changes:
    """The changes that can be made, each a coroutine that raises a :class:`GorbError`."""

    def __init__(
        self, registry: Registry, store: Store | None = None, catalogue: Catalogue | None = None
    ) -> None:
        self._registry = registry
        self._store = store
        self._catalogue = catalogue
        self.turn = asyncio.Lock()
        """Held while a change is made."""

    async def create_service(self, service_id: str, options: ServiceOptions) -> None:
        """Add a service."""
        async with self.turn:
            self._registry.create_service(service_id, options)
            if self._store:
                undo = self._registry.remove_service
                await _keep(self._store.create_service, service_id, options, undo)
            if self._catalogue:
                await asyncio.to_thread(self._catalogue.expose, service_id, *options.virtual[:2])

    async def create_backend(
        self, service_id: str, backend_id: str, options: BackendOptions
    ) -> None:
        """Add a backend to a service."""
        async with self.turn:
            if self._store:
                options = with_service(options, service_id)
            self._registry.create_backend(service_id, backend_id, options)
            if self._store:
                undo = self._registry.remove_backend
                await _keep(self._store.create_backend, backend_id, options, undo)

    async def set_weight(self, backend_id: str, weight: int) -> None:
        """Give a backend another weight; that is not kept."""
        async with self.turn:
            self._registry.set_weight(backend_id, weight)

    async def remove_backend(self, backend_id: str) -> None:
        """Remove a backend."""
        async with self.turn:
            backend = self._registry.backend(backend_id)
            try:
                if self._store:
                    await asyncio.to_thread(self._store.remove_backend, backend_id)
                self._registry.remove_backend(backend_id)
            except (StoreFailed, IpvsFailed):
                await self._keep_again(backend)
                raise

    async def remove_service(self, service_id: str) -> None:
        """Remove a service with its backends."""
        async with self.turn:
            service = self._registry.service(service_id)
            backends = list(service.backends.values())
            try:
                if self._store:
                    for backend in backends:
                        await asyncio.to_thread(self._store.remove_backend, backend.id)
                    await asyncio.to_thread(self._store.remove_service, service_id)
                self._registry.remove_service(service_id)
            except (StoreFailed, IpvsFailed):
                await self._keep_again(service, *backends)
                raise
            if self._catalogue:
                await asyncio.to_thread(self._catalogue.remove, service_id)

    async def announce(self, before: dict[str, VirtualService]) -> None:
        """Tell the catalogue what else than before is registered; its holder has the turn."""
        if not self._catalogue:
            return
        now = exposed(self._registry)
        for service_id in before.keys() - now.keys():
            await asyncio.to_thread(self._catalogue.remove, service_id)
        for service_id, virtual in now.items():
            if before.get(service_id) != virtual:
                await asyncio.to_thread(self._catalogue.expose, service_id, *virtual[:2])

    async def _keep_again(self, *things: Service | Backend) -> None:
        """Put back into the store what was taken out in vain, as far as it is there."""
        if not self._store:
            return
        for thing in things:
            is_service = hasattr(thing, "backends")
            put: Any = self._store.put_service if is_service else self._store.put_backend
            try:
                await asyncio.to_thread(put, thing.id, thing.options)
            except StoreFailed:
                log.error("the store may have lost [%s], which is in IPVS still", thing.id)


def exposed(registry: Registry) -> dict[str, VirtualService]:
    """Return what others may want to know of the services."""
    return {service.id: service.options.virtual for service in registry.services}


async def _keep(
    create: Callable[..., None], thing_id: str, options: Any, undo: Callable[[str], None]
) -> None:
    """Keep what was registered in the store; if that fails it is not registered either."""
    try:
        await asyncio.to_thread(create, thing_id, options)
    except (StoreFailed, ObjectExists):
        try:
            undo(thing_id)
        except GorbError:
            log.error("[%s] is in IPVS, and not in the store", thing_id)
        raise
