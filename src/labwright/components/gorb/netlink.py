"""Requests to the kernel by netlink, one after another, each answered before the next.

The kernel carries a request out before ``send`` returns, so a call takes some ten
microseconds and may be made on the event loop's thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

REQUEST = 0x1
ACKNOWLEDGE = 0x4
DUMP = 0x300
CREATE = 0x400
EXCLUSIVE = 0x200
"""``NLM_F_*`` of linux/netlink.h."""
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLA_TYPE_MASK = 0x3FFF
HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence number, port."""
TIMEOUT_S = 10
"""How long the kernel may take; it answers at once, unless a module does not load."""


class NetlinkSocket:
    """A socket of one netlink family, such as ``NETLINK_ROUTE``."""

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
        self._socket.bind((0, 0))
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", TIMEOUT_S, 0)
        )
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, message: bytes, message_type: int, flags: int = ACKNOWLEDGE) -> list[bytes]:
        """Send a message and return the answers, without what ends them.

        :param message: what follows the nlmsghdr.
        :param flags: ``DUMP`` for a list of things; else the kernel acknowledges.
        :raises OSError: the kernel refused; its error number is the exception's.
        """
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        length = HEADER.size + len(message)
        header = HEADER.pack(length, message_type, REQUEST | flags, self._sequence, 0)
        self._socket.send(header + message)
        return self._answers()

    def _answers(self) -> list[bytes]:
        answers: list[bytes] = []
        while True:
            packet = self._socket.recv(1 << 16)
            while packet:
                length, kind, _, sequence, _ = HEADER.unpack_from(packet)
                answer, packet = packet[:length], packet[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue  # of a request that we gave up
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    _raise_if_refused(answer)
                    return answers
                answers.append(answer)


def _raise_if_refused(answer: bytes) -> None:
    (negative,) = struct.unpack_from("=i", answer, 16)
    if negative:
        raise OSError(-negative, os.strerror(-negative))


def attribute(kind: int, data: bytes) -> bytes:
    """Spell an attribute of a message; data may be attributes in turn."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return a message's attributes by their numbers, as they are on the wire."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & NLA_TYPE_MASK] = data[4:length]
        data = data[(length + 3) & ~3 :] if length >= 4 else b""
    return found


def refusal(problem: OSError) -> tuple[int, str]:
    """Return the error number of a refusal, and what it means."""
    number = problem.errno or errno.EIO
    return number, os.strerror(number)
