"""Proposes claims for a step of a drafted lab, from its commands."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from labwright.gate import docker_line
from labwright.lab.shell import calls, nodes, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from labwright.lab.shell import Call, Typed

Claim = dict[str, Any]
"""A claim as in ``[[step.claim]]``: first its kind with its subject, then the other keys."""
_PLAIN = re.compile(r"[\w@%+=:,./~-]+")
_INSTALLERS = ("apt", "apt-get", "dnf", "yum", "zypper", "apk")


def proposed(typed: Sequence[Typed], following: Sequence[Typed] = ()) -> list[Claim]:
    """Return claims that hold after some commands, and still hold at the end of the document.

    :param following: the later commands; anything that they remove is not claimed.
    """
    found: list[Claim] = []
    for entry in (*typed, *following):
        claims = list(_of(entry)) if entry in typed else []
        found += [claim for claim in claims if claim not in found]
        gone = {name for call in calls(entry) for name in _removed(call)}
        found = [claim for claim in found if not _is_gone(_about(claim), gone)]
    return found


def _is_gone(about: str, gone: Set[str]) -> bool:
    """Whether something was removed, or its folder was."""
    return any(about == name or about.startswith(f"{name}/") for name in gone if name)


def _about(claim: Claim) -> str:
    return str(next(iter(claim.values()))).removeprefix("~/")


def _of(entry: Typed) -> Iterator[Claim]:
    for call in calls(entry):
        for claim in (*_docker(call), *_system(call), *_network(call), *_files(call)):
            if _PLAIN.fullmatch(str(next(iter(claim.values())))):
                yield claim
    for node, _ in nodes(entry):
        if node.type == "file_redirect" and any(c.type in (">", ">>") for c in node.children):
            path = text_of(node.children[-1])
            if _PLAIN.fullmatch(path) and not path.startswith("/dev/"):
                yield {"file": _at_home(path)}


def _operands(call: Call) -> list[str]:
    return [word.text for word in call.operands() if word.literal]


def _docker(call: Call) -> Iterator[Claim]:
    started = docker_line.run(call)
    if started and started.name:
        claim: Claim = {"container": started.name}
        ports = [port for port in started.ports if _PLAIN.fullmatch(port)]
        yield claim | ({"publishes": ports} if ports else {})
        return
    image = docker_line.built_image(call)
    action, words = docker_line.action(call)
    pulled = docker_line.pulled_image(call) if action == "pull" else None
    if image or pulled:
        yield {"image": image or (pulled.text if pulled else "")}
    names = [word.text for word in words if not word.text.startswith("-")]
    if action in ("network", "volume") and names[:1] == ["create"] and len(names) > 1:
        yield {action: names[-1]}


def _system(call: Call) -> Iterator[Claim]:
    words = [word.text for word in call.words]
    named = _operands(call)
    if call.name == "systemctl" and len(named) > 1:
        running = {"start": True, "restart": True, "reload": True, "stop": False}.get(named[0])
        enabled = {"enable": True, "disable": False}.get(named[0])
        running = enabled if enabled is not None and "--now" in words else running
        state = {"running": running, "enabled": enabled}
        kept = {key: value for key, value in state.items() if value is not None}
        for unit in named[1:] if kept else ():
            kind = "timer" if unit.endswith(".timer") else "service"
            yield {kind: unit.removesuffix(".service")} | kept
    elif call.name in _INSTALLERS and named[:1] in (["install"], ["add"]):
        yield from ({"package": name} for name in named[1:] if "/" not in name)
    elif call.name in ("useradd", "adduser") and named:
        yield {"user": named[-1]}
    elif call.name in ("groupadd", "addgroup") and named:
        yield {"group": named[-1]}
    elif call.name == "usermod" and call.has("-G", "--groups") and len(named) > 1:
        yield {"user": named[-1], "groups": named[-2].split(",")}
    elif call.name == "modprobe" and named and not call.has("-r", "--remove"):
        yield {"module": named[0]}
    elif call.name == "sysctl":
        for name, equals, value in (word.partition("=") for word in words):
            if equals and not name.startswith("-"):
                yield {"sysctl": name, "value": int(value) if value.isdigit() else value}


def _network(call: Call) -> Iterator[Claim]:
    words = [word.text for word in call.words]
    if call.name == "ip":
        while words[:1] and words[0].startswith("-"):
            words = words[1:]
        after = dict(itertools.pairwise(words))
        match [word[:4] for word in words[:2]], words[2:]:
            case ["netn", "add"], [name, *_]:
                yield {"namespace": name}
            case ["link", "add"], [name, *_] if name not in ("name", "link"):
                yield {"interface": name} | ({"type": after["type"]} if "type" in after else {})
            case ["a" | "addr", "add"], [address, *_] if "dev" in after:
                yield {"interface": after["dev"], "address": address}
            case ["r" | "rout", "add"], [to, *_] if "via" in after:
                yield {"route": to, "via": after["via"]}
    elif call.name.startswith("python") and "http.server" in words:
        port = next((word for word in words if word.isdigit()), "8000")
        yield {"port": int(port)}


def _files(call: Call) -> Iterator[Claim]:
    named = _operands(call)
    if call.name == "mkdir":
        yield from ({"directory": _at_home(name)} for name in named)
    elif call.name in ("touch", "tee"):
        yield from ({"file": _at_home(name)} for name in named if not name.startswith("/dev/"))
    elif call.name == "chmod" and len(named) == 2 and re.fullmatch(r"0?[0-7]{3}", named[0]):
        yield {"file": _at_home(named[1]), "mode": named[0].zfill(4)}
    elif call.name == "ln" and call.has("-s") and len(named) == 2:
        yield {"file": _at_home(named[1]), "links_to": named[0]}
    elif call.name in ("curl", "wget"):
        for option, value in zip(call.words, call.words[1:], strict=False):
            if option.text in (("-o", "--output") if call.name == "curl" else ("-O",)):
                yield {"file": _at_home(value.text)}


def _removed(call: Call) -> Iterator[str]:
    action, words = docker_line.action(call)
    if call.name in ("rm", "rmdir", "userdel", "groupdel") or action in ("rm", "rmi", "stop"):
        words = words or call.words
        yield from (word.text.removeprefix("~/").rstrip("/") for word in words)
    elif action in ("network", "volume") and words and words[0].text == "rm":
        yield from (word.text for word in words[1:])
    elif call.name == "ip" and {"del", "delete"} & {word.text for word in call.words}:
        yield from (word.text for word in call.words[2:3])
    elif call.name == "mv":
        yield from (word.text for word in call.operands()[:1])


def _at_home(path: str) -> str:
    """Return a path for a claim: a reader begins in the home directory."""
    return path if path.startswith(("/", "~")) else f"~/{path.removeprefix('./')}"
