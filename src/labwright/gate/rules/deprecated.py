"""Rules about commands, templates and options that current systems no longer have."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.gate.rules.rule import Problem, Reading, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Call

_REPLACED = {
    "ifconfig": "ip address",
    "netstat": "ss",
    "route": "ip route",
    "arp": "ip neighbour",
    "rarp": "ip neighbour",
    "iwconfig": "iw",
    "brctl": "ip link and bridge",
    "vconfig": "ip link add ... type vlan",
    "tunctl": "ip tuntap",
    "mii-tool": "ethtool",
    "ping6": "ping -6",
    "ifup": "ip link set ... up",
    "ifdown": "ip link set ... down",
    "chkconfig": "systemctl enable",
    "ntpdate": "timedatectl set-ntp true",
    "docker-compose": "docker compose",
    "docker-machine": "a virtual machine",
    "apt-key": "a keyring in /etc/apt/keyrings and signed-by",
    "egrep": "grep -E",
    "fgrep": "grep -F",
    "easy_install": "pip",
    "python": "python3",
    "python2": "python3",
    "virtualenv": "python3 -m venv",
    "mongo": "mongosh",
    "iptables-legacy": "nft, or iptables",
}
"""Programs that current systems do not install by default, with replacements."""
_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
_OF_THE_DEFAULT_BRIDGE = (
    "IPAddress IPPrefixLen Gateway MacAddress EndpointID GlobalIPv6Address GlobalIPv6PrefixLen "
    "IPv6Gateway"
).split()
_TEMPLATES = {
    **{
        f".NetworkSettings.{name}": f"{{{{range .NetworkSettings.Networks}}}}{{{{.{name}}}}}"
        "{{end}}"
        for name in _OF_THE_DEFAULT_BRIDGE
    },
    ".NetworkSettings.Bridge": "docker network inspect bridge",
    ".NetworkSettings.HairpinMode": "nothing: it was never set",
    ".NetworkSettings.LinkLocalIPv6Address": "{{range .NetworkSettings.Networks}}"
    "{{.GlobalIPv6Address}}{{end}}",
    ".NetworkSettings.SecondaryIPAddresses": _ADDRESS,
    ".VirtualSize": "{{.Size}}",
    ".ContainerConfig": "{{.Config}}",
    ".Config.MacAddress": "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}",
}
"""Fields that ``docker inspect --format`` no longer has, with replacements."""


@dataclass(frozen=True)
class _Option:
    """An option that a program no longer has."""

    program: str
    words: str
    """The command's first words; empty for any."""
    option: str
    instead: str


_OPTIONS = tuple(
    _Option(*row)
    for row in (
        ("docker", "run", "--kernel-memory", "--memory"),
        ("docker", "login", "--email", "docker login without it"),
        ("docker", "login", "-e", "docker login without it"),
        ("docker", "tag", "-f", "docker tag without it"),
        ("docker", "build", "--squash", "a Dockerfile with several stages"),
        ("docker", "ps", "--since", "--filter since=..."),
        ("docker", "ps", "--before", "--filter before=..."),
        ("docker", "search", "--automated", "--filter is-official=true"),
        ("docker", "search", "--stars", "--filter stars=..."),
        ("docker", "daemon", "", "systemctl start docker"),
        ("docker", "import-bundle", "", "docker stack deploy"),
        ("dockerd", "", "--graph", "--data-root"),
        ("kubectl", "run", "--generator", "kubectl create deployment"),
        ("kubectl", "", "--export", "kubectl get --output yaml"),
        ("kubectl", "version", "--short", "kubectl version"),
        ("helm", "init", "", "nothing: Helm has no Tiller any more"),
        ("ssh-keygen", "", "-t dsa", "-t ed25519"),
    )
)


def _deprecated(reading: Reading) -> Iterator[Problem]:
    venv = False
    for call in reading.calls:
        activates = call.name in ("source", ".") and any("activate" in w.text for w in call.words)
        venv = venv or activates or call.name in ("conda", "poetry")
        if call.name in _REPLACED and not (venv and call.name == "python"):
            yield Problem(
                *call.place(),
                f"current systems lack `{call.name}` unless it is installed",
                f"use {_REPLACED[call.name]}",
            )


def _dropped(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        yield from _templates(call)
        for gone in _OPTIONS:
            if _gives(call, gone):
                said = " ".join(filter(None, (gone.program, gone.words, gone.option)))
                yield Problem(
                    *call.place(),
                    f"`{said}` is refused or ignored by current versions",
                    f"use {gone.instead}",
                )


def _templates(call: Call) -> Iterator[Problem]:
    if call.name not in ("docker", "podman"):
        return
    for word in call.words:
        for field, instead in _TEMPLATES.items():
            if re.search(rf"{{{{[^}}]*{re.escape(field)}\b", word.text):
                yield Problem(
                    *call.place(word.offset),
                    f"Docker 29 has no field {field}, so the template fails",
                    f"write {instead}" if instead.startswith("{{") else f"use {instead}",
                )


def _gives(call: Call, gone: _Option) -> bool:
    words = [word.text for word in call.words]
    begins = gone.words.split()
    if call.name != gone.program or words[: len(begins)] != begins:
        return False
    option = gone.option.split()
    if len(option) == 2:
        return any(list(pair) == option for pair in itertools.pairwise(words))
    return not option or any(w == option[0] or w.startswith(f"{option[0]}=") for w in words)


RULES = (
    Rule(
        "deprecated-command",
        "On a current system the command is not found, or prints something else.",
        _deprecated,
    ),
    Rule(
        "dropped-option",
        "On a current system the command is refused, or prints nothing.",
        _dropped,
    ),
)
