"""A lab's components as what their Docker images are made of.

The images are built inside the machine, from Dockerfiles that build with an ordinary base
too; the base here is the machine's own minimal Debian, which came with it.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.host import programs
from labwright.vm import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.machines.machine import Machine

BASE = "labwright/base:latest"
"""A minimal Debian with Python: of the machine's own system."""
REGISTRY = "127.0.0.1:5000"
"""In the machine; its Docker asks it before Docker Hub."""
_PUBLISH_BASE = f"""
set -eu
cd /var/lib/labwright
repository=http://{REGISTRY}/v2/{BASE.partition(":")[0]}
type=application/vnd.docker
until curl -sf "$repository/../../" >/dev/null; do sleep 0.2; done
describe() {{
    printf '{{"mediaType": "%s", "size": %s, "digest": "sha256:%s"}}' \\
        "$2" "$(stat -c %s "$1")" "$(sha256sum "$1" | cut -d ' ' -f 1)"
}}
upload() {{
    place=$(curl -sSf -X POST -D - "$repository/blobs/uploads/" |
        tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
    curl -sSf -T "$1" "$place&digest=sha256:$(sha256sum "$1" | cut -d ' ' -f 1)"
}}
printf '{{"architecture": "%s", "os": "linux", "config": {{}}, "rootfs": {{"type": "layers",
    "diff_ids": ["sha256:%s"]}}, "history": [{{"created_by": "labwright"}}]}}' \\
    "$(dpkg --print-architecture)" "$(cat base.sha256)" >/tmp/config
upload base.tar.gz
upload /tmp/config
printf '{{"schemaVersion": 2, "mediaType": "%s", "config": %s, "layers": [%s]}}' \\
    "$type.distribution.manifest.v2+json" \\
    "$(describe /tmp/config "$type.container.image.v1+json")" \\
    "$(describe base.tar.gz "$type.image.rootfs.diff.tar.gzip")" |
    curl -sSf -T - -H "Content-Type: $type.distribution.manifest.v2+json" \\
        "$repository/manifests/{BASE.partition(":")[2]}"
docker pull -q {REGISTRY}/{BASE}
docker tag {REGISTRY}/{BASE} {BASE}
docker rmi {REGISTRY}/{BASE}
sudo rm base.tar.gz /tmp/config
"""
"""Puts the base into the registry, by its interface, and from there into Docker.

Docker then knows the registry's name of the base's layer: it neither packs it when an image
that stands on it is pushed, nor fetches it when one is pulled.
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
PIP_S = 300.0


@dataclass(frozen=True)
class Component:
    """A Docker image of a lab."""

    image: str
    folder: Path
    """The context: its Dockerfile, and whatever stands beside it."""
    package: str = ""
    """The Python package that runs in it, by its dotted name, if it is one of ours; it imports
    nothing else of what is above it."""
    dependencies: tuple[str, ...] = ()
    """Distributions that the package imports: all of it pure Python."""
    published: bool = False
    """Whether the student fetches it: it is in the registry, and not in Docker."""


def key(components: Sequence[Component]) -> str:
    """Return a name for all that goes into images.

    :raises SetupError: something of it is not there.
    """
    names = dict.fromkeys(name for component in components for name in component.dependencies)
    versions = [f"{name} {_version(name)}" for name in names]
    files = [
        f"{path}\n{data.decode(errors='backslashreplace')}"
        for component in components
        for path, data in _sources(component)
    ]
    fetched = [_publish(component.image) for component in components if component.published]
    return store.key(*versions, *fetched, *files)


def base_key() -> str:
    """Return a name for how the base image is made."""
    return store.key(_PUBLISH_BASE)


def import_base(machine: Machine) -> None:
    """Make the base image in a machine that runs Docker, from what came with the machine.

    :raises SetupError: Docker did not.
    """
    _do(machine, _PUBLISH_BASE)


def build_images(components: Sequence[Component], machine: Machine) -> None:
    """Build images in a machine that has the base image, as its user.

    :raises SetupError: Docker, in the machine, did not build one.
    """
    for component in components:
        # Compiled in the machine: its Python is the image's, ours may be another.
        script = f"""
            set -eu
            mkdir context
            cd context
            tar -xf -
            if [ -d site-packages ]; then python3 -m compileall -q .; fi
            if [ -d dependencies ]; then
                python3 -c '{_ZIP}'
                rm -r dependencies
            fi
            tar -cf - . | docker build --build-arg BASE={BASE} -t {component.image} -
            cd ..
            rm -r context
            """
        if component.published:
            script += _publish(component.image)
        _do(machine, script, _context(component))


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


def _sources(component: Component) -> Iterator[tuple[str, bytes]]:
    """Yield a component's own files with their places in the context, sorted."""
    if component.package:
        yield from _package(component.package)
    for file in sorted(path for path in component.folder.rglob("*") if path.is_file()):
        yield str(file.relative_to(component.folder)), file.read_bytes()


def _package(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield a package's modules with their places, and what makes it one of those above it."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin or not spec.submodule_search_locations:
        raise SetupError(f"an image of the lab needs the Python package {name}: install it")
    folder = Path(spec.origin).parent
    root = folder.parents[name.count(".")]
    above = [parent / "__init__.py" for parent in folder.parents if root in parent.parents]
    for file in [*reversed(above), *sorted(folder.rglob("*.py"))]:
        yield f"site-packages/{file.relative_to(root)}", file.read_bytes()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise SetupError(
            f"an image of the lab needs the Python package {distribution}: install it with pip"
        ) from None


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
    wanted = [f"{name}=={_version(name)}" for name in names]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", folder, *wanted]
    done = programs.run(command, PIP_S, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise SetupError(f"pip could not fetch what the lab's images need: {last}")
