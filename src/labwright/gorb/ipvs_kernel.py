"""The kernel's IPVS, by generic netlink (net/netfilter/ipvs/ip_vs_ctl.c).

Messages are pyroute2's; its ``IPVS`` class is not used: it has no flush, takes "update" for
the delete command, and has defaults of its own (``wlc``, direct routing). Every attribute is
set here explicitly.

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
from typing import Any

from labwright.gorb.ipvs import Destination, IpvsError, Listed, RealServer, VirtualService
from labwright.gorb.lean import postpone_init
from labwright.gorb.netlink import ACKNOWLEDGE, DUMP, NetlinkSocket, attributes, refusal
from labwright.gorb.problems import StartError

postpone_init("pyroute2")
from pyroute2.netlink import GENL_ID_CTRL, ctrlmsg  # type: ignore[import-untyped]  # noqa: E402
from pyroute2.netlink.generic import ipvs as wire  # type: ignore[import-untyped]  # noqa: E402

NETLINK_GENERIC = 16
NO_FLAGS_OF_OTHERS = 0xFFFFFFFF

FORWARD_MASK = 0x7
"""``IP_VS_CONN_F_FWD_MASK``."""
HEADERS = 20
"""Bytes of nlmsghdr and genlmsghdr before the attributes of an answer."""

NOT_LOADED = "ip_vs is not loaded: run `sudo modprobe ip_vs` and start gorb again"
NOT_ALLOWED = (
    "the kernel does not let this process change IPVS: "
    "start the container with `--privileged --net=host`"
)


def _numbers(message: Any) -> dict[str, int]:
    """Return the numbers of a message's attributes by their names."""
    return {name: number for number, (name, _) in enumerate(message.nla_map)}


NAMES = {
    "IPVS_CMD_ATTR_SERVICE": {n: name for name, n in _numbers(wire.ipvsmsg.service).items()},
    "IPVS_CMD_ATTR_DEST": {n: name for name, n in _numbers(wire.ipvsmsg.dest).items()},
}


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def _text(address: bytes, family: int) -> str:
    """Return an address; those of IPv4 come in the room of an IPv6 address."""
    size = 4 if family == socket.AF_INET else 16
    return socket.inet_ntop(family, address[:size])


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _netmask(family: int) -> str:
    """Return the mask of persistent clients, which must be given though nothing persists.

    The attribute is an integer that pyroute2 writes as four bytes of an address. For IPv6
    it is the length of the prefix, in the host's byte order; the kernel refuses 0.
    """
    if family == socket.AF_INET:
        return "255.255.255.255"
    return socket.inet_ntoa(struct.pack("=I", 128))


def _identity(service: VirtualService) -> list[list[Any]]:
    """Spell a service; the family comes first, for the address is written by it."""
    return [
        ["IPVS_SVC_ATTR_AF", _family(service.address)],
        ["IPVS_SVC_ATTR_PROTOCOL", service.protocol],
        ["IPVS_SVC_ATTR_ADDR", service.address],
        ["IPVS_SVC_ATTR_PORT", service.port],
    ]


def _whole_service(service: VirtualService, scheduler: str, flags: int) -> list[list[Any]]:
    return [
        *_identity(service),
        ["IPVS_SVC_ATTR_SCHED_NAME", scheduler],
        ["IPVS_SVC_ATTR_FLAGS", {"flags": flags, "mask": NO_FLAGS_OF_OTHERS}],
        ["IPVS_SVC_ATTR_TIMEOUT", 0],
        ["IPVS_SVC_ATTR_NETMASK", _netmask(_family(service.address))],
    ]


def _endpoint(server: RealServer) -> list[list[Any]]:
    return [
        ["IPVS_DEST_ATTR_ADDR_FAMILY", _family(server.address)],
        ["IPVS_DEST_ATTR_ADDR", server.address],
        ["IPVS_DEST_ATTR_PORT", server.port],
    ]


def _destination(server: RealServer, forward: int, weight: int) -> list[list[Any]]:
    """Spell a whole destination: without the thresholds the kernel answers EINVAL."""
    return [
        *_endpoint(server),
        ["IPVS_DEST_ATTR_FWD_METHOD", forward],
        # Signed in the kernel, which refuses weights below 0 with ERANGE itself.
        ["IPVS_DEST_ATTR_WEIGHT", weight & 0xFFFFFFFF],
        ["IPVS_DEST_ATTR_U_THRESH", 0],
        ["IPVS_DEST_ATTR_L_THRESH", 0],
    ]


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
            self._request(wire.IPVS_CMD_GET_INFO)
        except IpvsError as problem:
            self.close()
            if problem.errno in (errno.EPERM, errno.EACCES):
                raise StartError(NOT_ALLOWED) from None
            raise StartError(NOT_LOADED) from None

    def flush(self) -> None:
        """Remove every service."""
        self._request(wire.IPVS_CMD_FLUSH)

    def add_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Add a service."""
        if "\0" in scheduler:
            # The kernel would read up to it, and hold another name than the client gave.
            raise IpvsError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._request(wire.IPVS_CMD_NEW_SERVICE, _whole_service(service, scheduler, flags))

    def update_service(self, service: VirtualService, scheduler: str, flags: int) -> None:
        """Give a service another scheduler and flags; its destinations stay."""
        attributes = _whole_service(service, scheduler, flags)
        self._request(wire.IPVS_CMD_SET_SERVICE, attributes)

    def delete_service(self, service: VirtualService) -> None:
        """Remove a service and its destinations."""
        self._request(wire.IPVS_CMD_DEL_SERVICE, _identity(service))

    def add_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Add a destination."""
        destination = _destination(server, forward, weight)
        self._request(wire.IPVS_CMD_NEW_DEST, _identity(service), destination)

    def update_destination(
        self, service: VirtualService, server: RealServer, forward: int, weight: int
    ) -> None:
        """Give a destination another weight."""
        destination = _destination(server, forward, weight)
        self._request(wire.IPVS_CMD_SET_DEST, _identity(service), destination)

    def delete_destination(self, service: VirtualService, server: RealServer) -> None:
        """Remove a destination."""
        self._request(wire.IPVS_CMD_DEL_DEST, _identity(service), _endpoint(server))

    def table(self) -> dict[VirtualService, Listed]:
        """Return every service that has an address, with its destinations."""
        found: dict[VirtualService, Listed] = {}
        for shown in self._dump(wire.IPVS_CMD_GET_SERVICE, "IPVS_CMD_ATTR_SERVICE"):
            if "IPVS_SVC_ATTR_ADDR" not in shown:  # it is known by a firewall mark
                continue
            family = _number(shown["IPVS_SVC_ATTR_AF"])
            service = VirtualService(
                _text(shown["IPVS_SVC_ATTR_ADDR"], family),
                int.from_bytes(shown["IPVS_SVC_ATTR_PORT"], "big"),
                _number(shown["IPVS_SVC_ATTR_PROTOCOL"]),
            )
            found[service] = Listed(
                shown["IPVS_SVC_ATTR_SCHED_NAME"].rstrip(b"\0").decode("ascii", "replace"),
                _number(shown["IPVS_SVC_ATTR_FLAGS"][:4]),
                self._destinations(service, family),
            )
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _destinations(self, service: VirtualService, family: int) -> dict[RealServer, Destination]:
        found = {}
        command, asked = wire.IPVS_CMD_GET_DEST, _identity(service)
        for shown in self._dump(command, "IPVS_CMD_ATTR_DEST", asked):
            # A tunnel may lead to another family than its service's; older kernels do not say.
            own = _number(shown["IPVS_DEST_ATTR_ADDR_FAMILY"]) or family
            server = RealServer(
                _text(shown["IPVS_DEST_ATTR_ADDR"], own),
                int.from_bytes(shown["IPVS_DEST_ATTR_PORT"], "big"),
            )
            found[server] = Destination(
                _number(shown["IPVS_DEST_ATTR_FWD_METHOD"]) & FORWARD_MASK,
                _number(shown["IPVS_DEST_ATTR_WEIGHT"]),
            )
        return found

    def _dump(
        self, command: int, thing: str, service: list[list[Any]] | None = None
    ) -> list[dict[str, bytes]]:
        """Return the attributes of each thing of a list, raw: pyroute2 misreads some."""
        number = _numbers(wire.ipvsmsg)[thing]
        names = NAMES[thing]
        listed = []
        for answer in self._exchange(_message(command, service), self._type, DUMP):
            nested = attributes(answer[HEADERS:])[number]
            listed.append({names.get(kind, ""): data for kind, data in attributes(nested).items()})
        return listed

    def _find_type(self) -> int:
        """Return the number under which generic netlink knows IPVS.

        A kernel that has the module but has not loaded it loads it now, where its modprobe
        works; that does not take the rights of the process that asks.
        """
        message = ctrlmsg()
        message["cmd"] = 3  # CTRL_CMD_GETFAMILY
        message["version"] = 1
        message["attrs"] = [["CTRL_ATTR_FAMILY_NAME", wire.GENL_NAME]]
        for answer in self._exchange(message, GENL_ID_CTRL):
            family = ctrlmsg(answer)
            family.decode()
            found: int = family.get_attr("CTRL_ATTR_FAMILY_ID")
            return found
        raise IpvsError(errno.ENOENT, "no such generic netlink family")

    def _request(
        self,
        command: int,
        service: list[list[Any]] | None = None,
        destination: list[list[Any]] | None = None,
    ) -> None:
        self._exchange(_message(command, service, destination), self._type)

    def _exchange(self, message: Any, message_type: int, flags: int = ACKNOWLEDGE) -> list[bytes]:
        try:
            return self._socket.ask(message, message_type, flags)
        except OSError as problem:
            raise IpvsError(*refusal(problem)) from problem


def _message(
    command: int,
    service: list[list[Any]] | None = None,
    destination: list[list[Any]] | None = None,
) -> Any:
    message = wire.ipvsmsg()
    message["cmd"] = command
    message["version"] = wire.GENL_VERSION
    if service is not None:
        message["attrs"].append(["IPVS_CMD_ATTR_SERVICE", {"attrs": service}])
    if destination is not None:
        message["attrs"].append(["IPVS_CMD_ATTR_DEST", {"attrs": destination}])
    return message
