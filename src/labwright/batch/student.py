"""A student of a roster: id, target, and how to reach it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from labwright.errors import UsageError
from labwright.machines.destination import Destination

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
"""An id is a folder's name and the host's name in known_hosts, and is shown everywhere."""
WORD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@:%+-]*")
"""A user, host or jump host that needs no quotes in an ssh_config."""


@dataclass(frozen=True)
class Student:
    """One row of a roster."""

    id: str
    target: str
    """``ssh://[user@]host[:port]`` or ``vm:NAME``."""
    name: str = ""
    email: str = ""
    jump: str = ""
    """As ssh's ProxyJump: ``[user@]host[:port]``, several separated by commas."""
    host_key: str = ""
    """The public key of the target's SSH server: its type and base64."""
    values: dict[str, str] = field(default_factory=dict)
    """Values of the lab that differ on this machine, as of ``--set``."""
    extra: dict[str, str] = field(default_factory=dict)
    """The roster's other columns; only the gradebook and a grade rule read them."""
    row: int = 0
    """The line in the roster."""

    @property
    def settings(self) -> tuple[str, ...]:
        """The values as ``--set`` takes them."""
        return tuple(f"{key}={value}" for key, value in self.values.items())

    @property
    def address(self) -> str:
        """The address of the machine; equal for two students on the same machine."""
        host = self.target.removeprefix("ssh://").rpartition("@")[2].lower()
        return f"{host.removesuffix(':22')} {self.jump}"

    @property
    def key(self) -> str:
        """Identifies the student's machine: a result counts while this is unchanged.

        Empty if there is no target.
        """
        if not self.target:
            return ""
        return f"{self.target} {self.jump} {sorted(self.values.items())}"


def normal_target(text: str, user: str = "", port: str = "") -> str:
    """Return a target in its full form; a bare ``[user@]host[:port]`` means SSH.

    :raises UsageError: the target is invalid, or contradicts the given user or port.
    """
    if text.startswith("vm:"):
        if user or port:
            raise UsageError("a vm: target takes neither a user nor a port")
        return text
    if text == "local":
        raise UsageError("`local` is not allowed in a roster: it would be this computer")
    found = Destination.parse(text if "://" in text else f"ssh://{_bracketed(text)}")
    for what, given, has in (("user", user, found.user), ("port", port, found.port)):
        if given and has and given != str(has):
            raise UsageError(f"the target says {what} {has}, and the column {what} says {given}")
    user = user or found.user or ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise UsageError(f"not a port: {port!r}")
    host = _host(found.host)
    for what, word in (("user", user), ("host", "" if host.startswith("[") else host)):
        if word and not WORD.fullmatch(word):
            raise UsageError(f"not a {what}: {word!r}")
    number = port or found.port
    return f"ssh://{user + '@' if user else ''}{host}{f':{number}' if number else ''}"


def _bracketed(text: str) -> str:
    """Return a bare target with brackets around an IPv6 address."""
    user, at, host = text.rpartition("@")
    bare = host.count(":") > 1 and not host.startswith("[")
    return f"{user}{at}[{host}]" if bare else text


def _host(name: str) -> str:
    """Return a host in its normal form; IPv6 addresses have several spellings.

    :raises UsageError: the IPv6 address is invalid.
    """
    if ":" not in name:
        return name
    try:
        # In a URL, the percent sign before the interface is written %25.
        return f"[{ipaddress.IPv6Address(name.replace('%25', '%', 1)).compressed}]"
    except ValueError as problem:
        raise UsageError(f"not an IPv6 address: {name}: {problem}") from None


def jump_of(text: str) -> str:
    """Return a jump host in the form of ssh's ProxyJump.

    :raises UsageError: it is not a jump host.
    """
    for hop in text.split(","):
        bare = hop.strip().removeprefix("ssh://")
        try:
            parts = urlsplit(f"ssh://{bare}")
            word = re.sub(r"\[[0-9a-fA-F:.]+(%[a-zA-Z0-9.]+)?\]", "address", bare)
            usable = parts.hostname and WORD.fullmatch(word) and (parts.port or 22)
        except ValueError:
            usable = None
        if not usable:
            raise UsageError(f"not a jump host: {hop.strip()!r}: write [user@]host[:port]")
    return ",".join(hop.strip() for hop in text.split(","))
