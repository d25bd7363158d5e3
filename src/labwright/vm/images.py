"""A lab's components as what their Docker images are made of.

The images are built inside the machine, from Dockerfiles that build with an ordinary base
too; the base here is the machine's own minimal Debian, which came with it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.machines.image_context import Component, context, sources, version
from labwright.vm import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.machines.machine import Machine

BASE = "labwright/base:latest"
"""A minimal Debian with Python: of the machine's own system."""
REGISTRY = "127.0.0.1:5000"
"""In the machine; its Docker asks it before Docker Hub."""
_PULL_BASE = f"""
set -eu
until curl -sf http://{REGISTRY}/v2/ >/dev/null; do sleep 0.2; done
docker pull -q {REGISTRY}/{BASE}
docker tag {REGISTRY}/{BASE} {BASE}
docker rmi {REGISTRY}/{BASE}
"""
"""Puts the base into Docker. It is pulled, from the registry that the machine came with: so
Docker knows the registry's name of the base's layer, and neither packs it when an image that
stands on it is pushed, nor fetches it when one is pulled.
"""
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


def key(components: Sequence[Component]) -> str:
    """Return a name for all that goes into images.

    :raises SetupError: something of it is not there.
    """
    names = dict.fromkeys(name for component in components for name in component.dependencies)
    versions = [f"{name} {version(name)}" for name in names]
    files = [
        f"{path}\n{data.decode(errors='backslashreplace')}"
        for component in components
        for path, data in sources(component)
    ]
    fetched = [_publish(component.image) for component in components if component.published]
    return store.key(*versions, *fetched, *files)


def base_key() -> str:
    """Return a name for how the base image is made."""
    return store.key(_PULL_BASE)


def import_base(machine: Machine) -> None:
    """Make the base image in a machine that runs Docker, from what came with the machine.

    :raises SetupError: Docker did not.
    """
    _do(machine, _PULL_BASE)


def build_images(components: Sequence[Component], machine: Machine) -> None:
    """Build images in a machine that has the base image, as its user.

    :raises SetupError: Docker, in the machine, did not build one.
    """
    # Side by side: the machine has two processors.
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(partial(_build, machine), components):
            pass


def _build(machine: Machine, component: Component) -> None:
    # Compiled in the machine: its Python is the image's, ours may be another.
    script = f"""
        set -eu
        folder=$(mktemp -d)
        cd "$folder"
        tar -xf -
        if [ -d site-packages ]; then python3 -m compileall -q .; fi
        if [ -d dependencies ]; then
            python3 -c '{_ZIP}'
            rm -r dependencies
        fi
        tar -cf - . | docker build --build-arg BASE={BASE} -t {component.image} -
        rm -r "$folder"
        """
    if component.published:
        script += _publish(component.image)
    _do(machine, script, context(component))


def _publish(image: str) -> str:
    """Return a script that moves an image into the registry.

    Its layers stay, under a name of ours: so it is pulled in two seconds, not in ten.
    """
    there, kept = f"{REGISTRY}/{image}", f"labwright/{image.rpartition('/')[2]}"
    return f"""
            docker tag {image} {kept}
            docker tag {image} {there}
            docker push -q {there}
            docker rmi {there} {image}
            """


def _do(machine: Machine, script: str, stdin: bytes = b"") -> None:
    result = machine.run("sh -c %s", script, stdin=stdin, timeout=BUILD_S)
    if not result.ok:
        last = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"the lab's images could not be built in the machine: {last}")
