"""The lab's components as what their Docker images are made of.

The images are built inside the machine, from Dockerfiles that build with an ordinary base
too; the base here is the machine's own minimal Debian, which came with it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.machines.vm import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.machines.machine import Machine

BASE = "labwright/base:bookworm"
BASE_FILE = "/var/lib/labwright/base.tar"
"""Where the machine's image has the base's file system."""
DEPENDENCIES = ("click", "h11", "prometheus-client", "typing_extensions", "uvicorn")
"""What the daemon imports: all of it pure Python."""
_ZIP = """
import pathlib, zipfile
with zipfile.PyZipFile("site-packages/dependencies.zip", "w") as file:
    for entry in pathlib.Path("dependencies").iterdir():
        if entry.suffix == ".py" or (entry / "__init__.py").exists():
            file.writepy(str(entry))
"""
"""Makes the dependencies one file, which Python imports from: Docker takes longer over a
thousand files than over all else in an image."""
BUILD_S = 300.0


@dataclass(frozen=True)
class Component:
    """A Docker image of the lab."""

    folder: str
    """Of its Dockerfile, in the lab's ``images``."""
    image: str
    package: str
    """The subpackage of labwright that runs in it; it imports nothing else of it."""
    dependencies: tuple[str, ...] = ()


COMPONENTS = (
    Component("gorb", "kobolog/gorb:latest", "gorb", DEPENDENCIES),
    Component("server", "server:latest", "workload"),
    Component("client", "client:latest", "workload"),
)


def key() -> str:
    """Return a name for all that goes into the images."""
    versions = [f"{name} {metadata.version(name)}" for name in DEPENDENCIES]
    files = [
        f"{path}\n{data.decode()}" for component in COMPONENTS for path, data in _sources(component)
    ]
    return store.key(*versions, *files)


def import_base(machine: Machine) -> None:
    """Make the base image in a machine that runs Docker, from what came with the machine.

    :raises SetupError: Docker did not.
    """
    _do(machine, f"docker import {BASE_FILE} {BASE} && sudo rm {BASE_FILE}")


def build_images(machine: Machine) -> None:
    """Build the images in a machine that has the base image, as its user.

    :raises SetupError: Docker, in the machine, did not build one.
    """
    for component in COMPONENTS:
        # Compiled in the machine: its Python is the image's, ours may be another.
        script = f"""
            set -eu
            mkdir context
            cd context
            tar -xf -
            python3 -m compileall -q .
            if [ -d dependencies ]; then
                python3 -c '{_ZIP}'
                rm -r dependencies
            fi
            tar -cf - . | docker build --build-arg BASE={BASE} -t {component.image} -
            cd ..
            rm -r context
            """
        _do(machine, script, _context(component))


def _do(machine: Machine, script: str, stdin: bytes = b"") -> None:
    result = machine.run("sh -c %s", script, stdin=stdin, timeout=BUILD_S)
    if not result.ok:
        last = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"the lab's images could not be built in the machine: {last}")


def _sources(component: Component) -> Iterator[tuple[str, bytes]]:
    """Yield a component's own files with their places in the context, sorted."""
    package = Path(str(resources.files("labwright")))
    for file in [package / "__init__.py", *sorted((package / component.package).rglob("*.py"))]:
        yield f"site-packages/labwright/{file.relative_to(package)}", file.read_bytes()
    images = Path(str(resources.files("labwright.labs"))) / "gorb" / "images"
    yield "Dockerfile", (images / component.folder / "Dockerfile").read_bytes()


def _context(component: Component) -> bytes:
    """Return what Docker builds an image from, as a tar file.

    Dependencies are a folder of their own, yet to be made into the one file.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in _sources(component):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
        if component.dependencies:
            with tempfile.TemporaryDirectory() as folder:
                _install(component.dependencies, folder)
                tar.add(folder, "dependencies")
    return packed.getvalue()


def _install(names: Sequence[str], folder: str) -> None:
    """Put packages into a folder, in the versions that we run with."""
    wanted = [f"{name}=={metadata.version(name)}" for name in names]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", folder, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"pip could not fetch what the lab's images need: {last}")
