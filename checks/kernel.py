"""The kernel's IPVS tables: the witness that neither Gorb nor the student can influence.

The formats of ``/proc/net/ip_vs`` and ``/proc/net/ip_vs_conn`` are defined in the kernel's
net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_conn.c.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.visit import Visit
    from labwright.machines.machine import Machine

TABLE = "/proc/net/ip_vs"

Endpoint = tuple[str, int]
"""An address and a port."""


@dataclass(frozen=True)
class Destination:
    """One real server of a service, as the kernel has it."""

    address: str
    port: int
    forward: str
    """``Masq`` (nat), ``Route`` (dr), ``Tunnel`` or ``Local``."""
    weight: int
    active: int = field(default=0, compare=False)
    """The number of open connections."""

    @property
    def endpoint(self) -> Endpoint:
        """Its address and port."""
        return self.address, self.port

    def __str__(self) -> str:
        """Return its address and port, such as ``172.17.0.2:4444``."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Service:
    """One virtual service, as the kernel has it."""

    protocol: str
    address: str
    port: int
    scheduler: str
    options: str
    """The text after the scheduler: ``persistent 300 ...``, flags, ``ops``."""
    destinations: tuple[Destination, ...]

    def __str__(self) -> str:
        """Return protocol, address and scheduler, such as ``tcp 10.0.2.15:4444 (rr)``."""
        return f"{self.protocol} {self.address}:{self.port} ({self.scheduler})"


@dataclass(frozen=True)
class Connection:
    """One entry of the connection table: client, virtual service and destination."""

    protocol: str
    client: Endpoint
    virtual: Endpoint
    destination: Endpoint
    state: str


def parse_table(text: str) -> list[Service]:
    """Parse the text of ``/proc/net/ip_vs``; the heading is skipped."""
    found: list[tuple[Service, list[Destination]]] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] in ("TCP", "UDP", "SCTP"):
            address, port = _endpoint(words[1])
            service = Service(words[0].lower(), address, port, words[2], " ".join(words[3:]), ())
            found.append((service, []))
        elif len(words) == 6 and words[0] == "->" and found and words[3].isdigit():
            address, port = _endpoint(words[1])
            active = int(words[4]) if words[4].isdigit() else 0
            found[-1][1].append(Destination(address, port, words[2], int(words[3]), active))
    return [
        Service(**{**vars(service), "destinations": tuple(destinations)})
        for service, destinations in found
    ]


def parse_connections(text: str) -> list[Connection]:
    """Parse the text of ``/proc/net/ip_vs_conn``."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 8 and words[0] in ("TCP", "UDP", "SCTP"):
            client, virtual, destination = (
                (_address(words[at]), int(words[at + 1], 16)) for at in (1, 3, 5)
            )
            found.append(Connection(words[0].lower(), client, virtual, destination, words[7]))
    return found


def _endpoint(text: str) -> tuple[str, int]:
    """Read ``0A00020F:115C`` or ``[2001:0db8:...]:115C``."""
    address, _, port = text.rpartition(":")
    return _address(address.strip("[]")), int(port, 16)


def _address(text: str) -> str:
    """Parse an address in the table's notation: IPv4 is eight hexadecimal digits."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        return str(ipaddress.IPv4Address(int(text, 16)))
    return str(ipaddress.IPv6Address(text))


class Kernel:
    """The machine's kernel: its IPVS table and its interfaces, read in one visit."""

    def __init__(self, visit: Visit, target: str) -> None:
        self._visit = visit
        self._target = target

    def refresh(self) -> None:
        """Forget the tables, so that they are read again."""
        self._visit.refresh()

    def table_text(self) -> str | None:
        """Return the text of the IPVS table, or None if there is no IPVS."""
        return self._visit.file(TABLE)

    def services(self) -> tuple[list[Service], Evidence]:
        """Return all services of the kernel, with the evidence.

        :raises MachineError: the table is malformed.
        """
        text = self.table_text() or ""
        try:
            services = parse_table(text)
        except ValueError as problem:
            raise MachineError(f"{TABLE} of {self._target} is malformed: {problem}") from None
        return services, Evidence("the kernel's table of services", f"cat {TABLE}", text)

    def service(self, address: str, port: int) -> tuple[Service | None, Evidence]:
        """Return the TCP service on an address and port, or None."""
        services, evidence = self.services()
        for service in services:
            if (service.protocol, service.address, service.port) == ("tcp", address, port):
                return service, evidence
        return None, evidence

    def service_on(self, interface: str, port: int) -> tuple[Service | None, Evidence]:
        """Return the TCP service on a port of any address of an interface, or None.

        It raises the same errors as :meth:`addresses_of`.
        """
        for address in self.addresses_of(interface):
            service, evidence = self.service(address, port)
            if service:
                break
        return service, evidence

    def address_of(self, interface: str) -> str:
        """Return an interface's first IPv4 address; raises as :meth:`addresses_of` does."""
        return self.addresses_of(interface)[0]

    def addresses_of(self, interface: str) -> list[str]:
        """Return an interface's IPv4 addresses, the first one first.

        :raises CheckFailed: the interface does not exist, or has no address.
        """
        addresses = self._visit.addresses(interface)
        if not addresses:
            raise CheckFailed(
                f"an IPv4 address on the interface {interface}",
                "there is no such interface, or it has none",
                "See `ip -brief address`. If the interface has another name here, grade with "
                "`--set interface=NAME`.",
            )
        return addresses


def ip_vs_available(kernel: Kernel, machine: Machine) -> Iterator[Evidence]:
    """The kernel offers IPVS, as a module or built in: its table can be read."""
    text = kernel.table_text()
    yield Evidence("the kernel offers IPVS", f"cat {TABLE}", text or "No such file or directory")
    if text is None:
        release = machine.run("uname -r").stdout.strip()
        raise CheckFailed(
            "IPVS in the kernel",
            f"{TABLE} does not exist: the module ip_vs is not loaded",
            f"Load it with `sudo modprobe ip_vs` (kernel {release[:60]}).",
        )
    if not text.startswith("IP Virtual Server version"):
        raise MachineError(f"{TABLE} does not begin as the kernel writes it: {text[:80]!r}")
