"""What was registered, held together with what IPVS has.

Bookkeeping only: no input or output but through :class:`~labwright.components.gorb.ipvs.Ipvs`.
Every operation runs to its end without giving way, so of concurrent requests with one id exactly
one wins; IPVS is changed first, so a refusal leaves both as they were. No operation's cost
grows with the number of services, but listing them.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.health import Health, Status
from labwright.components.gorb.ipvs import IpvsError
from labwright.components.gorb.problems import Invalid, IpvsFailed, ObjectExists, ObjectNotFound
from labwright.components.gorb.vip import NoVips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labwright.components.gorb.ipvs import Ipvs, Listed, RealServer, VirtualService
    from labwright.components.gorb.options import BackendOptions, ServiceOptions
    from labwright.components.gorb.vip import Vips

log = logging.getLogger("gorb")

GONE = (errno.ESRCH, errno.ENOENT)
"""What IPVS says of a service and of a destination that it does not have."""


class Put(Enum):
    """What is done to IPVS when something is registered."""

    ADD = "it is new there"
    UPDATE = "it is there, of nobody here, and gets these options"
    LEAVE = "it is there, just so"


@dataclass
class Service:
    """A registered service and its backends by id."""

    id: str
    options: ServiceOptions
    backends: dict[str, Backend] = field(default_factory=dict)

    @property
    def health(self) -> float:
        """The mean of its backends' health; a service without any is healthy, if useless."""
        if not self.backends:
            return 1.0
        return sum(one.health.health for one in self.backends.values()) / len(self.backends)


@dataclass
class Backend:
    """A registered backend, its health and its weight in IPVS."""

    id: str
    service: Service
    options: BackendOptions
    weight: int
    """What IPVS has now."""
    health: Health = field(default_factory=Health)
    weight_when_well: int | None = None
    """What the weight is to be again, while a failure keeps it lower."""
    stop: Callable[[], object] = lambda: None
    """Ends the watch over it."""


class Registry:
    """The services and backends of one daemon.

    ``watch`` begins to watch a backend, reports its health after every pulse, and returns
    what ends the watch.
    """

    def __init__(
        self,
        ipvs: Ipvs,
        watch: Callable[[Backend, Callable[[Health], None]], Callable[[], object]],
        vips: Vips | None = None,
    ) -> None:
        self._ipvs = ipvs
        self._watch = watch
        self._vips: Vips = vips or NoVips()
        self._services: dict[str, Service] = {}
        self._backends: dict[str, Backend] = {}

    @property
    def services(self) -> Iterable[Service]:
        """All services, the oldest first."""
        return self._services.values()

    def service(self, service_id: str) -> Service:
        """Return a service.

        :raises ObjectNotFound: there is none.
        """
        try:
            return self._services[service_id]
        except KeyError:
            raise ObjectNotFound from None

    def backend(self, backend_id: str) -> Backend:
        """Return a backend; ids are global, whatever the service.

        :raises ObjectNotFound: there is none.
        """
        try:
            return self._backends[backend_id]
        except KeyError:
            raise ObjectNotFound from None

    def create_service(self, service_id: str, options: ServiceOptions, put: Put = Put.ADD) -> None:
        """Add a service here and in IPVS, and its address to the interface for such.

        :raises ObjectExists: the id is taken.
        :raises IpvsFailed: the address is taken, or there is no such scheduler.
        """
        if service_id in self._services:
            raise ObjectExists
        log.info("creating virtual service [%s] on %s:%d", service_id, *options.virtual[:2])
        self._call(self._vips.hold, options.address)
        try:
            if put is not Put.LEAVE:
                change = self._ipvs.add_service if put is Put.ADD else self._ipvs.update_service
                self._call(change, options.virtual, options.method, options.scheduler_flags)
        except IpvsFailed:
            self._vips.release(options.address)
            raise
        self._services[service_id] = Service(service_id, options)

    def create_backend(
        self, service_id: str, backend_id: str, options: BackendOptions, put: Put = Put.ADD
    ) -> None:
        """Add a backend here and in IPVS, and begin to watch it.

        :raises ObjectExists: the id is taken, under whatever service.
        :raises ObjectNotFound: there is no such service.
        :raises Invalid: its address is of another family than the service's.
        :raises IpvsFailed: the service has this address and port already.
        """
        if backend_id in self._backends:
            raise ObjectExists
        service = self.service(service_id)
        if (":" in options.address) != (":" in service.options.address):
            raise Invalid("incompatible address families")
        log.info(
            "creating backend [%s] on %s:%d for virtual service [%s]",
            backend_id,
            *options.server,
            service_id,
        )
        if put is not Put.LEAVE:
            ipvs = self._ipvs
            change = ipvs.add_destination if put is Put.ADD else ipvs.update_destination
            virtual = service.options.virtual
            self._call(change, virtual, options.server, options.forward, options.weight)
        backend = Backend(backend_id, service, options, options.weight)
        self._backends[backend_id] = service.backends[backend_id] = backend
        backend.stop = self._watch(backend, lambda health: self._pulse(backend, health))

    def set_weight(self, backend_id: str, weight: int) -> None:
        """Give a backend another weight.

        While a failed pulse keeps the weight at 0, the new one is also what the backend
        returns to.

        :raises ObjectNotFound: there is no such backend.
        :raises IpvsFailed: the kernel refuses the weight, or the backend is gone from it.
        """
        backend = self.backend(backend_id)
        log.info("updating backend [%s/%s] with weight: %d", backend.service.id, backend_id, weight)
        self._set_weight(backend, weight)
        if backend.weight_when_well is not None:
            backend.weight_when_well = weight

    def remove_backend(self, backend_id: str) -> None:
        """Remove a backend here and in IPVS; one that IPVS has lost is only removed here.

        :raises ObjectNotFound: there is no such backend.
        :raises IpvsFailed: the kernel refuses.
        """
        backend = self.backend(backend_id)
        log.info("removing backend [%s/%s]", backend.service.id, backend_id)
        virtual = backend.service.options.virtual
        self._remove(self._ipvs.delete_destination, virtual, backend.options.server)
        self._forget(backend)

    def remove_service(self, service_id: str) -> None:
        """Remove a service and its backends here and in IPVS.

        :raises ObjectNotFound: there is no such service.
        :raises IpvsFailed: the kernel refuses.
        """
        service = self.service(service_id)
        log.info(
            "removing virtual service [%s] from %s:%d", service_id, *service.options.virtual[:2]
        )
        self._remove(self._ipvs.delete_service, service.options.virtual)
        self._vips.release(service.options.address)
        del self._services[service_id]
        # One line: thousands would keep everybody else waiting where the log is slow.
        if service.backends:
            log.info("cleaning up now orphaned backends: %d", len(service.backends))
        for backend in list(service.backends.values()):
            self._forget(backend)

    def strangers(self) -> dict[VirtualService, Listed]:
        """Return the services that IPVS has and nobody registered here.

        :raises IpvsFailed: the kernel does not tell.
        """
        ours = {service.options.virtual for service in self._services.values()}
        try:
            table = self._ipvs.table()
        except IpvsError as problem:
            _log_refusal(self._ipvs.table, problem)
            raise IpvsFailed from problem
        return {virtual: held for virtual, held in table.items() if virtual not in ours}

    def remove_stranger(self, service: Service, server: RealServer) -> None:
        """Remove a destination that IPVS has in a service and nobody registered here.

        :raises IpvsFailed: the kernel refuses.
        """
        log.info("removing %s:%d from virtual service [%s]", *server, service.id)
        self._remove(self._ipvs.delete_destination, service.options.virtual, server)

    def close(self) -> None:
        """Remove every service; what the kernel refuses to remove is logged and left."""
        for service_id in list(self._services):
            try:
                self.remove_service(service_id)
            except IpvsFailed:
                log.error("virtual service [%s] is left in the kernel", service_id)

    def _forget(self, backend: Backend) -> None:
        backend.stop()
        del self._backends[backend.id]
        del backend.service.backends[backend.id]

    def _pulse(self, backend: Backend, health: Health) -> None:
        """Take note of a backend's health, and give it the weight that it deserves."""
        name = f"[{backend.service.id}/{backend.id}]"
        if health.status is not backend.health.status:
            log.warning("backend %s status: %s", name, health.status.name.title())
        backend.health = health
        try:
            self._reweigh(backend)
        except IpvsFailed:
            log.error("the weight of backend %s could not be changed", name)

    def _reweigh(self, backend: Backend) -> None:
        """Weight 0 while it is down; then its share of the original until all is well."""
        if backend.health.status is Status.DOWN:
            if backend.weight_when_well is None:
                weight = backend.weight
                self._set_weight(backend, 0)
                backend.weight_when_well = weight
        elif backend.weight_when_well is not None:
            weight = int(backend.weight_when_well * backend.health.health)
            self._set_weight(backend, weight)
            if weight == backend.weight_when_well:
                backend.weight_when_well = None

    def _set_weight(self, backend: Backend, weight: int) -> None:
        self._call(
            self._ipvs.update_destination,
            backend.service.options.virtual,
            backend.options.server,
            backend.options.forward,
            weight,
        )
        backend.weight = weight

    def _remove(self, operation: Callable[..., None], *arguments: Any) -> None:
        """Remove something from IPVS; that somebody else did so before is no failure."""
        try:
            operation(*arguments)
        except IpvsError as problem:
            if problem.errno not in GONE:
                _log_refusal(operation, problem)
                raise IpvsFailed from problem
            log.warning("IPVS had lost it already: %s", problem)

    def _call(self, operation: Callable[..., None], *arguments: Any) -> None:
        try:
            operation(*arguments)
        except IpvsError as problem:
            _log_refusal(operation, problem)
            raise IpvsFailed from problem


def _log_refusal(operation: Callable[..., object], problem: IpvsError) -> None:
    """Say what the client is not told: why."""
    what = operation.__name__.replace("_", " ")
    log.error("IPVS refused to %s: %s", what, problem)
