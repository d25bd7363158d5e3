"""The kernel's IPVS, by generic netlink (net/netfilter/ipvs/ip_vs_ctl.c).

Messages are pyroute2's; its ``IPVS`` class is not used: it has no flush, takes "update" for
the delete command, has defaults of its own (``wlc``, direct routing) and runs an event loop
beside ours. Every attribute is set here explicitly.

The kernel carries a request out before ``send`` returns, so a call takes some ten
microseconds and may be made on the event loop's thread. The exception is the first use of a
scheduler, for which the kernel loads a module.

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
from typing import Any

from labwright.gorb.ipvs import IpvsError, RealServer, VirtualService
from labwright.gorb.lean import postpone_init
from labwright.gorb.problems import StartError

postpone_init("pyroute2")
from pyroute2.netlink import GENL_ID_CTRL, ctrlmsg  # type: ignore[import-untyped]  # noqa: E402
from pyroute2.netlink.generic import ipvs as wire  # type: ignore[import-untyped]  # noqa: E402

NETLINK_GENERIC = 16
REQUEST_AND_ACK = 0x5
"""``NLM_F_REQUEST | NLM_F_ACK``: the kernel answers each request with an error number or 0."""
NLMSG_ERROR = 2
TIMEOUT_S = 10
"""How long the kernel may take; it answers at once, unless a module does not load."""
NO_FLAGS_OF_OTHERS = 0xFFFFFFFF

NOT_LOADED = "ip_vs is not loaded: run `sudo modprobe ip_vs` and start gorb again"
NOT_ALLOWED = (
    "the kernel does not let this process change IPVS: "
    "start the container with `--privileged --net=host`"
)


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
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self._socket.bind((0, 0))
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", TIMEOUT_S, 0)
        )
        self._sequence = 0
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
        attributes = [
            *_identity(service),
            ["IPVS_SVC_ATTR_SCHED_NAME", scheduler],
            ["IPVS_SVC_ATTR_FLAGS", {"flags": flags, "mask": NO_FLAGS_OF_OTHERS}],
            ["IPVS_SVC_ATTR_TIMEOUT", 0],
            ["IPVS_SVC_ATTR_NETMASK", _netmask(_family(service.address))],
        ]
        self._request(wire.IPVS_CMD_NEW_SERVICE, attributes)

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

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

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
        message = wire.ipvsmsg()
        message["cmd"] = command
        message["version"] = wire.GENL_VERSION
        if service is not None:
            message["attrs"].append(["IPVS_CMD_ATTR_SERVICE", {"attrs": service}])
        if destination is not None:
            message["attrs"].append(["IPVS_CMD_ATTR_DEST", {"attrs": destination}])
        self._exchange(message, self._type)

    def _exchange(self, message: Any, message_type: int) -> list[bytes]:
        """Send one message and return the answers before its acknowledgement."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        message["header"]["type"] = message_type
        message["header"]["flags"] = REQUEST_AND_ACK
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        try:
            self._socket.send(bytes(message.data))
            return self._answers()
        except OSError as problem:
            number = problem.errno or errno.EIO
            raise IpvsError(number, os.strerror(number)) from problem

    def _answers(self) -> list[bytes]:
        answers: list[bytes] = []
        while True:
            packet = self._socket.recv(1 << 16)
            while packet:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", packet)
                answer, packet = packet[:length], packet[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue  # of a request that we gave up
                if kind == NLMSG_ERROR:
                    _raise_if_refused(answer)
                    return answers
                answers.append(answer)


def _raise_if_refused(answer: bytes) -> None:
    (negative,) = struct.unpack_from("=i", answer, 16)
    if negative:
        raise IpvsError(-negative, os.strerror(-negative))
