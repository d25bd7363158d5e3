"""``-vipi``: the addresses of services, added to a network interface.

An address is added as ``/32`` (IPv6: ``/128``) with the first service on it and removed with
the last. One that the interface had before is never removed.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from typing import Protocol

from labwright.components.gorb.addresses import device_number
from labwright.components.gorb.ipvs import IpvsError
from labwright.components.gorb.netlink import (
    ACKNOWLEDGE,
    CREATE,
    EXCLUSIVE,
    NetlinkSocket,
    attribute,
    refusal,
)

log = logging.getLogger("gorb")

NETLINK_ROUTE = 0
RTM_NEWADDR = 20
RTM_DELADDR = 21
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFA_F_NODAD = 0x02
"""Without it an IPv6 address cannot be used until duplicates have been looked for."""


class Vips(Protocol):
    """Where the addresses of services are added."""

    def hold(self, address: str) -> None:
        """Add an address, unless it is there.

        :raises IpvsError: the kernel refuses.
        """

    def release(self, address: str) -> None:
        """Remove an address that was added, when nobody holds it any more."""


class NoVips:
    """Addresses are somebody else's concern: without ``-vipi``."""

    def hold(self, address: str) -> None:
        """Do nothing."""

    def release(self, address: str) -> None:
        """Do nothing."""


class InterfaceVips:
    """The addresses of an interface."""

    def __init__(self, device: str) -> None:
        """Find the interface.

        :raises StartError: there is none of this name.
        """
        self._device = device
        self._index = device_number(device, "-vipi")
        self._socket = NetlinkSocket(NETLINK_ROUTE)
        self._holders: dict[str, int] = {}
        self._added: set[str] = set()
        log.info("VIPs will be added to interface '%s'", device)

    def hold(self, address: str) -> None:
        """Add an address, unless it is there."""
        if not self._holders.get(address):
            self._add(address)
        self._holders[address] = self._holders.get(address, 0) + 1

    def release(self, address: str) -> None:
        """Remove an address that was added, when nobody holds it any more."""
        self._holders[address] -= 1
        if self._holders[address]:
            return
        del self._holders[address]
        if address in self._added:
            self._added.discard(address)
            self._remove(address)

    def _add(self, address: str) -> None:
        try:
            self._change(RTM_NEWADDR, address, ACKNOWLEDGE | CREATE | EXCLUSIVE)
        except OSError as problem:
            if problem.errno != errno.EEXIST:
                raise IpvsError(*refusal(problem)) from problem
            log.info("VIP %s was on interface '%s' before", address, self._device)
        else:
            self._added.add(address)
            log.info("VIP %s has been added to interface '%s'", address, self._device)

    def _remove(self, address: str) -> None:
        try:
            self._change(RTM_DELADDR, address, ACKNOWLEDGE)
        except OSError as problem:
            # The service is gone; that somebody else took the address away is no failure.
            log.error("VIP %s is left on interface '%s': %s", address, self._device, problem)
        else:
            log.info("VIP %s has been deleted from interface '%s'", address, self._device)

    def _change(self, kind: int, address: str, flags: int) -> None:
        six = ":" in address
        family = socket.AF_INET6 if six else socket.AF_INET
        length, more = (128, IFA_F_NODAD) if six else (32, 0)
        packed = socket.inet_pton(family, address)
        # struct ifaddrmsg: family, length of the prefix, flags, scope, interface.
        message = struct.pack("=BBBBI", family, length, more, 0, self._index)
        message += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        self._socket.ask(message, kind, flags)
