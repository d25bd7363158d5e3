"""Gorb: how it was started, and its REST interface. Its claims are compared with the kernel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from labwright.checks.docker import container_evidence
from labwright.checks.docker import image_present as _image_present
from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.visit import Visit
    from labwright.machines.engine import Container, Engine
    from labwright.machines.machine import Reply

ROOTLESS = (
    "This Docker is rootless: its host network is not the machine's, so Gorb cannot reach the "
    "kernel's IPVS from there. Use the system's Docker: `docker context use default`."
)
REGISTER_AGAIN = "Restart Gorb with `-f` and register everything again."
INTERFACE = "eth0"
"""Gorb's default interface."""


class Gorb:
    """Gorb's REST interface, used from the machine itself."""

    def __init__(self, visit: Visit, port: int) -> None:
        self._visit = visit
        self.port = port

    def refresh(self) -> None:
        """Forget all answers, so that they are asked again."""
        self._visit.refresh()

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str) -> tuple[Reply, Evidence]:
        """Ask Gorb."""
        reply = self._visit.reply(self.url(path))
        ran = f"curl {self.url(path)}"
        return reply, Evidence(f"Gorb's answer to GET {path}", ran, reply.summary())

    def described(self, path: str) -> dict[str, Any] | None:
        """Return Gorb's description of a service or backend, or None if it does not exist."""
        reply, _ = self.get(path)
        body = reply.json()
        known = reply.status == 200 and isinstance(body, dict)
        return body if known and isinstance(body.get("options"), dict) else None

    def ids(self, path: str) -> list[str]:
        """Return the ids of all services, or of a service's backends."""
        body = self.get(path)[0].json()
        ids = body.get("backends") if isinstance(body, dict) else body
        return [str(id) for id in ids] if isinstance(ids, list) else []

    def look_again(self, *paths: str) -> None:
        """Forget earlier answers, and ask for these in one visit."""
        self._visit.look_again(*map(self.url, paths))

    def now(self) -> float:
        """Return the time in seconds, to measure how long something takes."""
        return self._visit.now()

    def pause(self, seconds: float) -> None:
        """Wait some seconds for Gorb to change something."""
        self._visit.pause(seconds)

    def hosts(self, service: str) -> dict[str, Any]:
        """Return the hosts of a service's backends by their ids."""
        found = {}
        for id in self.ids(f"/service/{service}"):
            backend = self.described(f"/service/{service}/{id}")
            found[id] = str(backend["options"].get("host")) if backend else None
        return found


def image_present(docker_engine: Engine, *, gorb_image: str) -> Iterator[Evidence]:
    """The Engine has Gorb's image."""
    yield from _image_present(docker_engine, image=gorb_image)


def running(
    gorb: Gorb,
    docker_engine: Engine,
    *,
    gorb_container: str,
    gorb_image: str,
    interface: str,
) -> Iterator[Evidence | Notice]:
    """Gorb runs in Docker as the document says, and answers."""
    try:
        yield from _runs(gorb, docker_engine, gorb_container, gorb_image, interface)
    except CheckFailed as failure:
        # Asked only here: an older record may not have the answer.
        with contextlib.suppress(MachineError):
            if docker_engine.is_rootless():
                failure.hint = ROOTLESS
        raise


def _runs(
    gorb: Gorb, docker_engine: Engine, gorb_container: str, gorb_image: str, interface: str
) -> Iterator[Evidence | Notice]:
    seen = docker_engine.container(gorb_container)
    yield container_evidence(seen)
    if seen.absent:
        raise _no_container(gorb, docker_engine, gorb_container, gorb_image)
    # Its options are checked first: they may be the reason why it does not run.
    _from_image(seen, docker_engine, gorb_image)
    yield from _started_as_the_document_says(seen, gorb.port, interface)
    see = f"See what it prints in its terminal, or with `docker logs {gorb_container}`."
    if not seen.running:
        raise CheckFailed(
            f"a running container named {gorb_container}",
            f"its state is {seen.status} (exit status {seen.exit_status})",
            f"{see} Remove it with `docker rm -f {gorb_container}` and run it again.",
        )
    reply, evidence = gorb.get("/service")
    yield evidence
    if reply.status != 200 or not isinstance(reply.json(), list):
        raise CheckFailed(
            f"Gorb to answer on port {gorb.port} with the list of its services",
            f"it answered {reply.summary()}",
            see,
        )


def _no_container(gorb: Gorb, docker_engine: Engine, name: str, image: str) -> CheckFailed:
    """Return the failure that says what exists instead of Gorb's container."""
    others = [
        other
        for other, other_image in docker_engine.containers().items()
        if other_image.removesuffix(":latest") == image
    ]
    actual, hint = "there is no such container", ""
    if others:
        actual = f"there is no such container; one of the image {image} is named {others[0]}"
        hint = f"Stop it with `docker rm -f {others[0]}`, and run Gorb again with `--name {name}`."
    elif gorb.get("/service")[0].status == 200:
        actual = f"there is no such container, though something answers on port {gorb.port}"
        hint = f"See what it is: `sudo ss -ltnp 'sport = :{gorb.port}'`; run Gorb in Docker."
    return CheckFailed(f"a running container named {name}", actual, hint)


def _from_image(seen: Container, docker_engine: Engine, gorb_image: str) -> None:
    """Check that a container runs an image, under any of its names."""
    if seen.image.removesuffix(":latest") == gorb_image:
        return
    if not seen.image_id or seen.image_id != docker_engine.image_id(gorb_image):
        raise CheckFailed(f"the image {gorb_image}", f"the container runs {seen.image}")


def _started_as_the_document_says(seen: Container, port: int, interface: str) -> Iterator[Notice]:
    again = f"Stop it with `docker rm -f {seen.name}` and run it again with"
    if seen.network_mode != "host":
        raise CheckFailed(
            "Gorb on the host's network",
            f"its network is {seen.network_mode}, where it has an IPVS of its own",
            f"{again} `--net=host`.",
        )
    if not seen.privileged and not {"NET_ADMIN", "ALL"} & set(seen.capabilities):
        raise CheckFailed(
            "a privileged container",
            "it was started without `--privileged` and cannot speak to the kernel",
            f"{again} `--privileged`.",
        )
    if not seen.privileged:
        yield Notice(
            f"{seen.name} was started without `--privileged`; that it may administer the network "
            f"({' '.join(seen.capabilities)}) is enough"
        )
    arguments = f"its arguments are `{' '.join(seen.arguments)}`"
    if (_flag(seen.arguments, "-i") or INTERFACE) != interface:
        raise CheckFailed(
            f"Gorb on the interface {interface}", arguments, f"{again} `-i {interface}`."
        )
    listens = _flag(seen.arguments, "-l")
    if listens is not None and listens.rpartition(":")[2] != str(port):
        raise CheckFailed(
            f"Gorb to listen on port {port}", arguments, f"{again}out `-l`: {port} is its own."
        )


def _flag(arguments: tuple[str, ...], name: str) -> str | None:
    """Return a flag's value as Go parses it: ``-i X``, ``-i=X``, ``--i X``."""
    for at, argument in enumerate(arguments):
        bare = "-" + argument.lstrip("-") if argument.startswith("-") else argument
        if bare == name:
            return arguments[at + 1] if at + 1 < len(arguments) else None
        if bare.startswith(name + "="):
            return bare[len(name) + 1 :]
    return None
