"""What Gorb claims, held against what the kernel holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labwright.errors import CheckFailed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.docker import DockerEngine
    from labwright.checks.kernel import Kernel
    from labwright.machines.machine import Machine, Reply

MASQUERADE = "Masq"
"""How /proc/net/ip_vs writes the forwarding method that Gorb calls nat."""


class Gorb:
    """Gorb's REST interface on the machine."""

    def __init__(self, machine: Machine, port: int) -> None:
        self._machine = machine
        self.port = port

    def get(self, path: str) -> tuple[Reply, Evidence]:
        """Ask Gorb, from the machine itself."""
        url = f"http://127.0.0.1:{self.port}{path}"
        reply = self._machine.http([{"url": url}])[0]
        return reply, Evidence(f"Gorb's answer to GET {path}", f"curl {url}", reply.summary())

    def options(self, path: str, what: str) -> tuple[dict[str, Any], Evidence]:
        """Return the ``options`` of a service or backend.

        :raises CheckFailed: Gorb has none there, or answers something else.
        """
        reply, evidence = self.get(path)
        body = reply.json()
        options = body.get("options") if isinstance(body, dict) else None
        if reply.status != 200 or not isinstance(options, dict):
            raise CheckFailed(
                f"Gorb to know {what}", f"GET {path} answered {reply.summary()}", "", (evidence,)
            )
        return options, evidence


def running(
    gorb: Gorb,
    docker_engine: DockerEngine,
    *,
    gorb_container: str,
    gorb_image: str,
    interface: str,
) -> Iterator[Evidence]:
    """Gorb runs in Docker as the document says, and answers."""
    seen = docker_engine.container(gorb_container)
    yield seen.as_evidence()
    if not seen.running:
        raise CheckFailed(
            f"a running container named {gorb_container}",
            "there is no such container"
            if seen.status == "absent"
            else f"its state is {seen.status}",
        )
    if seen.image.removesuffix(":latest") != gorb_image:
        raise CheckFailed(f"the image {gorb_image}", f"the container runs {seen.image}")
    if seen.network_mode != "host":
        raise CheckFailed(
            "Gorb on the host's network",
            f"its network is {seen.network_mode}, where it has an IPVS of its own",
            "Run it again with `--net=host`.",
        )
    if not seen.privileged:
        raise CheckFailed(
            "a privileged container",
            "it was started without `--privileged` and cannot speak to the kernel",
            "Run it again with `--privileged`.",
        )
    if _flag(seen.arguments, "-i") != interface:
        raise CheckFailed(
            f"Gorb on the interface {interface}",
            f"its arguments are `{' '.join(seen.arguments)}`",
            f"Run it again with `-i {interface}`.",
        )
    reply, evidence = gorb.get("/service")
    yield evidence
    if reply.status != 200 or not isinstance(reply.json(), list):
        raise CheckFailed(
            f"Gorb to answer on port {gorb.port} with the list of its services",
            f"it answered {reply.summary()}",
            f"See what it prints in its terminal, or with `docker logs {gorb_container}`.",
        )


def _flag(arguments: tuple[str, ...], name: str) -> str | None:
    """Return a flag's value as Go reads it: ``-i X``, ``-i=X``, ``--i X``."""
    for at, argument in enumerate(arguments):
        bare = "-" + argument.lstrip("-") if argument.startswith("-") else argument
        if bare == name:
            return arguments[at + 1] if at + 1 < len(arguments) else None
        if bare.startswith(name + "="):
            return bare[len(name) + 1 :]
    return None


def service_created(
    gorb: Gorb,
    kernel: Kernel,
    *,
    interface: str,
    service: str,
    service_port: int,
    scheduler: str,
) -> Iterator[Evidence]:
    """Gorb claims the service that the document asks for, and the kernel holds it."""
    address = kernel.address_of(interface)
    where = f"{address}:{service_port}"
    claimed, evidence = gorb.options(f"/service/{service}", f"service {service}")
    yield evidence
    # Gorb shows an empty host for a service on its own interface's address.
    host = claimed.get("host") or address
    wanted = {"host": address, "port": service_port, "protocol": "tcp", "method": scheduler}
    for key, want in wanted.items():
        has = host if key == "host" else claimed.get(key)
        if has != want:
            raise CheckFailed(f"service {service} with {key} {want}", f"its {key} is {has}")
    held, evidence = kernel.service(address, service_port)
    yield evidence
    if held is None:
        raise CheckFailed(
            f"a service on {where} in the kernel",
            "Gorb claims one, but the kernel has none: the two disagree",
            "Restart Gorb with `-f` and register everything again.",
        )
    if held.scheduler != scheduler:
        raise CheckFailed(
            f"the scheduler {scheduler} in the kernel", f"the kernel has {held.scheduler}"
        )
    if "persistent" in held.options:
        raise CheckFailed(
            "a service that hands each connection to the next server",
            f"the kernel keeps each client with one server ({held.options})",
            "Create the service without IPVS persistence.",
        )


def backend_registered(
    gorb: Gorb,
    kernel: Kernel,
    docker_engine: DockerEngine,
    *,
    interface: str,
    service: str,
    service_port: int,
    container: str,
    backend: str,
    weight: int,
) -> Iterator[Evidence]:
    """A server is registered under its id, at the address that it has now."""
    seen = docker_engine.container(container)
    yield seen.as_evidence()
    path = f"/service/{service}/{backend}"
    claimed, evidence = gorb.options(path, f"{container} as backend {backend}")
    yield evidence
    for key, want in {"host": seen.address, "port": service_port, "method": "nat"}.items():
        if claimed.get(key) != want:
            raise CheckFailed(
                f"backend {backend} with {key} {want}, where {container} is",
                f"its {key} is {claimed.get(key)}",
                f"Delete it with `curl -X DELETE http://localhost:{gorb.port}{path}` "
                "and register it again.",
            )
    held, evidence = kernel.service(kernel.address_of(interface), service_port)
    yield evidence
    match = [d for d in held.destinations if d.address == seen.address] if held else []
    if not match:
        raise CheckFailed(
            f"{seen.address}:{service_port} behind the service in the kernel",
            "Gorb claims it, but the kernel does not have it: the two disagree",
            "Restart Gorb with `-f` and register everything again.",
        )
    if match[0].port != service_port or match[0].forward != MASQUERADE:
        raise CheckFailed(
            f"{seen.address}:{service_port} by masquerading (nat) in the kernel",
            f"the kernel has port {match[0].port} by {match[0].forward}",
        )
    if match[0].weight != weight:
        raise CheckFailed(
            f"{container} with weight {weight} in the kernel",
            f"the kernel has weight {match[0].weight}",
            "Gorb sets the weight of a server that does not answer its pulse to 0: "
            f"see `curl http://localhost:{gorb.port}{path}`. "
            f"Set it back with `curl -X PATCH -d '{{\"weight\": {weight}}}' "
            f"http://localhost:{gorb.port}{path}`.",
        )
