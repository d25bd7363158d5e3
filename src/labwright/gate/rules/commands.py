"""Rules about programs: what they do to the terminal, what they need, what they hide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labwright.gate import docker_line
from labwright.gate.rules.rule import Problem, Reading, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Call

_ABOUT_THE_TERMINAL = re.compile(
    r"foreground|terminal|window|ctrl|stays|keeps|blocks|background|interrupt|leave it|"
    r"\btab\b|\bshell\b|until you",
    re.IGNORECASE,
)
_ONE_SHOT = frozenset(
    """
    echo cat ls true false env date uname id hostname printf test
    """.split()
)
_SERVERS = {
    "uvicorn": (),
    "gunicorn": (),
    "top": (),
    "htop": (),
    "watch": (),
    "nc": ("-l",),
    "ncat": ("-l",),
    "tail": ("-f", "-F", "--follow"),
    "journalctl": ("-f", "--follow"),
    "tcpdump": (),
}
"""Programs that do not end by themselves, with the options that make them so."""
_ROOT = frozenset(
    """
    modprobe insmod rmmod iptables ip6tables nft ipvsadm useradd userdel usermod groupadd
    mount umount fdisk mkfs apt apt-get dnf yum apk dpkg update-alternatives reboot poweroff
    shutdown visudo chroot ifup ifdown swapon swapoff
    """.split()
)
_FAILS = ("-f", "--fail", "--fail-with-body")
_SHOWS = ("-i", "--include", "-I", "--head", "-v", "--verbose", "-w", "--write-out")
_ADDRESS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
_INTERFACE = re.compile(r"\b(?:enp\d+s\d+(?:f\d+)?|ens\d+|eno\d+|eth\d+|wlan\d+|wlp\d+s\d+)\b")
_HOME = re.compile(r"/home/[a-z_][a-z0-9_-]*|/Users/[A-Za-z][A-Za-z0-9_-]*")
_EVERYWHERE = re.compile(r"127\.|0\.0\.0\.0|255\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|8\.8\.")
_REPLACEABLE = re.compile(
    r"\b(?:replace|your(?:s| own)?|another|different|differs|change|instead|substitute)\b",
    re.IGNORECASE,
)
_ADDRESS_OF = re.compile(r"\baddress of\b", re.IGNORECASE)


def _blocking(call: Call) -> str:
    """Say why a command does not give the terminal back, or nothing."""
    started = docker_line.run(call)
    name, words = docker_line.action(call)
    if started:
        first = started.arguments[0].text if started.arguments else ""
        if not started.detached and first not in _ONE_SHOT:
            return "`docker run` without --detach stays in the foreground"
    elif name == "compose" and words and words[0].text == "up" and not call.has("-d", "--detach"):
        return "`docker compose up` without --detach stays in the foreground"
    elif name == "attach" or (name == "logs" and call.has("-f", "--follow")):
        return f"`docker {name}` does not end by itself here"
    elif name == "exec" and call.has("-t", "--tty") and words[-1].text.endswith("sh"):
        return "`docker exec` opens another shell in this terminal"
    elif call.name == "go" and call.words and call.words[0].text == "run":
        return "`go run` stays in the foreground as long as its program runs"
    elif call.name in ("npm", "yarn") and call.words and call.words[0].text in ("start", "serve"):
        return f"`{call.name} {call.words[0].text}` stays in the foreground"
    elif call.name.startswith("python") and "http.server" in [w.text for w in call.words]:
        return "the server stays in the foreground"
    elif call.name == "ping" and not call.has("-c", "-w"):
        return "`ping` without -c does not end by itself"
    elif call.name == "kubectl" and call.words and call.words[0].text == "port-forward":
        return "`kubectl port-forward` stays in the foreground"
    elif call.name in _SERVERS and (not _SERVERS[call.name] or call.has(*_SERVERS[call.name])):
        return f"`{call.name}` does not end by itself here"
    return ""


def _blocks_terminal(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        reason = _blocking(call)
        in_background = call.typed.text.rstrip().endswith("&")
        if (
            reason
            and not in_background
            and not _ABOUT_THE_TERMINAL.search(reading.around(call.typed.block))
        ):
            yield Problem(
                *call.place(),
                f"{reason}, and the text says nothing about it",
                "say that it keeps the terminal, what to see when it is ready, and where to go on",
            )


def _machine_specific(reading: Reading) -> Iterator[Problem]:
    told = [block.text for block in reading.prose if _REPLACEABLE.search(block.text)]
    for entry in reading.typed:
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
                    and (_REPLACEABLE.search(nearby) or _ADDRESS_OF.search(nearby))
                )
                if name in seen or _EVERYWHERE.match(name) or known:
                    continue
                seen.add(name)
                yield Problem(
                    *entry.block.place(match.start()),
                    f"{what} {name} is fixed in the text, and differs between machines",
                    "read it from the machine into a variable, or say how to find one's own",
                )


def _curl_hides(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        if call.name == "curl" and not call.has(*_FAILS, *_SHOWS):
            yield Problem(
                *call.place(),
                "`curl` neither fails nor says so when the answer is an HTTP error",
                "add --fail-with-body",
            )


def _root(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        if not call.sudo and not call.typed.root and _needs_root(call):
            yield Problem(
                *call.place(), f"`{call.name}` needs root here, and sudo is missing", "add sudo"
            )


def _needs_root(call: Call) -> bool:
    words = [word.text for word in call.words]
    if call.name in _ROOT:
        asks_only = {"--version", "--help", "-h", "-V", "list", "search", "show", "policy", "-n"}
        return bool(words or call.name in ("reboot", "poweroff")) and not asks_only & set(words)
    if call.name == "ip":
        return bool({"add", "del", "delete", "set", "flush", "replace"} & set(words))
    if call.name == "sysctl":
        return call.has("-w", "--write", "-p") or any("=" in word for word in words)
    if call.name in ("systemctl", "service"):
        changing = {"start", "stop", "restart", "reload", "enable", "disable", "mask"}
        return bool(changing & set(words)) and "--user" not in words
    return False


RULES = (
    Rule(
        "blocks-terminal",
        "Who did not expect it waits for the prompt, or ends the program that later steps need.",
        _blocks_terminal,
    ),
    Rule(
        "machine-specific",
        "On any other machine the command does nothing, or does it to something else.",
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
