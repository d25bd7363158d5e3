"""What Gorb claims, held against what the kernel holds."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from labwright.checks.docker import container_evidence
from labwright.checks.docker import image_present as _image_present
from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.kernel import Destination, Kernel
    from labwright.checks.visit import Visit
    from labwright.machines.engine import Container, Engine
    from labwright.machines.machine import Reply

MASQUERADE = "Masq"
ROOTLESS = (
    "This Docker is rootless: its host network is not the machine's, so Gorb cannot reach the "
    "kernel's IPVS from there. Use the system's Docker: `docker context use default`."
)
"""How /proc/net/ip_vs writes the forwarding method that Gorb calls nat."""
ANEW = "Restart Gorb with `-f` and register everything again."


class Gorb:
    """Gorb's REST interface on the machine, asked from the machine itself."""

    def __init__(self, visit: Visit, port: int) -> None:
        self._visit = visit
        self.port = port

    def refresh(self) -> None:
        """Ask again: time has passed."""
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
        """Return what Gorb tells of a service or backend; None if it knows none there."""
        reply, _ = self.get(path)
        body = reply.json()
        known = reply.status == 200 and isinstance(body, dict)
        return body if known and isinstance(body.get("options"), dict) else None

    def ids(self, path: str) -> list[str]:
        """Return the ids in a list: of all services, or of a service's backends."""
        body = self.get(path)[0].json()
        ids = body.get("backends") if isinstance(body, dict) else body
        return [str(id) for id in ids] if isinstance(ids, list) else []

    def hosts(self, service: str) -> dict[str, Any]:
        """Return the hosts of a service's backends by their ids."""
        found = {}
        for id in self.ids(f"/service/{service}"):
            backend = self.described(f"/service/{service}/{id}")
            found[id] = backend["options"].get("host") if backend else None
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
) -> Iterator[Evidence]:
    """Gorb runs in Docker as the document says, and answers."""
    try:
        yield from _runs(gorb, docker_engine, gorb_container, gorb_image, interface)
    except CheckFailed as failure:
        # Asked only now, and perhaps not when a record was made.
        with contextlib.suppress(MachineError):
            if docker_engine.is_rootless():
                failure.hint = ROOTLESS
        raise


def _runs(
    gorb: Gorb, docker_engine: Engine, gorb_container: str, gorb_image: str, interface: str
) -> Iterator[Evidence]:
    seen = docker_engine.container(gorb_container)
    yield container_evidence(seen)
    if seen.absent:
        raise _no_container(gorb, docker_engine, gorb_container, gorb_image)
    # How it was started comes before whether it runs: that may be why it does not.
    _started_as_the_document_says(seen, gorb.port, gorb_image, interface)
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
    """Say what there is in the place of Gorb's container."""
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


def _started_as_the_document_says(
    seen: Container, port: int, gorb_image: str, interface: str
) -> None:
    if seen.image.removesuffix(":latest") != gorb_image:
        raise CheckFailed(f"the image {gorb_image}", f"the container runs {seen.image}")
    again = f"Stop it with `docker rm -f {seen.name}` and run it again with"
    if seen.network_mode != "host":
        raise CheckFailed(
            "Gorb on the host's network",
            f"its network is {seen.network_mode}, where it has an IPVS of its own",
            f"{again} `--net=host`.",
        )
    if not seen.privileged:
        raise CheckFailed(
            "a privileged container",
            "it was started without `--privileged` and cannot speak to the kernel",
            f"{again} `--privileged`.",
        )
    arguments = f"its arguments are `{' '.join(seen.arguments)}`"
    if _flag(seen.arguments, "-i") != interface:
        raise CheckFailed(
            f"Gorb on the interface {interface}", arguments, f"{again} `-i {interface}`."
        )
    listens = _flag(seen.arguments, "-l")
    if listens is not None and listens.rpartition(":")[2] != str(port):
        raise CheckFailed(
            f"Gorb to listen on port {port}", arguments, f"{again}out `-l`: {port} is its own."
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
    """Gorb claims the service that the document asks for, and the kernel holds it and no other."""
    address = kernel.address_of(interface)
    where = f"{address}:{service_port}"
    held, table = kernel.service(address, service_port)
    yield gorb.get(f"/service/{service}")[1]
    yield table
    described = gorb.described(f"/service/{service}")
    if described is None:
        raise _no_service(gorb, service, where, in_kernel=held is not None)
    claimed = described["options"]
    # Gorb shows an empty host for a service on its own interface's address.
    has = {**claimed, "host": claimed.get("host") or address}
    wanted = {"host": address, "port": service_port, "protocol": "tcp", "method": scheduler}
    for key, want in wanted.items():
        if has.get(key) != want:
            raise CheckFailed(
                f"service {service} with {key} {want}",
                f"its {key} is {has.get(key)}",
                f"Delete it with `curl -X DELETE http://localhost:{gorb.port}/service/{service}`, "
                f"create it again with the {key} {want}, and register the servers again.",
            )
    if held is None:
        raise CheckFailed(
            f"a service on {where} in the kernel",
            "Gorb claims one, but the kernel has none: the two disagree",
            ANEW,
        )
    if held.scheduler != scheduler:
        raise CheckFailed(
            f"the scheduler {scheduler} in the kernel",
            f"the kernel has {held.scheduler}, though Gorb claims {scheduler}: the two disagree",
            ANEW,
        )
    if "persistent" in held.options:
        raise CheckFailed(
            "a service that hands each connection to the next server",
            f"the kernel keeps each client with one server ({held.options})",
            f"Something beside Gorb asked for IPVS persistence. {ANEW}",
        )
    others = [s for s in kernel.services()[0] if s.address == address and s != held]
    if others:
        raise CheckFailed(
            f"no other service on {address} in the kernel",
            f"it also has {', '.join(map(str, others))}",
            f"See Gorb's with `curl http://localhost:{gorb.port}/service`, and delete what the "
            "document does not ask for.",
        )


def _no_service(gorb: Gorb, service: str, where: str, *, in_kernel: bool) -> CheckFailed:
    """Say what there is in the place of the service."""
    others = gorb.ids("/service")
    actual = "it knows no service at all"
    hint = (
        "See what Gorb answers when you create it: with `lookup $IP_ADDR: no such host` the "
        "JSON stood between single quotes, in which the shell puts nothing in the place of "
        "`$IP_ADDR`. If it was created before: Gorb has been started anew since, and forgets all."
    )
    if others:
        actual = f"it knows {_services(others)}"
        hint = (
            "The id is the last part of the URL: delete that one with `curl -X DELETE "
            f"http://localhost:{gorb.port}/service/{others[0]}` and create `service/{service}`."
        )
    elif in_kernel:
        actual = f"it knows none, though the kernel still has one on {where}: the two disagree"
        hint = f"Gorb was started anew without `-f`, and no longer knows what it had set up. {ANEW}"
    return CheckFailed(f"Gorb to know service {service}", actual, hint)


def _services(ids: list[str]) -> str:
    return f"service{'s' * (len(ids) > 1)} {', '.join(ids)} only"


def backend_registered(
    gorb: Gorb,
    kernel: Kernel,
    docker_engine: Engine,
    *,
    interface: str,
    service: str,
    service_port: int,
    servers: list[str],
    container: str,
    backend: str,
    weight: int,
) -> Iterator[Evidence]:
    """A server is registered under its id, at the address that it has now."""
    seen = docker_engine.container(container)
    yield container_evidence(seen)
    path = f"/service/{service}/{backend}"
    yield gorb.get(path)[1]
    described = gorb.described(path)
    hosts = gorb.hosts(service)
    if described is None or backend not in hosts:
        raise _no_backend(gorb, service, container, backend, seen.address, hosts)
    claimed = described["options"]
    again = (
        f"Delete it with `curl -X DELETE http://localhost:{gorb.port}{path}` "
        f"and register it again with"
    )
    if claimed.get("host") != seen.address:
        others = {docker_engine.container(s).address: s for s in servers if s != container}
        raise _elsewhere(container, backend, seen.address, hosts, others, again)
    for key, want in {"port": service_port, "method": "nat"}.items():
        if claimed.get(key) != want:
            raise CheckFailed(
                f"backend {backend} with {key} {want}",
                f"its {key} is {claimed.get(key)}",
                f"{again} the {key} {want}.",
            )
    held, evidence = kernel.service(kernel.address_of(interface), service_port)
    yield evidence
    match = [d for d in held.destinations if d.address == seen.address] if held else []
    _in_kernel(match, f"{seen.address}:{service_port}", service_port)
    if match[0].weight != weight:
        raise CheckFailed(
            f"{container} with weight {weight} in the kernel",
            f"the kernel has weight {match[0].weight}",
            f"Set it with `curl -X PATCH -d '{{\"weight\": {weight}}}' "
            f"http://localhost:{gorb.port}{path}`. Gorb itself sets the weight of a server that "
            f"does not answer its pulse to 0: see `curl http://localhost:{gorb.port}{path}`.",
        )


def _no_backend(
    gorb: Gorb,
    service: str,
    container: str,
    backend: str,
    address: str,
    hosts: dict[str, Any],
) -> CheckFailed:
    """Say under which other id a server is registered, if it is."""
    there = [id for id, host in hosts.items() if host == address]
    if there:
        return CheckFailed(
            f"{container} as backend {backend} of service {service}",
            f"it is registered as backend {there[0]}",
            "The id is the last part of the URL: delete that one with `curl -X DELETE "
            f"http://localhost:{gorb.port}/service/{service}/{there[0]}` and register it as "
            f"`service/{service}/{backend}`.",
            cause=f"{address} is backend {there[0]}",
        )
    has = f"backend {', '.join(hosts)} only" if hosts else "no backends"
    return CheckFailed(
        f"Gorb to know {container} as backend {backend} of service {service}",
        f"service {service} has {has}",
        "It was not registered, or has been deleted. See what Gorb answers when you register it: "
        "with `error while calling into IPVS` its address is registered already, for the other "
        f"server perhaps; the address of {container} is {address}.",
    )


def _elsewhere(
    container: str,
    backend: str,
    address: str,
    hosts: dict[str, Any],
    others: dict[str, str],
    again: str,
) -> CheckFailed:
    """Say whose address a backend has, if it is not that of its server.

    :param others: the other servers by their addresses.
    """
    host = hosts[backend]
    actual, cause = f"its host is {host}", ""
    if host in others:
        actual += f", where {others[host]} is"
        swapped = address in hosts.values()
        cause = f"{min(host, address)} and {max(host, address)} have changed places"
        cause = cause if swapped else f"{host} is backend {backend}"
    return CheckFailed(
        f"backend {backend} with host {address}, where {container} is",
        actual,
        "Containers that are started again in another order get each other's addresses; "
        f"see `docker inspect {container}`. {again} the host {address}.",
        cause=cause,
    )


def _in_kernel(match: list[Destination], where: str, port: int) -> None:
    if not match:
        raise CheckFailed(
            f"{where} behind the service in the kernel",
            "Gorb claims it, but the kernel does not have it: the two disagree",
            ANEW,
        )
    if match[0].port != port or match[0].forward != MASQUERADE:
        raise CheckFailed(
            f"{where} by masquerading (nat) in the kernel",
            f"the kernel has port {match[0].port} by {match[0].forward}, "
            "though Gorb claims otherwise: the two disagree",
            ANEW,
        )
