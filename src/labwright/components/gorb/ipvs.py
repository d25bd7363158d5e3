"""What the daemon asks of IPVS, whoever answers: the kernel, or memory in unit tests."""

from __future__ import annotations

from typing import NamedTuple, Protocol

FORWARD_MASQUERADE = 0
FORWARD_TUNNEL = 2
FORWARD_DIRECT = 3
"""Forwarding methods, the ``IP_VS_CONN_F_*`` of linux/ip_vs.h."""


class IpvsError(Exception):
    """IPVS refused; ``errno`` is what the kernel said."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno


class VirtualService(NamedTuple):
    """What identifies a service in IPVS."""

    address: str
    """IPv4 or IPv6, numeric."""
    port: int
    protocol: int
    """``IPPROTO_TCP`` or ``IPPROTO_UDP``."""


class RealServer(NamedTuple):
    """What identifies a destination within its service."""

    address: str
    port: int


class Destination(NamedTuple):
    """What a table holds of a destination beside its address."""

    forward: int
    weight: int


class Listed(NamedTuple):
    """What a table holds of a service beside its address."""

    scheduler: str
    flags: int
    destinations: dict[RealServer, Destination]


class Ipvs(Protocol):
    """A table of services. Each call is carried out wholly or raises :class:`IpvsError`."""

    def flush(self) -> None:
        """Remove every service, whoever made it."""

    def add_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Add a service (``EEXIST``: it is there, ``ENOENT``: no such scheduler)."""

    def update_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Give a service another scheduler and flags (``ESRCH``: it is not there)."""

    def delete_service(self, service: VirtualService) -> None:
        """Remove a service and its destinations (``ESRCH``: it is not there)."""

    def add_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Add a destination (``EEXIST``, ``ESRCH``: no service, ``ERANGE``: the weight)."""

    def update_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Give a destination another weight (``ENOENT``: it is not there)."""

    def delete_destination(self, service: VirtualService, server: RealServer) -> None:
        """Remove a destination (``ENOENT``: it is not there)."""

    def table(self) -> dict[VirtualService, Listed]:
        """Return every service that has an address, whoever made it."""

    def close(self) -> None:
        """Let go of the table; what is in it stays."""
