"""Hosts, devices and where to listen: names turned into numbers as Go's net package does."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path

from labwright.components.gorb.problems import Invalid, StartError

SIOCGIFADDR = 0x8915
"""linux/sockios.h: an interface's first IPv4 address."""
LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


async def resolve(host: str) -> str:
    """Return a host's numeric address, IPv4 where it has both.

    :raises Invalid: there is none. What cannot be a domain name, such as ``$IP_ADDR``, is
        not asked for in the network.
    """
    literal = _literal(host)
    if literal is not None:
        return literal
    if _may_be_a_name(host):
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, None, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError):
            found = []
        # IPv4 sorts first: AF_INET is the smaller number.
        for _, _, _, _, endpoint in sorted(found, key=lambda entry: entry[0]):
            return str(endpoint[0]).partition("%")[0]
    raise Invalid(f"lookup {host}: no such host")


def _literal(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _may_be_a_name(host: str) -> bool:
    """Tell a domain name from what is none: Go's ``isDomainName``."""
    labels = host.removesuffix(".").split(".")
    return (
        len(host) < 255
        and all(LABEL.fullmatch(label) for label in labels)
        and not _is_an_old_spelling(host)
    )


def _is_an_old_spelling(host: str) -> bool:
    """Tell what C's resolver takes for an address and Go's does not: ``127.1``, ``0x7f.1``."""
    try:
        socket.inet_aton(host)
    except OSError:
        return host.replace(".", "").isdigit()
    return True


def first_address(device: str) -> str | None:
    """Return a device's first address, IPv4 before IPv6; None if it has none.

    :raises StartError: there is no such device.
    """
    device_number(device, "-i")
    return _first_ipv4(device) or _first_ipv6(device)


def device_number(device: str, flag: str) -> int:
    """Return the number by which the kernel knows a device, named by a flag.

    :raises StartError: there is no such device.
    """
    try:
        return socket.if_nametoindex(device)
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise StartError(
            f"there is no network device {device} (there are: {names}): name one with {flag}, "
            "and run a container with `--net=host`"
        ) from None


def _first_ipv4(device: str) -> str | None:
    request = struct.pack("256s", device.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _first_ipv6(device: str) -> str | None:
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[-1] == device:
            return str(ipaddress.IPv6Address(bytes.fromhex(words[0])))
    return None


def listen(endpoint: str) -> socket.socket:
    """Return a socket that listens on ``[HOST]:PORT``; without a host, on IPv4 and IPv6.

    :raises StartError: the endpoint is none, or is taken.
    """
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 0xFFFF:
        raise StartError(f"-l {endpoint} is not [HOST]:PORT, as in `-l :4672`")
    try:
        listener = _listening(host.strip("[]"), int(port))
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise StartError(
                f"port {port} is taken: stop what listens there (another gorb?), "
                "or choose another with -l"
            ) from None
        # asyncio says once more where, in words of its own.
        reason = str(problem.strerror).partition(" (while attempting")[0]
        raise StartError(f"cannot listen on {endpoint}: {reason}") from None
    # Inherited by every connection. asyncio sets it only where a socket names its protocol,
    # and without it an answer on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _listening(host: str, port: int) -> socket.socket:
    if host:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(where[:2], family=family, backlog=1024)
    try:
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True
        )
    except (OSError, ValueError) as problem:
        if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
            raise
        return socket.create_server(("0.0.0.0", port), backlog=1024)  # noqa: S104  as asked
