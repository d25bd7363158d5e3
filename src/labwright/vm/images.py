"""A lab's components as what their Docker images are made of.

The images are built inside the machine, from Dockerfiles that build with an ordinary base
too; the base here is the machine's own minimal Debian, which came with it.
"""

from __future__ import annotations

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
