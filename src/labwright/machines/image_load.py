"""Builds a lab's images in the Docker of any machine.

They are built there from their own Dockerfiles: on the ordinary base if the machine can reach
a registry, otherwise on the machine's own Python.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from importlib import resources
from typing import TYPE_CHECKING

from labwright.errors import MachineError
from labwright.machines.docker_host import ORDINARY
from labwright.machines.image_context import context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.machines.image_context import Component
    from labwright.machines.machine import CommandResult, Machine

OWN_BASE = "labwright/own-base"
LABEL = "labwright.context"
"""The label with a hash of the image's sources; an outdated image is built again."""
OLDEST_PYTHON = (3, 11)
PULL_S = 120.0
BUILD_S = 600.0
_NEEDED = "asyncio, compileall, ctypes, email, http.server, json, logging, urllib.request, zipfile"
_CHECK_PYTHON = f"""python3 -I -c 'import sys
print("%d.%d.%d" % sys.version_info[:3])
if sys.version_info < {OLDEST_PYTHON}: sys.exit(3)
import {_NEEDED}'"""


def load(components: Sequence[Component], machine: Machine) -> Iterator[tuple[str, str]]:
    """Make sure that a machine's Docker has the images; yield each name and what was done.

    An image that was not built by labwright is not changed.

    :raises MachineError: there is no Docker, or a build failed.
    """
    docker = _docker(machine)
    bases: dict[str, str] = {}
    for component in components:
        made_of = hashlib.sha256(context(component)).hexdigest()
        there = _label(machine, docker, component.image)
        if there == "another's":
            yield component.image, "exists already and is not changed"
        elif there == made_of:
            yield component.image, "exists already"
        else:
            ordinary = _ordinary_base(component)
            if ordinary not in bases:
                bases[ordinary] = _base(machine, docker, ordinary)
            _build(machine, docker, component, bases[ordinary], made_of)
            yield component.image, f"is built, on {bases[ordinary]}"


def _docker(machine: Machine) -> str:
    """Return the docker command, with sudo if the user needs it."""
    host = machine.docker_host
    if problem := host.problem(machine.target):
        raise MachineError(problem)
    if not host.installed:
        raise MachineError(f"{machine.target} has no docker command")
    root = "" if host.writable else "sudo -n"
    other = f"DOCKER_HOST=unix://{host.path}"
    where = "" if host.path == ORDINARY else shlex.join(["env", other])
    return " ".join(word for word in (root, where, "docker") if word)


def _label(machine: Machine, docker: str, image: str) -> str:
    """Return an image's label; "" without an image, ``another's`` if labwright did not build it."""
    found = machine.run(f"{docker} image inspect --format '{{{{json .Config}}}}' %s", image)
    if not found.ok:
        return ""
    try:
        labels = json.loads(found.stdout).get("Labels") or {}
        return str(labels.get(LABEL) or "another's")
    except (ValueError, AttributeError):
        return "another's"


def _ordinary_base(component: Component) -> str:
    """Return the default base in an image's Dockerfile."""
    text = (component.folder / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE=(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _base(machine: Machine, docker: str, ordinary: str) -> str:
    """Return a base that the machine has or can get."""
    if ordinary:
        there = machine.run(f"{docker} image inspect %s", ordinary).ok
        pull = f"timeout {PULL_S:g} {docker} pull --quiet %s"
        if there or machine.run(pull, ordinary, timeout=PULL_S + 30).ok:
            return ordinary
    seen = machine.run(_CHECK_PYTHON)
    needed = ".".join(map(str, OLDEST_PYTHON))
    if not seen.ok:
        release = seen.stdout.strip()[:20]
        lacks = f"its python3 is {release}" if seen.exit_status == 3 else _last(seen)
        raise MachineError(
            f"{machine.target} reaches no registry with {ordinary}, and cannot make a base of its "
            f"own, for which it needs python3 {needed} or newer, whole: {lacks}"
        )
    script = resources.files("labwright.machines").joinpath("base_image.py").read_bytes()
    path = "PATH=/usr/local/bin:/usr/bin:/bin"
    made = machine.run(
        f"python3 -I - {docker} import --change %s - %s",
        f"ENV {path}",
        OWN_BASE,
        stdin=script,
        timeout=BUILD_S,
    )
    if not made.ok:
        raise MachineError(f"Docker on {machine.target} imports no base: {_last(made)}")
    return OWN_BASE


def _build(machine: Machine, docker: str, component: Component, base: str, made_of: str) -> None:
    # Compile only if the image uses the machine's Python.
    compiled = "python3 -m compileall -q site-packages" if base == OWN_BASE else ":"
    options = f"--quiet --build-arg BASE={base} --label {LABEL}={made_of} --tag {component.image}"
    legacy = f"{docker.removesuffix('docker')}env DOCKER_BUILDKIT=0 docker"
    # Newer clients without buildx refuse to build unless the legacy builder is requested.
    script = f"""
        set -eu
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        cd "$folder"
        tar -xf -
        if [ -d site-packages ]; then {compiled}; fi
        tar -cf - . | {docker} build {options} - || {{
            tar -cf - . | {legacy} build {options} -
        }}
        """
    packed = context(component, dependencies="site-packages")
    done = machine.run("sh -c %s", script, stdin=packed, timeout=BUILD_S)
    if not done.ok:
        raise MachineError(
            f"Docker on {machine.target} could not build {component.image}: {_last(done)}"
        )


def _last(result: CommandResult) -> str:
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return lines[-1].strip()[:300] if lines else f"exit status {result.exit_status}"
