"""Checks claims about Docker's images, containers, networks and volumes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_list,
    evidence,
    inspects,
    quoted,
    refused,
    require,
    unseen,
    user_or_root,
)
from labwright.errors import MachineError
from labwright.lab.claims import Container, Image, Network, Volume

if TYPE_CHECKING:
    from collections.abc import Generator

    from labwright.checks.claims.inspection import Answers

    Facts = dict[str, Any]

_NONE = "no such "
"""Docker's message for an unknown name; older versions write it with a capital."""


def _inspect(kind: str, name: str) -> Generator[Ask, Answers, Facts | None]:
    """Return the output of ``docker inspect``, or None if the object does not exist."""
    what = f"the {kind} {name}"
    asked = f"docker {kind} inspect -- {shlex.quote(name)}"
    result = yield from user_or_root(asked, what)
    if not result.ok:
        if _NONE in result.stderr.lower() or "not found" in result.stderr.lower():
            return None
        raise unseen(what, result)
    import json

    try:
        found = json.loads(result.stdout)[0]
    except (ValueError, LookupError, RecursionError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise MachineError(f"Docker's description of {what} is malformed: {quoted(result.stdout)}")
    return found


def _at(facts: Any, *keys: str) -> Any:
    """Return the value at a path of Docker's answer, or None."""
    for key in keys:
        facts = facts.get(key) if isinstance(facts, dict) else None
    return facts


def _name(image: str) -> str:
    """Return an image's name in Docker's short form, with its tag."""
    for prefix in ("docker.io/library/", "library/", "docker.io/"):
        image = image.removeprefix(prefix)
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


@inspects(Image)
def image(claim: Image) -> Inspection:
    """Ask Docker for an image."""
    found = yield from _inspect("image", claim.image)
    saw = "there is none"
    if found is not None:
        saw = f"{found.get('Id')} {' '.join(found.get('RepoTags') or [])}"
    yield evidence(f"the image {claim.image}", f"docker image inspect {claim.image}", saw)
    if claim.absent:
        require(found is None, f"no image {claim.image}", "Docker has it")
        return
    require(found is not None, f"the image {claim.image}", "Docker has none of this name")
    ports = sorted(_at(found, "Config", "ExposedPorts") or {})
    for port in as_list(claim.exposes):
        wanted = port if "/" in port else f"{port}/tcp"
        has = f"it exposes {' and '.join(ports) or 'none'}"
        require(wanted in ports, f"the image {claim.image} to expose {wanted}", has)
    if claim.runs:
        parts = (_at(found, "Config", key) or [] for key in ("Entrypoint", "Cmd"))
        line = " ".join(str(word) for part in parts for word in part)
        has = f"it runs `{quoted(line)}`"
        require(claim.runs in line, f"the image {claim.image} to run `{claim.runs}`", has)


@inspects(Container)
def container(claim: Container) -> Inspection:
    """Ask Docker for a container and its output."""
    name = claim.container
    found = yield from _inspect("container", name)
    status = str(_at(found, "State", "Status"))
    image_name = str(_at(found, "Config", "Image"))
    saw = "there is none" if found is None else f"{status}, from {image_name}"
    yield evidence(f"the container {name}", f"docker container inspect {name}", saw)
    if claim.absent:
        require(found is None, f"no container {name}", f"there is one, {status}")
        return
    require(found is not None, f"a container {name}", "there is none")
    if claim.state != "any":
        ended = f" with status {_at(found, 'State', 'ExitCode')}" if status == "exited" else ""
        require(
            status == claim.state,
            f"the container {name} to be {claim.state}",
            f"it is {status}{ended}",
            f"See what it said: `docker logs {name}`.",
        )
    if claim.from_image and _name(image_name) != _name(claim.from_image):
        wanted = yield from _inspect("image", claim.from_image)
        same = wanted is not None and _at(found, "Image") == wanted.get("Id")
        expected = f"the container {name} to be made from {claim.from_image}"
        require(same, expected, f"it is made from {image_name}")
    _require_settings(claim, found or {})
    for text in as_list(claim.says):
        yield from _require_console(name, text)


def _require_settings(claim: Container, found: Facts) -> None:
    """Check a container's settings: ports, networks, volumes and others."""
    what = f"the container {claim.container}"
    ports = _published(found)
    for port in as_list(claim.publishes):
        has = f"it publishes {' and '.join(ports) or 'none'}"
        require(_port(port) in ports, f"{what} to publish {_port(port)}", has)
    networks = sorted(_at(found, "NetworkSettings", "Networks") or {})
    for network_name in as_list(claim.networks):
        has = f"it is in {' and '.join(networks) or 'none'}"
        require(network_name in networks, f"{what} to be in the network {network_name}", has)
    mounts = [
        f"{mounted.get(key)}:{mounted.get('Destination')}"
        for mounted in found.get("Mounts") or []
        for key in ("Name", "Source")
        if isinstance(mounted, dict) and mounted.get(key)
    ]
    for volume_name in as_list(claim.volumes):
        has = f"it has mounted {' and '.join(mounts) or 'nothing'}"
        require(volume_name in mounts, f"{what} to have mounted {volume_name}", has)
    variables = _at(found, "Config", "Env") or []
    for key, value in claim.variables.items():
        own = [one.partition("=")[2] for one in variables if one.partition("=")[0] == key]
        has = f"there it is {own[0]}" if own else "it is not set there"
        require(value in own, f"{key} to be {value} in {what}", has)
    policy = _at(found, "HostConfig", "RestartPolicy", "Name") or "no"
    if claim.restart:
        has = f"it is {policy}"
        require(policy == claim.restart, f"{what} to have the restart policy {claim.restart}", has)
    health = _at(found, "State", "Health", "Status")
    if claim.healthy is not None:
        wanted = "healthy" if claim.healthy else "unhealthy"
        has = f"it is {health}" if health else "it has no health check"
        require(health == wanted, f"{what} to be {wanted}", has)
    status = _at(found, "State", "ExitCode")
    if claim.status is not None:
        expected = f"{what} to have ended with status {claim.status}"
        require(status == claim.status, expected, f"it is {status}")


def _port(text: str) -> str:
    """Return a published port in a form to compare: ``ADDRESS:HOST:CONTAINER/PROTOCOL``."""
    ports, _, protocol = text.partition("/")
    address, _, rest = ports.rpartition(":")[0].rpartition(":")
    host = rest or address
    return f"{address + ':' if address and rest else ''}{host}:{ports.rpartition(':')[2]}" + (
        f"/{protocol}" if protocol and protocol != "tcp" else ""
    )


def _published(found: Facts) -> list[str]:
    bindings = {
        **(_at(found, "NetworkSettings", "Ports") or {}),
        **(_at(found, "HostConfig", "PortBindings") or {}),
    }
    ports = []
    for inner, outer in bindings.items():
        for one in outer or []:
            address = str(_at(one, "HostIp") or "")
            any_address = address in ("", "0.0.0.0", "::")  # noqa: S104
            host = _at(one, "HostPort") or ""
            ports.append(_port(f"{'' if any_address else address + ':'}{host}:{inner}"))
    return sorted(set(ports))


def _require_console(name: str, text: str) -> Generator[Ask | Any, Answers, None]:
    """Check that a container has printed a text."""
    logs = f"docker logs {shlex.quote(name)} 2>&1"
    grep = f"{logs} | grep -F -m 3 -e {shlex.quote(text)} || true"
    last = logs.replace("docker logs", "docker logs --tail 3")
    found, tail = yield Ask((grep, last))
    if refused(tail) or "permission denied" in tail.stdout:
        root = (f"sudo -n sh -c {shlex.quote(grep)}", f"sudo -n sh -c {shlex.quote(last)}")
        found, tail = yield Ask(root)
    if not tail.ok:
        raise unseen(f"what the container {name} has printed", tail)
    ran = f"docker logs {name} | grep -F {shlex.quote(text)}"
    yield evidence(f"what the container {name} has printed", ran, found.stdout or tail.stdout)
    has = f"it last printed `{quoted(tail.stdout)}`" if tail.stdout.strip() else "it says nothing"
    require(text in found.stdout, f"`{text}` from the container {name}", has)


@inspects(Network)
def network(claim: Network) -> Inspection:
    """Ask Docker for a network."""
    name = claim.network
    found = yield from _inspect("network", name)
    driver = str(_at(found, "Driver"))
    configs = _at(found, "IPAM", "Config") or []
    subnets = [str(_at(config, "Subnet")) for config in configs if _at(config, "Subnet")]
    inside = sorted(str(_at(one, "Name")) for one in (_at(found, "Containers") or {}).values())
    saw = " ".join((driver, *subnets, *inside)) if found is not None else "there is none"
    yield evidence(f"the network {name}", f"docker network inspect {name}", saw)
    if claim.absent:
        require(found is None, f"no network {name}", "Docker has it")
        return
    require(found is not None, f"a network {name} of Docker", "there is none")
    if claim.driver:
        has = f"it is {driver}"
        require(driver == claim.driver, f"the network {name} to be of {claim.driver}", has)
    if claim.subnet:
        has = f"it has {' and '.join(subnets) or 'none'}"
        require(claim.subnet in subnets, f"the network {name} to have {claim.subnet}", has)
    if claim.internal is not None:
        internal = bool(_at(found, "Internal"))
        wanted = "internal" if claim.internal else "not internal"
        require(internal == claim.internal, f"the network {name} to be {wanted}", "it is otherwise")
    for one in as_list(claim.holds):
        has = f"{' and '.join(inside) or 'nobody'} is"
        require(one in inside, f"the container {one} to run in the network {name}", has)


@inspects(Volume)
def volume(claim: Volume) -> Inspection:
    """Ask Docker for a volume."""
    name = claim.volume
    found = yield from _inspect("volume", name)
    driver = str(_at(found, "Driver"))
    saw = driver if found is not None else "there is none"
    yield evidence(f"the volume {name}", f"docker volume inspect {name}", saw)
    if claim.absent:
        require(found is None, f"no volume {name}", "Docker has it")
        return
    require(found is not None, f"a volume {name} of Docker", "there is none")
    if claim.driver:
        expected = f"the volume {name} to be of {claim.driver}"
        require(driver == claim.driver, expected, f"it is {driver}")
