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
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.machines.vm import store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.machines.machine import Machine

BASE = "labwright/base:bookworm"
BASE_FILE = "/var/lib/labwright/base.tar"
"""Where the machine's image has the base's file system."""
IMAGES = {"gorb": "kobolog/gorb:latest", "server": "server:latest", "client": "client:latest"}
PACKAGES = ("gorb", "workload")
"""The subpackages of labwright that run in the images; they import nothing else of it."""
DEPENDENCIES = ("click", "h11", "prometheus-client", "pyroute2", "typing_extensions", "uvicorn")
"""What the daemon imports: all of it pure Python."""


def key() -> str:
    """Return a name for all that goes into the images."""
    versions = [f"{name} {metadata.version(name)}" for name in DEPENDENCIES]
    files = [f"{name}\n{data.decode()}" for name, data in _sources()]
    return store.key(*versions, *files)


def build_images(machine: Machine) -> None:
    """Build the images in a machine that runs Docker, as its user.

    :raises SetupError: Docker, in the machine, did not build one.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder))
    script = f"""
        set -eu
        mkdir context; cd context; tar -xf -
        python3 -m compileall -q site-packages
        docker import {BASE_FILE} {BASE} >/dev/null
        sudo rm {BASE_FILE}
        """
    for name, image in IMAGES.items():
        script += f"docker build -q --build-arg BASE={BASE} -f {name}/Dockerfile -t {image} .\n"
    result = machine.run(f"{script}\ncd ..; rm -r context", stdin=context, timeout=300)
    if not result.ok:
        last = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"the lab's images could not be built in the machine: {last}")


def _sources() -> Iterator[tuple[str, bytes]]:
    """Yield our own files with their places in the context, sorted."""
    package = Path(str(resources.files("labwright")))
    files = [package / "__init__.py"]
    for name in PACKAGES:
        files += sorted((package / name).rglob("*.py"))
    for file in files:
        yield f"site-packages/labwright/{file.relative_to(package)}", file.read_bytes()
    images = Path(str(resources.files("labwright.labs"))) / "gorb" / "images"
    for name in IMAGES:
        yield f"{name}/Dockerfile", (images / name / "Dockerfile").read_bytes()


def _context(folder: Path) -> bytes:
    """Return the context as a tar file."""
    wanted = [f"{name}=={metadata.version(name)}" for name in DEPENDENCIES]
    target = folder / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", str(target), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"pip could not fetch what the lab's images need: {last}")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(target, "site-packages")
        for name, data in _sources():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
