"""Rules about commands: blocked terminals, machine-specific values, hidden errors, missing sudo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labwright.gate import docker_line
from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.lab.instructions import begins_a_command
from labwright.lab.shell import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Call

_ABOUT_THE_TERMINAL = re.compile(
    r"foreground|terminal|window|ctrl|stays|keeps|blocks|background|interrupt|leave it|"
    r"\btab\b|\bshell\b|until you|real.?time|\bfollow|\bmonitor|\blive\b|\bstream|\btail\b",
    re.IGNORECASE,
)
_SHELLS = frozenset("sh bash ash zsh /bin/sh /bin/bash /bin/ash".split())
_STAYING = frozenset(
    """
    uvicorn gunicorn nginx httpd redis-server mysqld mongod postgres top htop watch ping sleep
    serve start run
    """.split()
)
"""Programs in a container that keep running."""
_SYSTEMS = frozenset(
    """
    almalinux alpine amazonlinux archlinux bash busybox centos debian docker fedora golang maven
    node openjdk php python rockylinux ruby rust ubuntu
    """.split()
)
"""Images with a shell or an interpreter, which ends at once without a terminal."""
_SERVERS = {
    "uvicorn": (),
    "gunicorn": (),
    "watch": (),
    "nc": ("-l",),
    "ncat": ("-l",),
    "tail": ("-f", "-F", "--follow"),
    "journalctl": ("-f", "--follow"),
    "tcpdump": (),
}
"""Programs that keep running, with the options that make them do so."""
_ROOT = frozenset(
    """
    modprobe insmod rmmod iptables ip6tables nft ipvsadm useradd userdel usermod groupadd
    mount umount fdisk mkfs apt apt-get dnf yum apk update-alternatives reboot poweroff
    shutdown visudo chroot ifup ifdown swapon swapoff
    """.split()
)
_ASKS_ONLY = frozenset(
    """
    --version --help -h -V list search show policy -n info repolist provides madison --show
    """.split()
)
_AS_ROOT = re.compile(
    r"\b(?:as|become|becoming|be|are|the|with|elevated to)\s+(?:the\s+)?[`*\"']*root\b|"
    r"\broot[`*\"']*\s+(?:user|shell|prompt|privileges|access|permissions|account)|\bsudo -[is]\b",
    re.IGNORECASE,
)
"""Phrases by which a document tells its reader to be root."""
_FAILS = ("-f", "--fail", "--fail-with-body")
_SHOWS = ("-i", "--include", "-I", "--head", "-v", "--verbose", "-w", "--write-out")
_LONG = re.compile(r"inf(?:inity)?|\d+[hd]|\d{4,}")
_ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
_INTERFACE = re.compile(
    r"(?<![\w-])(?:enp\d+s\d+(?:f\d+)?|ens\d+|eno\d+|eth\d+|wlan\d+|wlp\d+s\d+)\b"
)
_HOME = re.compile(r"/home/[a-z_][a-z0-9_-]*|/Users/[A-Za-z][A-Za-z0-9_-]*")
_EVERYWHERE = re.compile(
    r"127\.|0\.0\.0\.0|255\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|"
    r"8\.8\.|1\.1\.1\.1|1\.0\.0\.1|9\.9\.9\.9|169\.254\."
)
_OWN_NETWORK = re.compile(
    r"\b(?:topology|mininet|containerlab|network namespaces?)\b", re.IGNORECASE
)
"""Words of a document that creates its own network with its own addresses."""
_LOGIN = re.compile(r"\b([a-z_][a-z0-9_-]*)@[\w.-]+")
_PLACEHOLDER = re.compile(r"your|user|name|student|example|_|-", re.IGNORECASE)
_REPLACEABLE = re.compile(
    r"\b(?:replace|your(?:s| own)?|another|different|differs|change|instead|substitute)\b",
    re.IGNORECASE,
)
_ADDRESS_OF = re.compile(r"\baddress of\b", re.IGNORECASE)


def blocking(call: Call) -> str:
    """Return why a command keeps the terminal, or ""."""
    started = docker_line.run(call)
    name, words = docker_line.action(call)
    if started:
        if not started.detached and _stays(started):
            return "`docker run` without --detach stays in the foreground"
    elif name == "compose" and words and words[0].text == "up" and not call.has("-d", "--detach"):
        return "`docker compose up` without --detach stays in the foreground"
    elif name == "attach" or (name == "logs" and call.has("-f", "--follow")):
        return f"`docker {name}` does not end by itself here"
    elif call.name == "go" and call.words and call.words[0].text == "run":
        return "`go run` stays in the foreground as long as its program runs"
    elif call.name in ("npm", "yarn") and call.words and call.words[0].text in ("start", "serve"):
        return f"`{call.name} {call.words[0].text}` stays in the foreground"
    elif call.name.startswith("python") and "http.server" in [w.text for w in call.words]:
        return "the server stays in the foreground"
    elif call.name == "sleep" and any(_LONG.fullmatch(word.text) for word in call.words):
        return "`sleep` does not end for hours here"
    elif call.name == "ping" and not call.has("-c", "-w"):
        return "`ping` without -c does not end by itself"
    elif call.name == "kubectl" and call.words and call.words[0].text == "port-forward":
        return "`kubectl port-forward` stays in the foreground"
    elif call.name in _SERVERS and (not _SERVERS[call.name] or call.has(*_SERVERS[call.name])):
        return f"`{call.name}` does not end by itself here"
    return ""


def _stays(started: docker_line.Run) -> bool:
    """Whether a container in the foreground keeps a terminal that its reader still needs."""
    image = started.image.text if started.image else ""
    if not started.arguments:  # with a terminal, the reader wants to use the program
        serves = started.publishes or image.partition(":")[0] in docker_line.OFFICIAL - _SYSTEMS
        return serves and not started.interactive and not started.entrypoint
    if started.arguments[0].text.startswith("-"):  # options of the image's program
        one_shot = started.removed_at_end or started.entrypoint
        return started.interactive or not one_shot
    words = [word.text for word in started.arguments]
    return bool(_STAYING & set(words)) and words[0] not in _SHELLS


def _blocks_terminal(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        reason = blocking(call)
        in_background = call.typed.text.rstrip().endswith("&")
        if (
            reason
            and not in_background
            and not _ABOUT_THE_TERMINAL.search(reading.around(call.typed.block))
        ):
            yield Problem(
                *call.place(),
                f"{reason}, but the text does not mention it",
                "say that it keeps the terminal, how to see that it is ready, where to continue",
            )


def _machine_specific(reading: Reading) -> Iterator[Problem]:
    prose = [block.text for block in reading.prose]
    told = [text for text in prose if _REPLACEABLE.search(text)]
    if any(_OWN_NETWORK.search(text) for text in prose):
        return
    given = _given(reading)
    users = {
        word.text
        for call in reading.calls
        if call.name in ("useradd", "adduser", "usermod", "passwd", "su")
        for word in call.words
    } | {match[1] for match in _LOGIN.finditer("\n".join(reading.document.source))}
    for entry in reading.typed:
        if not entry.prompted and not begins_a_command(entry.text):
            continue  # output among commands, which another rule finds
        seen = set[str]()
        nearby = reading.around(entry.block)
        for pattern, what in (
            (_ADDRESS, "the address"),
            (_INTERFACE, "the network interface"),
            (_HOME, "the home directory"),
        ):
            for match in pattern.finditer(entry.text):
                name = match[0]
                known = any(name in text for text in told) or (
                    pattern is _ADDRESS
                    and (
                        _network(name) in given
                        or any(name in text for text in prose)
                        or _REPLACEABLE.search(nearby)
                        or _ADDRESS_OF.search(nearby)
                    )
                )
                owner = name.rpartition("/")[2]
                known = known or (pattern is _HOME and owner in users)
                if name in seen or _EVERYWHERE.match(name) or known or _PLACEHOLDER.search(owner):
                    continue
                seen.add(name)
                yield Problem(
                    *entry.block.place(match.start()),
                    f"{what} {name} is fixed in the text, but differs between machines",
                    "read it from the machine into a variable, or explain how to find it",
                )


def _given(reading: Reading) -> set[str]:
    """Return the networks that the document itself defines; these are the same on all machines."""
    found = set[str]()
    for call in reading.calls:
        words = {word.text.partition("=")[0] for word in call.words}
        gives = call.name in ("ip", "ifconfig", "nmcli", "netplan", "iptables", "nft", "ufw")
        gives = gives or bool({"--subnet", "--ip", "--gateway", "--ip-range"} & words)
        if gives or call.name in ("tee", "cat", "dnsmasq", "wg", "ipvsadm"):
            found |= {_network(m[0]) for m in _ADDRESS.finditer(call.typed.text)}
    return found


def _network(address: str) -> str:
    return address.rpartition(".")[0]


def _curl_hides(reading: Reading) -> Iterator[Problem]:
    """Find requests that change something or hide their answer, and do not show HTTP errors."""
    for call in reading.calls:
        if call.name != "curl" or call.has(*_FAILS, *_SHOWS):
            continue
        changes = call.has("-X", "--request", "-d", "--data", "--data-raw", "--json", "-F", "-T")
        hidden = call.has("-o", "--output", "-O", "--remote-name", "-s", "--silent")
        if changes or hidden or re.search(r"[|>]", PLACEHOLDER.sub("", call.typed.text)):
            yield Problem(
                *call.place(),
                "`curl` neither fails nor prints a message when the answer is an HTTP error",
                "add --fail-with-body",
            )


def _root(reading: Reading) -> Iterator[Problem]:
    if any(_AS_ROOT.search(block.text) for block in reading.prose):
        return
    for call in reading.calls:
        if _becomes_another(call):
            return
        if not call.sudo and not call.typed.root and _needs_root(call):
            yield Problem(
                *call.place(), f"`{call.name}` needs root here, and sudo is missing", "add sudo"
            )


def _becomes_another(call: Call) -> bool:
    """Whether a command opens a shell, perhaps on another machine, for another user."""
    words = [word.text for word in call.words]
    if call.name in ("su", "ssh", "chroot", "unshare", "lxc", "incus", "multipass", "vagrant"):
        return True
    if call.name in ("docker", "podman", "kubectl", "oc"):
        return bool({"exec", "run", "attach"} & set(words)) and any(
            re.fullmatch(r"-[a-z]*[it][a-z]*|--tty|--interactive|attach", word) for word in words
        )
    return call.sudo and call.name in _SHELLS


def _needs_root(call: Call) -> bool:
    words = [word.text for word in call.words]
    if call.name == "dpkg":
        return call.has("-i", "--install", "-r", "--remove", "-P", "--purge", "--configure")
    if call.name in _ROOT:
        return bool(words or call.name in ("reboot", "poweroff")) and not _ASKS_ONLY & set(words)
    if call.name == "ip":
        changes = bool({"add", "del", "delete", "set", "flush", "replace"} & set(words))
        return changes and words[:1] != ["netns"]
    if call.name == "sysctl":
        return call.has("-w", "--write", "-p") or any("=" in word for word in words)
    if call.name in ("systemctl", "service"):
        changing = {"start", "stop", "restart", "reload", "enable", "disable", "mask"}
        return bool(changing & set(words)) and "--user" not in words
    return False


RULES = (
    Rule(
        "blocks-terminal",
        "A reader who does not know this waits for the prompt, or ends a needed program.",
        _blocks_terminal,
    ),
    Rule(
        "machine-specific",
        "On another machine the command does nothing, or changes something else.",
        _machine_specific,
    ),
    Rule(
        "curl-hides-errors",
        "A refused request looks like one that succeeded, and the next step fails instead.",
        _curl_hides,
    ),
    Rule(
        "root-without-sudo",
        "An ordinary user is refused.",
        _root,
    ),
)
