"""What the machine's Docker Engine has: images, containers, and their console output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import docker.errors
import requests

from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.models.containers import Container

    from labwright.machines.machine import Machine

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A container as Docker describes it."""

    name: str
    status: str
    """``running``, ``exited``, ``paused`` ...; ``absent`` if there is none."""
    image: str = ""
    address: str = ""
    """On Docker's default network; empty when it does not run or has none."""
    network_mode: str = ""
    privileged: bool = False
    arguments: tuple[str, ...] = ()
    exit_status: int = 0

    @property
    def running(self) -> bool:
        """Whether it runs and is not paused."""
        return self.status == "running"

    def as_evidence(self) -> Evidence:
        """Return what was seen, as evidence."""
        words = [f"{self.name}: {self.status}"]
        if self.status != "absent":
            words += [f"image {self.image}", f"address {self.address or 'none'}"]
            words += [f"network {self.network_mode}", f"arguments {' '.join(self.arguments)}"]
        ran = f"docker inspect {self.name}"
        return Evidence(f"the container {self.name}", ran, "\n".join(words))


class DockerEngine:
    """The machine's Docker Engine, with its failures told apart from what it says."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def image_id(self, name: str) -> str | None:
        """Return an image's id, or None if the Engine has no such image."""
        try:
            return str(self._ask(lambda: self._machine.docker.images.get(name)).id)
        except docker.errors.ImageNotFound:
            return None

    def image_names(self) -> list[str]:
        """Return the names of all images, sorted."""
        images = self._ask(lambda: self._machine.docker.api.images())
        return sorted(tag for image in images for tag in image.get("RepoTags") or [])

    def container(self, name: str) -> Seen:
        """Return a container as it is now."""
        found = self._find(name)
        if found is None:
            return Seen(name, "absent")
        settings: dict[str, Any] = found.attrs
        networks = settings["NetworkSettings"].get("Networks") or {}
        host = settings["HostConfig"]
        return Seen(
            name=name,
            status=settings["State"]["Status"],
            image=settings["Config"]["Image"],
            address=next((n["IPAddress"] for n in networks.values() if n.get("IPAddress")), ""),
            network_mode=host.get("NetworkMode", ""),
            privileged=bool(host.get("Privileged")),
            arguments=tuple(settings.get("Args") or ()),
            exit_status=settings["State"].get("ExitCode", 0),
        )

    def console(self, name: str, since: float | None = None, tail: int | None = None) -> str:
        """Return what a container has printed; empty if there is no such container.

        :param since: seconds since the epoch, by the machine's own clock.
        """
        found = self._find(name)
        if found is None:
            return ""
        text = self._ask(lambda: found.logs(since=since, tail="all" if tail is None else tail))
        return bytes(text).decode(errors="backslashreplace")

    def _find(self, name: str) -> Container | None:
        try:
            return self._ask(lambda: self._machine.docker.containers.get(name))
        except docker.errors.NotFound:
            return None

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask the Engine; what it cannot answer is never the student's zero."""
        try:
            return question()
        except docker.errors.NotFound:
            raise
        except (docker.errors.DockerException, requests.RequestException, OSError) as problem:
            raise MachineError(self._diagnosis(problem)) from problem

    def _diagnosis(self, problem: Exception) -> str:
        """Say why the Engine gives no answer, as far as the machine can tell."""
        where = self._machine.target
        seen = self._machine.run(
            "command -v docker >/dev/null || echo missing; "
            "test -S /var/run/docker.sock || echo stopped; "
            "test -w /var/run/docker.sock || echo denied; id -un"
        ).stdout.split()
        if "missing" in seen and "stopped" in seen:
            return f"Docker is not installed on {where}"
        if "stopped" in seen:
            return f"the Docker Engine does not run on {where}: `sudo systemctl start docker`"
        if "denied" in seen:
            user = seen[-1]
            return (
                f"the user {user} on {where} may not use Docker: "
                f"`sudo usermod -aG docker {user}`, then log in again"
            )
        return f"the Docker Engine on {where} gave no answer: {str(problem)[:200]}"


def image_present(docker_engine: DockerEngine, *, gorb_image: str) -> Iterator[Evidence]:
    """The Engine has Gorb's image."""
    found = docker_engine.image_id(gorb_image)
    yield Evidence(
        f"the image {gorb_image}", f"docker image inspect {gorb_image}", found or "No such image"
    )
    if found is None:
        names = ", ".join(docker_engine.image_names()) or "none"
        raise CheckFailed(f"the image {gorb_image}", f"Docker has no such image; it has: {names}")


def server_running(
    docker_engine: DockerEngine,
    machine: Machine,
    *,
    container: str,
    service_port: int,
) -> Iterator[Evidence]:
    """A server's container runs and its heartbeat answers."""
    seen = docker_engine.container(container)
    yield seen.as_evidence()
    if not seen.running:
        raise CheckFailed(
            f"a running container named {container}",
            "there is no such container"
            if seen.status == "absent"
            else f"its state is {seen.status} (exit status {seen.exit_status})",
        )
    if not seen.address:
        raise CheckFailed(
            f"{container} on Docker's own network",
            f"it has no address there: its network is {seen.network_mode}",
            f"Make it again as the document says, after `docker rm -f {container}`.",
        )
    url = f"http://{seen.address}:{service_port}/heartbeat"
    reply = machine.http([{"url": url}])[0]
    yield Evidence(f"{container} answers", f"curl {url}", reply.summary())
    if reply.status != 200 or reply.body != "tick\n":
        raise CheckFailed(
            f"{container} to answer `tick` to {url}",
            f"it answered {reply.summary()}",
            f"See what it prints: `docker logs --tail 20 {container}`.",
        )
