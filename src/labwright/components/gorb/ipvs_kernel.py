"""The kernel's IPVS, by generic netlink (linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c).

Messages are written here: pyroute2 has no flush, takes "update" for the delete command, has
defaults of its own (``wlc``, direct routing) and misreads some answers; and writing one took
it longer than all else that a request takes. Every attribute is set explicitly.

A call takes some ten microseconds. The exception is the first use of a scheduler, for which
the kernel loads a module.

Seen on Linux 6.1: a second service on an address is EEXIST, an unknown scheduler ENOENT, one
whose name is too long EINVAL; what acts on a service that is not there is ESRCH, on a
destination that is not there ENOENT; a destination twice is EEXIST, with a weight below 0
ERANGE, of another family than its service EINVAL (unless tunnelled).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from enum import IntEnum

from labwright.components.gorb.ipvs import (
    Destination,
    IpvsError,
    Listed,
    RealServer,
    VirtualService,
)
from labwright.components.gorb.netlink import (
    ACKNOWLEDGE,
    DUMP,
    NetlinkSocket,
    attribute,
    attributes,
    refusal,
)
from labwright.components.gorb.problems import StartError

NETLINK_GENERIC = 16
VERSION = b"\1\0\0"
"""The rest of a genlmsghdr, whose first byte is the command."""
CONTROL = 0x10
"""``GENL_ID_CTRL``: who tells the numbers of the families of generic netlink."""
GET_FAMILY, FAMILY_ID, FAMILY_NAME = 3, 1, 2
"""``CTRL_CMD_GETFAMILY`` and its ``CTRL_ATTR_*``."""


class Command(IntEnum):
    """``IPVS_CMD_*``."""

    NEW_SERVICE = 1
    SET_SERVICE = 2
    DEL_SERVICE = 3
    GET_SERVICE = 4
    NEW_DEST = 5
    SET_DEST = 6
    DEL_DEST = 7
    GET_DEST = 8
    GET_INFO = 15
    FLUSH = 17


SERVICE, DEST = 1, 2
"""``IPVS_CMD_ATTR_*``: what the attributes of a message describe."""


class Svc(IntEnum):
    """``IPVS_SVC_ATTR_*``."""

    AF = 1
    PROTOCOL = 2
    ADDR = 3
    PORT = 4
    SCHED_NAME = 6
    FLAGS = 7
    TIMEOUT = 8
    NETMASK = 9


class Dest(IntEnum):
    """``IPVS_DEST_ATTR_*``."""

    ADDR = 1
    PORT = 2
    FWD_METHOD = 3
    WEIGHT = 4
    U_THRESH = 5
    L_THRESH = 6
    ADDR_FAMILY = 11


ALL_FLAGS = 0xFFFFFFFF
"""The mask of the flags that are set: those that are not given are cleared."""
FORWARD_MASK = 0x7
"""``IP_VS_CONN_F_FWD_MASK``."""
HEADERS = 20
"""Bytes of nlmsghdr and genlmsghdr before the attributes of an answer."""

NOT_LOADED = "ip_vs is not loaded: run `sudo modprobe ip_vs` and start gorb again"
NOT_ALLOWED = (
    "the kernel does not let this process change IPVS: "
    "start the container with `--privileged --net=host`"
)


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def _text(address: bytes, family: int) -> str:
    """Return an address; those of IPv4 come in the room of an IPv6 address."""
    size = 4 if family == socket.AF_INET else 16
    return socket.inet_ntop(family, address[:size])


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _u16(kind: int, number: int) -> bytes:
    return attribute(kind, struct.pack("=H", number))


def _u32(kind: int, number: int) -> bytes:
    return attribute(kind, struct.pack("=I", number))


def _address(kind: int, address: str) -> bytes:
    return attribute(kind, socket.inet_pton(_family(address), address))


def _port(kind: int, port: int) -> bytes:
    return attribute(kind, struct.pack("!H", port))


def _identity(service: VirtualService) -> bytes:
    return (
        _u16(Svc.AF, _family(service.address))
        + _u16(Svc.PROTOCOL, service.protocol)
        + _address(Svc.ADDR, service.address)
        + _port(Svc.PORT, service.port)
    )


def _whole_service(service: VirtualService, scheduler: str, flags: int) -> bytes:
    # The mask of persistent clients must be given though nothing persists: an address's for
    # IPv4, a prefix's length for IPv6.
    netmask = 128 if _family(service.address) == socket.AF_INET6 else 0xFFFFFFFF
    return (
        _identity(service)
        + attribute(Svc.SCHED_NAME, scheduler.encode() + b"\0")
        + attribute(Svc.FLAGS, struct.pack("=II", flags, ALL_FLAGS))
        + _u32(Svc.TIMEOUT, 0)
        + _u32(Svc.NETMASK, netmask)
    )


def _endpoint(server: RealServer) -> bytes:
    return (
        _u16(Dest.ADDR_FAMILY, _family(server.address))
        + _address(Dest.ADDR, server.address)
        + _port(Dest.PORT, server.port)
    )


def _destination(server: RealServer, forward: int, weight: int) -> bytes:
    """Spell a whole destination: without the thresholds the kernel answers EINVAL."""
    return (
        _endpoint(server)
        + _u32(Dest.FWD_METHOD, forward)
        # Signed in the kernel, which refuses weights below 0 with ERANGE itself.
        + _u32(Dest.WEIGHT, weight & 0xFFFFFFFF)
        + _u32(Dest.U_THRESH, 0)
        + _u32(Dest.L_THRESH, 0)
    )


class KernelIpvs:
    """The table of this network namespace."""

    def __init__(self) -> None:
        """Reach the kernel's IPVS.

        :raises StartError: it is not there, or not for us.
        """
        self._socket = NetlinkSocket(NETLINK_GENERIC)
        self._type = 0
        try:
            self._type = self._find_type()
            # Changes nothing and needs the same rights as a change.
            self._request(Command.GET_INFO)
        except IpvsError as problem:
            self.close()
            if problem.errno in (errno.EPERM, errno.EACCES):
                raise StartError(NOT_ALLOWED) from None
            raise StartError(NOT_LOADED) from None

    def flush(self) -> None:
        """Remove every service."""
        self._request(Command.FLUSH)

    def add_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Add a service."""
        if "\0" in scheduler:
            # The kernel would read up to it, and hold another name than the client gave.
            raise IpvsError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._request(Command.NEW_SERVICE, _whole_service(service, scheduler, flags))

    def update_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Give a service another scheduler and flags; its destinations stay."""
        self._request(Command.SET_SERVICE, _whole_service(service, scheduler, flags))

    def delete_service(self, service: VirtualService) -> None:
        """Remove a service and its destinations."""
        self._request(Command.DEL_SERVICE, _identity(service))

    def add_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Add a destination."""
        destination = _destination(server, forward, weight)
        self._request(Command.NEW_DEST, _identity(service), destination)

    def update_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Give a destination another weight."""
        destination = _destination(server, forward, weight)
        self._request(Command.SET_DEST, _identity(service), destination)

    def delete_destination(self, service: VirtualService, server: RealServer) -> None:
        """Remove a destination."""
        self._request(Command.DEL_DEST, _identity(service), _endpoint(server))

    def table(self) -> dict[VirtualService, Listed]:
        """Return every service that has an address, with its destinations."""
        found: dict[VirtualService, Listed] = {}
        for shown in self._dump(Command.GET_SERVICE, SERVICE):
            if Svc.ADDR not in shown:  # it is known by a firewall mark
                continue
            family = _number(shown[Svc.AF])
            service = VirtualService(
                _text(shown[Svc.ADDR], family),
                int.from_bytes(shown[Svc.PORT], "big"),
                _number(shown[Svc.PROTOCOL]),
            )
            found[service] = Listed(
                shown[Svc.SCHED_NAME].rstrip(b"\0").decode("ascii", "replace"),
                _number(shown[Svc.FLAGS][:4]),
                self._destinations(service, family),
            )
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _destinations(self, service: VirtualService, family: int) -> dict[RealServer, Destination]:
        found = {}
        for shown in self._dump(Command.GET_DEST, DEST, _identity(service)):
            # A tunnel may lead to another family than its service's; older kernels do not say.
            own = _number(shown.get(Dest.ADDR_FAMILY, b"")) or family
            server = RealServer(
                _text(shown[Dest.ADDR], own), int.from_bytes(shown[Dest.PORT], "big")
            )
            found[server] = Destination(
                _number(shown[Dest.FWD_METHOD]) & FORWARD_MASK, _number(shown[Dest.WEIGHT])
            )
        return found

    def _dump(self, command: int, thing: int, service: bytes = b"") -> list[dict[int, bytes]]:
        """Return the attributes of each thing of a list."""
        answers = self._exchange(_message(command, service), self._type, DUMP)
        return [attributes(attributes(answer[HEADERS:])[thing]) for answer in answers]

    def _find_type(self) -> int:
        """Return the number under which generic netlink knows IPVS.

        A kernel that has the module but has not loaded it loads it now, where its modprobe
        works; that does not take the rights of the process that asks.
        """
        message = bytes([GET_FAMILY]) + VERSION + attribute(FAMILY_NAME, b"IPVS\0")
        for answer in self._exchange(message, CONTROL):
            return _number(attributes(answer[HEADERS:])[FAMILY_ID])
        raise IpvsError(errno.ENOENT, "no such generic netlink family")

    def _request(self, command: int, service: bytes = b"", destination: bytes = b"") -> None:
        self._exchange(_message(command, service, destination), self._type)

    def _exchange(self, message: bytes, message_type: int, flags: int = ACKNOWLEDGE) -> list[bytes]:
        try:
            return self._socket.ask(message, message_type, flags)
        except OSError as problem:
            raise IpvsError(*refusal(problem)) from problem


def _message(command: int, service: bytes = b"", destination: bytes = b"") -> bytes:
    message = bytes([command]) + VERSION
    if service:
        message += attribute(SERVICE, service)
    if destination:
        message += attribute(DEST, destination)
    return message
