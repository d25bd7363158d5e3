"""Checks of the service: Gorb's claim, compared with the kernel."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from labwright.checks.gorb import REGISTER_AGAIN
from labwright.errors import CheckFailed
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.gorb import Gorb
    from labwright.checks.kernel import Kernel, Service


def created(
    gorb: Gorb,
    kernel: Kernel,
    *,
    interface: str,
    service: str,
    service_port: int,
    scheduler: str,
) -> Iterator[Evidence | Notice]:
    """Gorb has the service that the document asks for, and so has the kernel."""
    yield gorb.get(f"/service/{service}")[1]
    claimed = gorb.described(f"/service/{service}")
    held, table = held_service(gorb, kernel, interface, service, service_port)
    yield table
    where = f"{kernel.address_of(interface)}:{service_port}"
    if claimed is None:
        raise _no_service(gorb, service, where, in_kernel=held is not None)
    addresses = kernel.addresses_of(interface)
    _as_asked_for(gorb, service, claimed["options"], addresses, service_port, scheduler)
    if held is None:
        raise CheckFailed(
            f"a service on {where} in the kernel",
            "Gorb claims one, but the kernel has none: the two disagree",
            REGISTER_AGAIN,
        )
    _round_robin_in_kernel(held, scheduler)
    others = [each for each in kernel.services()[0] if each != held]
    if others:
        yield Notice(
            f"the kernel also has {', '.join(map(str, others))}, which the document does not ask "
            f"for: see Gorb's services with `curl http://localhost:{gorb.port}/service`"
        )


def held_service(
    gorb: Gorb, kernel: Kernel, interface: str, service: str, port: int
) -> tuple[Service | None, Evidence]:
    """Return the kernel's service on the address in Gorb's claim, if the interface has it."""
    claimed = gorb.described(f"/service/{service}")
    host = claimed["options"].get("host") if claimed else ""
    if host in kernel.addresses_of(interface):
        return kernel.service(host, port)
    return kernel.service_on(interface, port)


def is_address(host: Any) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return True


def _as_asked_for(
    gorb: Gorb,
    service: str,
    claimed: dict[str, Any],
    addresses: list[str],
    port: int,
    scheduler: str,
) -> None:
    """Compare Gorb's claim with what the document asks for."""
    # Gorb shows an empty host for its own interface's address. If the host is a name, the
    # kernel's table shows its address.
    host = claimed.get("host") or addresses[0]
    on_interface = host in addresses or not is_address(host)
    has = {
        **claimed,
        "host": addresses[0] if on_interface else host,
        "protocol": str(claimed.get("protocol")).lower(),
    }
    wanted = {"host": addresses[0], "port": port, "protocol": "tcp", "method": scheduler}
    for key, want in wanted.items():
        if has.get(key) != want:
            raise CheckFailed(
                f"service {service} with {key} {want}",
                f"its {key} is {has.get(key)}",
                f"Delete it with `curl -X DELETE http://localhost:{gorb.port}/service/{service}`, "
                f"create it again with the {key} {want}, and register the servers again.",
            )


def _round_robin_in_kernel(held: Service, scheduler: str) -> None:
    if held.scheduler != scheduler:
        raise CheckFailed(
            f"the scheduler {scheduler} in the kernel",
            f"the kernel has {held.scheduler}, though Gorb claims {scheduler}: the two disagree",
            REGISTER_AGAIN,
        )
    if "persistent" in held.options:
        raise CheckFailed(
            "a service that hands each connection to the next server",
            f"the kernel keeps each client with one server ({held.options})",
            f"Something beside Gorb asked for IPVS persistence. {REGISTER_AGAIN}",
        )


def _no_service(gorb: Gorb, service: str, where: str, *, in_kernel: bool) -> CheckFailed:
    """Return the failure that says what exists instead of the service."""
    others = gorb.ids("/service")
    actual = "it knows no service at all"
    hint = (
        "See what Gorb answers when you create it: with `lookup $IP_ADDR: no such host` the "
        "JSON stood between single quotes, in which the shell puts nothing in the place of "
        "`$IP_ADDR`. If you created it before, Gorb was restarted since and lost it."
    )
    if others:
        actual = f"it knows service{'s' * (len(others) > 1)} {', '.join(others)} only"
        hint = (
            "The id is the last part of the URL: delete that one with `curl -X DELETE "
            f"http://localhost:{gorb.port}/service/{others[0]}` and create `service/{service}`."
        )
    elif in_kernel:
        actual = f"it knows none, though the kernel still has one on {where}: the two disagree"
        hint = f"Gorb was restarted without `-f`, and has lost what it had set up. {REGISTER_AGAIN}"
    return CheckFailed(f"Gorb to know service {service}", actual, hint)
