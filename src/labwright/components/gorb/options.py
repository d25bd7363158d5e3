"""What a client may ask of a service and of a backend: read, completed, validated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from socket import IPPROTO_TCP, IPPROTO_UDP
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.addresses import resolve
from labwright.components.gorb.go_json import BOOL, INT32, MAP, STRING, UINT16, Struct, unmarshal
from labwright.components.gorb.ipvs import (
    FORWARD_DIRECT,
    FORWARD_MASQUERADE,
    FORWARD_TUNNEL,
    RealServer,
    VirtualService,
)
from labwright.components.gorb.problems import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labwright.components.gorb.ipvs import Destination, Listed

PROTOCOLS = {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP}
FORWARDING = {
    "nat": FORWARD_MASQUERADE,
    "dr": FORWARD_DIRECT,
    "tunnel": FORWARD_TUNNEL,
    "ipip": FORWARD_TUNNEL,
}
SCHEDULER_FLAGS = {
    "sh-fallback": 0x08,
    "sh-port": 0x10,
    "flag-1": 0x08,
    "flag-2": 0x10,
    "flag-3": 0x20,
}
"""``IP_VS_SVC_F_SCHED1..3`` of linux/ip_vs.h; what they mean is up to the scheduler."""
PERSISTENT = 0x01
"""``IP_VS_SVC_F_PERSISTENT``."""
PULSES = ("tcp", "http", "none")
INTERVAL = re.compile(r"(?ai)([+-]?[0-9]+)(s|sec|seconds|m|min|minutes|h|hours)")
UNITS = {"s": 1, "m": 60, "h": 3600}
LONGEST_S = 1 << 31

SERVICE = Struct(
    "core",
    "ServiceOptions",
    {
        "host": STRING,
        "port": UINT16,
        "protocol": STRING,
        "method": STRING,
        "flags": STRING,
        "persistent": BOOL,
    },
)
BACKEND = Struct(
    "core",
    "BackendOptions",
    {
        "host": STRING,
        "port": UINT16,
        "weight": INT32,
        "method": STRING,
        "pulse": Struct("pulse", "Options", {"type": STRING, "interval": STRING, "args": MAP}),
        "vsid": STRING,
    },
)


@dataclass(frozen=True)
class ServiceOptions:
    """A virtual service as its client described it, with defaults filled in."""

    host: str
    port: int
    protocol: str
    method: str
    """The scheduler's name in the kernel."""
    flags: str
    persistent: bool
    """Stored and shown, and never passed to the kernel, as in the original: round-robin
    works because of that."""
    address: str
    """The host, resolved; the device's address where no host was given."""

    @property
    def virtual(self) -> VirtualService:
        """What identifies it in IPVS."""
        return VirtualService(self.address, self.port, PROTOCOLS[self.protocol])

    @property
    def scheduler_flags(self) -> int:
        """Its flags as the kernel takes them."""
        bits = 0
        for name in self.flags.split("|") if self.flags else ():
            bits |= SCHEDULER_FLAGS[name]
        return bits

    def as_json(self) -> dict[str, Any]:
        """Return it as clients see it."""
        names = ("host", "port", "protocol", "method", "flags", "persistent")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class PulseOptions:
    """How a backend's health is checked."""

    type: str
    interval: str
    args: Mapping[str, Any] | None
    interval_s: int

    def as_json(self) -> dict[str, Any]:
        """Return it as clients see it."""
        return {"type": self.type, "interval": self.interval, "args": self.args}


@dataclass(frozen=True)
class BackendOptions:
    """A backend as its client described it, with defaults filled in."""

    host: str
    port: int
    weight: int
    """What the client asked for; what the kernel has now is the registry's to say."""
    method: str
    pulse: PulseOptions
    vsid: str
    address: str

    @property
    def server(self) -> RealServer:
        """What identifies it in its service in IPVS."""
        return RealServer(self.address, self.port)

    @property
    def forward(self) -> int:
        """Its forwarding method as the kernel takes it."""
        return FORWARDING[self.method]

    def as_json(self, weight: int) -> dict[str, Any]:
        """Return it as clients see it, with the weight that the kernel has now."""
        shown: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "weight": weight,
            "method": self.method,
            "pulse": self.pulse.as_json(),
        }
        return shown | ({"vsid": self.vsid} if self.vsid else {})


async def read_service(body: bytes, default_address: str | None) -> ServiceOptions:
    """Read the body of a request for a new service.

    The order of the checks is the original's: of several mistakes the same one is named.

    :raises Invalid: it asks for what cannot be.
    """
    given = unmarshal(body, SERVICE)
    host, port = given.get("host", ""), given.get("port", 0)
    if not port or not (host or default_address):
        raise Invalid("endpoint information is missing")
    address = await resolve(host) if host else str(default_address)
    protocol = (given.get("protocol") or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise Invalid("specified protocol is unknown")
    flags = given.get("flags", "")
    if flags and not SCHEDULER_FLAGS.keys() >= set(flags.split("|")):
        raise Invalid("specified flag is unknown")
    method = given.get("method") or "wrr"
    return ServiceOptions(
        host, port, protocol, method, flags, given.get("persistent", False), address
    )


async def read_backend(body: bytes) -> BackendOptions:
    """Read the body of a request for a new backend.

    :raises Invalid: it asks for what cannot be.
    """
    given = unmarshal(body, BACKEND)
    host, port = given.get("host", ""), given.get("port", 0)
    if not host or not port:
        raise Invalid("endpoint information is missing")
    address = await resolve(host)
    weight = given.get("weight", 0)
    method = (given.get("method") or "nat").lower()
    if method not in FORWARDING:
        raise Invalid("specified forwarding method is unknown")
    return BackendOptions(
        host,
        port,
        weight if weight > 0 else 100,
        method,
        _pulse(given.get("pulse", {})),
        given.get("vsid", ""),
        address,
    )


def read_weight(body: bytes) -> int:
    """Read the body of a request to change a backend's weight; no weight is 0, as in Go."""
    weight: int = unmarshal(body, BACKEND).get("weight", 0)
    return weight


def _pulse(given: dict[str, Any]) -> PulseOptions:
    kind = (given.get("type") or "tcp").lower()
    if kind not in PULSES:
        raise Invalid("specified pulse type is unknown")
    interval = given.get("interval") or "1m"
    return PulseOptions(kind, interval, given.get("args"), interval_seconds(interval))


def interval_seconds(interval: str) -> int:
    """Return the seconds of a pulse's interval, such as ``1m``.

    :raises Invalid: it is none.
    """
    match = INTERVAL.fullmatch(interval.strip())
    if match is None:
        raise Invalid("invalid interval format")
    count = int(match[1][:20]) * UNITS[match[2][0].lower()]
    if count <= 0:
        raise Invalid("pulse interval must be positive")
    return min(count, LONGEST_S)


def service_as_held(virtual: VirtualService, held: Listed) -> ServiceOptions:
    """Return the options that describe a service which IPVS has.

    :raises KeyError: it is of a protocol that cannot be described.
    """
    protocol = {number: name for name, number in PROTOCOLS.items()}[virtual.protocol]
    flags = [name for name in ("flag-1", "flag-2", "flag-3") if held.flags & SCHEDULER_FLAGS[name]]
    return ServiceOptions(
        host=virtual.address,
        port=virtual.port,
        protocol=protocol,
        method=held.scheduler,
        flags="|".join(flags),
        persistent=bool(held.flags & PERSISTENT),
        address=virtual.address,
    )


def backend_as_held(server: RealServer, held: Destination) -> BackendOptions:
    """Return the options that describe a destination which IPVS has; nothing watches it.

    :raises KeyError: it is forwarded to in a way that cannot be described.
    """
    method = {number: name for name, number in FORWARDING.items() if name != "ipip"}[held.forward]
    pulse = PulseOptions("none", "1m", None, 60)
    return BackendOptions(
        server.address, server.port, held.weight, method, pulse, "", server.address
    )
