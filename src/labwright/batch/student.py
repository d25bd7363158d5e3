"""Who is graded, and where."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from labwright.errors import UsageError
from labwright.machines.destination import Destination

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
"""An id names a folder and a host's key in known_hosts; it is also shown everywhere."""
WORD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@:%+-]*")
"""What may stand in an ssh_config as a user, a host or a jump host, without quotes."""


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
    """The roster's other columns: nothing of ours reads them but the gradebook and a rule."""
    row: int = 0
    """The line of the roster."""

    @property
    def settings(self) -> tuple[str, ...]:
        """The values as ``--set`` takes them."""
        return tuple(f"{key}={value}" for key, value in self.values.items())

    @property
    def address(self) -> str:
        """What two students on one machine have in common."""
        host = self.target.removeprefix("ssh://").rpartition("@")[2].lower()
        return f"{host.removesuffix(':22')} {self.jump}"

    @property
    def key(self) -> str:
        """What must not change for a result to remain this student's; empty: there is no target."""
        if not self.target:
            return ""
        return f"{self.target} {self.jump} {sorted(self.values.items())}"


def normal_target(text: str, user: str = "", port: str = "") -> str:
    """Return a target in full; a bare ``[user@]host[:port]`` is one over SSH.

    :raises UsageError: it is no target, or it contradicts the user or the port beside it.
    """
    if text.startswith("vm:"):
        if user or port:
            raise UsageError("a vm: target takes neither a user nor a port")
        return text
    if text == "local":
        raise UsageError("local would be this machine for every student")
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
    """Return a bare target with the brackets that an IPv6 address needs before a port."""
    user, at, host = text.rpartition("@")
    bare = host.count(":") > 1 and not host.startswith("[")
    return f"{user}{at}[{host}]" if bare else text


def _host(name: str) -> str:
    """Return a host as it stands in a target: each IPv6 address is spelled in one way.

    :raises UsageError: it is no address.
    """
    if ":" not in name:
        return name
    try:
        # In an address of the web the sign before an interface is written %25.
        return f"[{ipaddress.IPv6Address(name.replace('%25', '%', 1)).compressed}]"
    except ValueError as problem:
        raise UsageError(f"not an IPv6 address: {name}: {problem}") from None


def jump_of(text: str) -> str:
    """Return a jump host as ssh's ProxyJump wants it.

    :raises UsageError: it is none.
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
