"""Where ssh connects to, and the options that a user's configuration must not change.

OpenSSH uses the first value that it finds for an option. So ssh reads a file made by
labwright: these options come first, then the user's own configuration is included. The user's
host names, keys, agents and jump hosts work; options that would influence a grading, or outlive
it, are overridden. The ssh of each jump host gets the same file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labwright.errors import SetupError, UsageError
from labwright.machines.process import run_bounded

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_TIMEOUT_S = 15
OWN_CONFIGURATION = ("~/.ssh/config", "/etc/ssh/ssh_config")
"""The files that ssh reads by default."""

OVERRIDES: tuple[tuple[str, str, tuple[int, int]], ...] = (
    # Nobody can answer a question.
    ("BatchMode", "yes", (0, 0)),
    ("ConnectTimeout", str(CONNECT_TIMEOUT_S), (0, 0)),
    ("ConnectionAttempts", "1", (0, 0)),
    # Notice a lost machine.
    ("ServerAliveInterval", "5", (0, 0)),
    ("ServerAliveCountMax", "3", (0, 0)),
    ("ChannelTimeout", "none", (9, 6)),
    # The remote command, and its input and output.
    ("SessionType", "default", (8, 7)),
    ("RemoteCommand", "none", (7, 6)),
    ("ForkAfterAuthentication", "no", (8, 7)),
    ("StdinNull", "no", (8, 7)),
    ("RequestTTY", "no", (0, 0)),
    ("EscapeChar", "none", (0, 0)),
    ("PermitLocalCommand", "no", (0, 0)),
    # The connection belongs to one labwright process, and ends with it.
    ("ControlMaster", "no", (0, 0)),
    ("ControlPath", "none", (0, 0)),
    ("ControlPersist", "no", (0, 0)),
    # No agent or X11 is forwarded.
    ("ForwardAgent", "no", (0, 0)),
    ("ForwardX11", "no", (0, 0)),
    ("ClearAllForwardings", "yes", (0, 0)),
    ("ExitOnForwardFailure", "no", (0, 0)),
    ("GatewayPorts", "no", (0, 0)),
    ("StreamLocalBindMask", "0177", (0, 0)),
    ("Tunnel", "no", (0, 0)),
    # ssh's messages show why a connection failed.
    ("LogLevel", "INFO", (0, 0)),
    ("VisualHostKey", "no", (0, 0)),
    # The user's own files are not changed.
    ("AddKeysToAgent", "no", (7, 2)),
    ("UpdateHostKeys", "no", (6, 8)),
)
"""Option, value, and the first OpenSSH release that knows it; older ones would refuse it."""


@dataclass(frozen=True)
class Destination:
    """Where ssh connects to, with settings beyond the user's own configuration."""

    host: str
    """As the user wrote it: patterns in an ssh_config are case-sensitive."""
    port: int | None = None
    user: str | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    """Used instead of the user's known_hosts. A jump host's new key is accepted and added."""
    strict: bool = True
    """With ``known_hosts``: whether the machine's key must already be in it."""
    alias: str = ""
    """The name of the machine's key in ``known_hosts``; default: its host name."""
    jump: str = ""
    """ssh's ProxyJump; default: the one in the user's configuration."""
    plain: bool = False
    """Whether the user's configuration is ignored, for a QEMU guest."""

    @classmethod
    def parse(cls, target: str) -> Destination:
        """Parse ``ssh://[user@]host[:port]``; an IPv6 address needs brackets.

        :raises UsageError: the text is not such a target.
        """
        try:
            parts = urlsplit(target)
            port = parts.port
        except ValueError as problem:
            raise UsageError(f"not a target: {target!r}: {problem}") from None
        if parts.scheme != "ssh" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise UsageError(f"not a target: {target!r}: write ssh://[user@]host[:port]")
        if parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
            raise UsageError(f"not a target: {target!r}: a name cannot begin with a dash")
        if parts.password:
            raise UsageError(f"{parts.hostname}: no password in a target; use a key or an agent")
        # Not parts.hostname, which is lower case.
        place = parts.netloc.rpartition("@")[2]
        host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
        return cls(host, port, parts.username)

    def configuration(self) -> str:
        """Return the text of ssh's configuration file for this machine and its jump hosts."""
        release = client_release()
        lines = [
            "Host *",
            *(f"  {name} {value}" for name, value, since in OVERRIDES if release >= since),
        ]
        if self.known_hosts:
            lines += [
                f'  UserKnownHostsFile "{self.known_hosts}"',
                "  GlobalKnownHostsFile /dev/null",
                "  StrictHostKeyChecking accept-new",
                "  HashKnownHosts no",
            ]
        if not self.plain:
            lines += [f"  Include {path}" for path in OWN_CONFIGURATION]
        return "\n".join([*lines, ""])

    def options(self, configuration: Path) -> list[str]:
        """Return ssh's arguments for this machine only, without its name.

        :param configuration: the path of the file with :meth:`configuration`.
        """
        options = [f"-F{configuration}"]
        if self.port:
            options.append(f"-p{self.port}")
        if self.user:
            options.append(f"-l{self.user}")
        if self.key:
            options += [f"-oIdentityFile={self.key}", "-oIdentitiesOnly=yes"]
        if self.known_hosts:
            options.append(f"-oStrictHostKeyChecking={'yes' if self.strict else 'accept-new'}")
        if self.alias:
            options.append(f"-oHostKeyAlias={self.alias}")
        if self.jump:
            options.append(f"-oProxyJump={self.jump}")
        return options


@cache
def client_release() -> tuple[int, int]:
    """Return the release of this computer's OpenSSH client.

    :raises SetupError: ssh is not installed.
    """
    try:
        said = run_bounded(["ssh", "-V"], timeout=10, limit=4096).stderr.decode(errors="replace")
    except FileNotFoundError:
        raise SetupError("the program ssh is missing: install openssh-client") from None
    found = re.search(r"OpenSSH_[A-Za-z_]*(\d+)\.(\d+)", said)
    # Another vendor's ssh, or one without a release: use only options that all releases know.
    return (int(found[1]), int(found[2])) if found else (7, 6)
