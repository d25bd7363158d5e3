"""IPVS in memory, by the kernel's rules: only for the daemon's own tests and benchmarks."""

from __future__ import annotations

import errno
import ipaddress
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labwright.components.gorb.ipvs import Destination, IpvsError, Listed

if TYPE_CHECKING:
    from labwright.components.gorb.ipvs import RealServer, VirtualService

SCHEDULERS = frozenset(
    ("rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos")
)


@dataclass
class Service:
    """What a table holds of a service beside its address."""

    scheduler: str
    flags: int
    destinations: dict[RealServer, Destination] = field(default_factory=dict)


class MemoryIpvs:
    """A table with the rules of net/netfilter/ipvs/ip_vs_ctl.c."""

    def __init__(self) -> None:
        self.services: dict[VirtualService, Service] = {}
        self.failures: list[int] = []
        """Error numbers with which the next calls fail, one each."""

    def flush(self) -> None:
        """Remove every service."""
        self._fail_if_told()
        self.services.clear()

    def add_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Add a service."""
        self._fail_if_told()
        if service in self.services:
            _refuse(errno.EEXIST)
        if scheduler not in SCHEDULERS:
            _refuse(errno.ENOENT)
        self.services[service] = Service(scheduler, flags)

    def update_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Give a service another scheduler and flags."""
        self._fail_if_told()
        held = self._service(service)
        if scheduler not in SCHEDULERS:
            _refuse(errno.ENOENT)
        held.scheduler, held.flags = scheduler, flags

    def delete_service(self, service: VirtualService) -> None:
        """Remove a service and its destinations."""
        self._fail_if_told()
        self._service(service)
        del self.services[service]

    def add_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Add a destination."""
        self._fail_if_told()
        destinations = self._service(service).destinations
        _must_be_a_weight(weight)
        if _version(server.address) != _version(service.address):
            _refuse(errno.EINVAL)
        if server in destinations:
            _refuse(errno.EEXIST)
        destinations[server] = Destination(forward, weight)

    def update_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Give a destination another weight."""
        self._fail_if_told()
        destinations = self._service(service).destinations
        _must_be_a_weight(weight)
        if server not in destinations:
            _refuse(errno.ENOENT)
        destinations[server] = Destination(forward, weight)

    def delete_destination(self, service: VirtualService, server: RealServer) -> None:
        """Remove a destination."""
        self._fail_if_told()
        destinations = self._service(service).destinations
        if server not in destinations:
            _refuse(errno.ENOENT)
        del destinations[server]

    def table(self) -> dict[VirtualService, Listed]:
        """Return every service."""
        self._fail_if_told()
        return {
            service: Listed(held.scheduler, held.flags, dict(held.destinations))
            for service, held in self.services.items()
        }

    def close(self) -> None:
        """Do nothing: the table lasts as long as it is held."""

    def _service(self, service: VirtualService) -> Service:
        if service not in self.services:
            _refuse(errno.ESRCH)
        return self.services[service]

    def _fail_if_told(self) -> None:
        if self.failures:
            _refuse(self.failures.pop(0))


def _must_be_a_weight(weight: int) -> None:
    if weight < 0:
        _refuse(errno.ERANGE)


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


def _refuse(number: int) -> None:
    raise IpvsError(number, os.strerror(number))
