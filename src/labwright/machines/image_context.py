"""The build context of a lab's Docker image, for ``docker build``."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Component:
    """A Docker image of a lab."""

    image: str
    folder: Path
    """The folder with the Dockerfile and the other files of the context."""
    package: str = ""
    """The dotted name of the labwright package that runs in it, if any. The package imports
    nothing else from labwright."""
    dependencies: tuple[str, ...] = ()
    """Distributions that the package imports; all are pure Python."""
    published: bool = False
    """Whether the student pulls it: it is in the registry, not in Docker."""


def sources(component: Component) -> Iterator[tuple[str, bytes]]:
    """Yield a component's own files with their paths in the context, sorted."""
    if component.package:
        yield from _package(component.package)
    for file in sorted(path for path in component.folder.rglob("*") if path.is_file()):
        yield str(file.relative_to(component.folder)), file.read_bytes()


def _package(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield a package's modules with their paths, and ``__init__.py`` of its parent packages."""
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


def version(distribution: str) -> str:
    """Return the installed version of a distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise SetupError(
            f"an image of the lab needs the Python package {distribution}: install it with pip"
        ) from None


def context(component: Component, dependencies: str = "dependencies") -> bytes:
    """Return the build context as a tar file.

    :param dependencies: the folder in it for the distributions that the package imports.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in [*sources(component), *_dependencies(component, dependencies)]:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _dependencies(component: Component, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the modules of the dependencies, as they are installed here."""
    for name in component.dependencies:
        version(name)
        files = [file for file in metadata.files(name) or [] if file.suffix == ".py"]
        if not files:
            raise SetupError(
                f"the Python package {name}, which an image of the lab needs, does not say which "
                f"files it has: install it with pip"
            )
        for file in files:
            yield f"{folder}/{file.as_posix()}", Path(str(file.locate())).read_bytes()
