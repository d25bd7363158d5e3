"""A lab's images are put into any machine's Docker, and what is there is left."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from importlib import resources

import pytest

from labwright.errors import MachineError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.machines.docker_host import DockerHost
from labwright.machines.image_context import Component, context
from labwright.machines.image_load import LABEL, OWN_BASE, load
from labwright.machines.machine import CommandResult


@pytest.fixture(scope="module")
def components():
    images = load_lab(find_lab("gorb")).images
    return [Component(i.name, i.folder, i.package, i.dependencies, i.published) for i in images]


class Machine:
    """A machine whose Docker has images; whether it reaches a registry is said."""

    target = "there"

    def __init__(self, images=None, registry=False, python="3.11.2", **host) -> None:
        host = {"path": "/var/run/docker.sock", "installed": True, "there": True, **host}
        self.docker_host = DockerHost(**{"writable": True, **host})
        self.images = dict(images or {})
        self.registry, self.python = registry, python
        self.commands: list[str] = []

    def run(self, command, *arguments, timeout=30.0, stdin=b""):
        command = command % arguments if arguments else command
        self.commands.append(command)
        status, out = 0, ""
        if "image inspect" in command:
            found = self.images.get(arguments[-1])
            status, out = (0, json.dumps({"Labels": found})) if found is not None else (1, "")
        elif " pull " in command:
            status = 0 if self.registry else 1
        elif "sys.version_info" in command:
            out = self.python + "\n"
            status = 3 if self.python < "3.11" else 0
        elif " import " in command:
            assert b"def main" in stdin
        elif " build " in command:
            with tarfile.open(fileobj=io.BytesIO(stdin)) as tar:
                assert tar.getnames()
        return CommandResult(command, status, out, "why it failed\n", 0.0)

    def builds(self) -> list[str]:
        return [command for command in self.commands if " build " in command]


def test_without_a_registry_the_machines_own_python_is_the_base(components):
    machine = Machine()
    done = dict(load(components, machine))
    assert set(done) == {"kobolog/gorb:latest", "server:latest", "client:latest"}
    assert all(f"BASE={OWN_BASE} " in command for command in machine.builds())
    assert sum(" pull " in command for command in machine.commands) == 1
    assert sum(" import " in command for command in machine.commands) == 1


def test_with_a_registry_the_ordinary_base_is_used(components):
    machine = Machine(registry=True)
    list(load(components, machine))
    assert all("BASE=python:3.11-slim-bookworm " in command for command in machine.builds())
    assert not any("compileall" in command for command in machine.builds())


def test_images_of_others_and_those_up_to_date_are_left(components):
    made_of = dict(load(components, machine := Machine()))
    assert made_of
    label = machine.builds()[1].partition(f"{LABEL}=")[2].split()[0]
    images = {
        "kobolog/gorb:latest": {},
        "server:latest": {LABEL: label},
        "client:latest": {LABEL: "of before"},
    }
    done = dict(load(components, machine := Machine(images)))
    assert done["kobolog/gorb:latest"] == "exists already and is not changed"
    assert done["server:latest"] == "exists already"
    assert len(machine.builds()) == 1
    assert "--tag client:latest" in machine.builds()[0]


def test_where_only_root_may_use_docker_sudo_does(components):
    machine = Machine(writable=False, sudo=True)
    list(load(components, machine))
    docker = [command for command in machine.commands if "docker" in command]
    assert all("sudo -n docker" in command for command in docker)


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        (Machine(path=""), r"the Docker Engine does not run"),
        (Machine(installed=False), r"no docker command"),
        (Machine(writable=False, user="ann"), r"the user ann on there may not use Docker"),
        (Machine(python="3.10.4"), r"python3 3\.11 or newer, whole: its python3 is 3\.10\.4"),
    ],
)
def test_what_is_missing_is_one_sentence(machine, problem, components):
    with pytest.raises(MachineError, match=problem):
        list(load(components, machine))


def test_a_context_has_what_the_image_imports(components):
    gorb = components[0]
    with tarfile.open(fileobj=io.BytesIO(context(gorb, "site-packages"))) as tar:
        names = tar.getnames()
    assert {"site-packages/uvicorn/__init__.py", "site-packages/h11/__init__.py"} <= set(names)
    assert "site-packages/labwright/components/gorb/__main__.py" in names
    assert not any(".." in name or name.endswith(".pyc") for name in names)


def test_a_base_has_python_a_shell_and_what_they_load(tmp_path):
    script = resources.files("labwright.machines").joinpath("base_image.py")
    packed = tmp_path / "base.tar"
    command = [sys.executable, "-I", str(script), "sh", "-c", f"cat >{packed}"]
    subprocess.run(command, check=True, timeout=300)
    with tarfile.open(packed) as tar:
        entries = {entry.name: entry for entry in tar}
    assert entries["usr/bin/python3"].issym()
    assert any(name.endswith("asyncio/__init__.py") for name in entries)
    assert any("libc.so" in name for name in entries)
    assert {"etc/passwd", "tmp"} <= set(entries)
    assert all(entry.uid == 0 for entry in entries.values())
    assert not any("site-packages" in name for name in entries)
