"""The backends that Gorb claims, compared with the destinations that the kernel has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labwright.checks.docker import container_evidence
from labwright.checks.gorb import REGISTER_AGAIN
from labwright.checks.gorb_service import held_service, is_address
from labwright.components.gorb.options import interval_seconds
from labwright.components.gorb.problems import Invalid
from labwright.errors import CheckFailed, Disturbed
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labwright.checks.gorb import Gorb
    from labwright.checks.kernel import Destination, Kernel
    from labwright.machines.engine import Container, Engine

MASQUERADE = "Masq"
"""The name in /proc/net/ip_vs for the forwarding method that Gorb calls nat."""
ANY_WEIGHT = ("rr",)
"""The schedulers that treat all weights except 0 in the same way."""
DOWN = 1
"""Gorb's status of a backend whose last pulse failed."""
PULSE_S = 60
"""Seconds between two pulses of a backend, by default."""
SLACK_S = 10.0
"""Seconds by which a pulse can be late: it can take 5 s, and the machine can be busy."""
LONGEST_WAIT_S = 100.0
"""Maximum seconds that a check waits for a pulse."""
LOOK_S = 2.0


def registered(
    gorb: Gorb,
    kernel: Kernel,
    docker_engine: Engine,
    *,
    interface: str,
    service: str,
    service_port: int,
    server_port: int,
    scheduler: str,
    servers: list[str],
    container: str,
    backend: str,
    weight: int,
) -> Iterator[Evidence | Notice]:
    """A server is registered with its id and a current address, and gets requests."""
    seen = docker_engine.container(container)
    yield container_evidence(seen)
    path = f"/service/{service}/{backend}"
    yield gorb.get(path)[1]
    claimed = gorb.described(path)
    hosts = gorb.hosts(service)
    if claimed is None or backend not in hosts:
        raise _no_backend(gorb, service, container, backend, seen, hosts)
    again = (
        f"Delete it with `curl -X DELETE http://localhost:{gorb.port}{path}` "
        f"and register it again with"
    )
    others = {
        address: server
        for server in servers
        if server != container
        for address in docker_engine.container(server).addresses
    }
    _where_it_is(container, backend, seen, hosts, others, again)
    _as_asked_for(backend, claimed["options"], server_port, again)

    def look() -> tuple[Destination, Evidence]:
        held, evidence = held_service(gorb, kernel, interface, service, service_port)
        behind = held.destinations if held else ()
        return _in_kernel(behind, seen, server_port), evidence

    destination, table = look()
    yield table
    if destination.weight == 0:
        destination, waited = _awaited(gorb, path, look, container, f"{again} weight {weight}.")
        yield waited
    if destination.weight != weight and scheduler not in ANY_WEIGHT:
        raise CheckFailed(
            f"{container} with weight {weight} in the kernel",
            f"the kernel has weight {destination.weight}",
            f"{again} weight {weight}.",
        )
    if destination.weight != weight:
        yield _other_weight(gorb, path, container, destination.weight, weight)


def _where_it_is(
    container: str,
    backend: str,
    seen: Container,
    hosts: dict[str, Any],
    others: dict[str, str],
    again: str,
) -> None:
    """Check that a backend's host is its server's address.

    If the host is a name, the kernel's table shows its address.

    :param others: the other servers by their addresses.
    """
    host = hosts[backend]
    if host in seen.addresses:
        return
    elsewhere = [id for id, other in hosts.items() if id != backend and other in seen.addresses]
    if is_address(host) or elsewhere:
        raise _elsewhere(container, backend, seen.address, hosts, others, again)


def _as_asked_for(backend: str, claimed: dict[str, Any], port: int, again: str) -> None:
    has = {**claimed, "method": str(claimed.get("method")).lower()}
    for key, want in {"port": port, "method": "nat"}.items():
        if has.get(key) != want:
            raise CheckFailed(
                f"backend {backend} with {key} {want}",
                f"its {key} is {has.get(key)}",
                f"{again} the {key} {want}.",
            )


def _in_kernel(behind: tuple[Destination, ...], seen: Container, port: int) -> Destination:
    """Return the kernel's destination for a server.

    :raises CheckFailed: there is none, or it differs from Gorb's claim.
    """
    here = [each for each in behind if each.address in seen.addresses]
    where = f"{seen.address}:{port}"
    if not here:
        raise CheckFailed(
            f"{where} behind the service in the kernel",
            "Gorb claims it, but the kernel does not have it: the two disagree",
            REGISTER_AGAIN,
        )
    # The correct one first: there may be others with the same address.
    found = min(here, key=lambda each: (each.port != port, each.forward != MASQUERADE))
    if found.port != port or found.forward != MASQUERADE:
        raise CheckFailed(
            f"{where} by masquerading (nat) in the kernel",
            f"the kernel has port {found.port} by {found.forward}, "
            "though Gorb claims otherwise: the two disagree",
            REGISTER_AGAIN,
        )
    return found


def _awaited(
    gorb: Gorb,
    path: str,
    look: Callable[[], tuple[Destination, Evidence]],
    container: str,
    again: str,
) -> tuple[Destination, Evidence]:
    """Wait until Gorb's pulse restores a server's weight.

    :raises CheckFailed: no pulse removed the weight, or a pulse that the document does not want.
    :raises Disturbed: the weight may still come back.
    """
    began, bound_s = gorb.now(), 0.0
    destination, _ = look()
    while destination.weight == 0:
        described = gorb.described(path) or {}
        if not _pulse_took_it(described):
            raise _no_turns(container, again)
        interval_s = _interval_s(described)
        bound_s = min(interval_s + SLACK_S, LONGEST_WAIT_S)
        if gorb.now() - began >= bound_s:
            raise _still_down(container, described, interval_s, bound_s, again)
        gorb.pause(LOOK_S)
        gorb.look_again(path, path.rpartition("/")[0])
        destination, _ = look()
    waited = gorb.now() - began
    return destination, Evidence(
        f"Gorb's pulse gave {container} its weight back",
        f"curl {gorb.url(path)}; cat /proc/net/ip_vs",
        f"weight {destination.weight} after {waited:.0f} s; a pulse was due within {bound_s:.0f} s",
    )


def _pulse_took_it(described: dict[str, Any]) -> bool:
    """Whether Gorb itself set the weight to 0, and will restore it."""
    health = _metrics(described).get("health")
    return _is_down(described) or (isinstance(health, int | float) and 0 < health < 1)


def _is_down(described: dict[str, Any]) -> bool:
    return bool(_metrics(described).get("status") == DOWN)


def _metrics(described: dict[str, Any]) -> dict[str, Any]:
    metrics = described.get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _no_turns(container: str, again: str) -> CheckFailed:
    return CheckFailed(
        f"{container} to get requests: a weight above 0 in the kernel",
        "the kernel has weight 0",
        f"It gets no requests then. {again}",
    )


def _pulse(described: dict[str, Any]) -> dict[str, Any]:
    options = described.get("options")
    pulse = options.get("pulse") if isinstance(options, dict) else None
    return pulse if isinstance(pulse, dict) else {}


def _interval_s(described: dict[str, Any]) -> float:
    """Return the seconds between two pulses of a backend."""
    try:
        return float(interval_seconds(str(_pulse(described).get("interval") or f"{PULSE_S}s")))
    except Invalid:
        return float(PULSE_S)


def _still_down(
    container: str, described: dict[str, Any], interval_s: float, waited_s: float, again: str
) -> CheckFailed | Disturbed:
    if waited_s > interval_s:
        if not _is_down(described):
            return _no_turns(container, again)
        kind = str(_pulse(described).get("type") or "tcp").lower()
        if kind != "tcp":
            return CheckFailed(
                f"Gorb's pulse to find {container} up",
                f"its {kind} pulse finds it down, and the kernel has weight 0",
                f"The document asks for no pulse of your own. {again}",
            )
    return Disturbed(
        f"{container} is in transition: Gorb found it down, gives it weight 0 until its next good "
        f"pulse, which it asks for every {interval_s:.0f} s, and {waited_s:.0f} s were not enough; "
        f"check again later. Or: {again}"
    )


def _other_weight(gorb: Gorb, path: str, container: str, has: int, weight: int) -> Notice:
    """Return a notice about another weight, which makes no difference."""
    why = f"the document asks for {weight}"
    if _pulse_took_it(gorb.described(path) or {}):
        why = f"Gorb gives the {weight} back little by little, by the health of the last pulses"
    return Notice(
        f"{container} has weight {has} in the kernel: {why}. Under round-robin each weight but 0 "
        "gets its turn"
    )


def _no_backend(
    gorb: Gorb,
    service: str,
    container: str,
    backend: str,
    seen: Container,
    hosts: dict[str, Any],
) -> CheckFailed:
    """Return the failure that names the wrong id of a server, if it has one."""
    there = [id for id, host in hosts.items() if host in seen.addresses]
    if there:
        return CheckFailed(
            f"{container} as backend {backend} of service {service}",
            f"it is registered as backend {there[0]}",
            "The id is the last part of the URL: delete that one with `curl -X DELETE "
            f"http://localhost:{gorb.port}/service/{service}/{there[0]}` and register it as "
            f"`service/{service}/{backend}`.",
            cause=f"{hosts[there[0]]} is backend {there[0]}",
        )
    has = f"backend {', '.join(hosts)} only" if hosts else "no backends"
    return CheckFailed(
        f"Gorb to know {container} as backend {backend} of service {service}",
        f"service {service} has {has}",
        "It was not registered, or has been deleted. See what Gorb answers when you register it: "
        "with `error while calling into IPVS` its address is registered already, for the other "
        f"server perhaps; the address of {container} is {seen.address}.",
    )


def _elsewhere(
    container: str,
    backend: str,
    address: str,
    hosts: dict[str, Any],
    others: dict[str, str],
    again: str,
) -> CheckFailed:
    """Return the failure that says whose address a backend has instead of its server's."""
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
