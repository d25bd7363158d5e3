"""What the gorb lab's checks need beside what labwright brings: Gorb, and how to deploy it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from labwright.checks.docker import server_urls
from labwright.checks.gorb import Gorb
from labwright.checks.kernel import TABLE
from labwright.errors import MachineError, SetupError
from labwright.fixtures import containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.visit import Visit
    from labwright.grading.run import Run
    from labwright.machines.engine import Engine
    from labwright.machines.machine import Machine


@pytest.fixture(scope="module")
def visit(visit: Visit, docker_engine: Engine, lab_values: dict[str, Any]) -> Visit:
    """What one visit to the machine sees; what the lab's checks will ask is planned for it."""
    visit.plan(files=[TABLE], interfaces=[lab_values["interface"]])
    service = f"/service/{lab_values['service']}"
    backends = (f"{service}/{n}" for n in range(len(lab_values["servers"])))
    gorb = Gorb(visit, lab_values["gorb_port"])
    visit.plan(urls=map(gorb.url, ["/service", service, *backends]))
    # A plan is a courtesy: whoever asks meets the same trouble, and has a step to tell it.
    with contextlib.suppress(MachineError):
        for server in lab_values["servers"]:
            for address in docker_engine.container(server).addresses:
                port, path = lab_values["server_port"], lab_values["work_path"]
                visit.plan(urls=server_urls(address, port, path))
    return visit


@pytest.fixture(scope="module")
def gorb(visit: Visit, lab_values: dict[str, Any]) -> Gorb:
    """Gorb's REST interface on the machine."""
    return Gorb(visit, lab_values["gorb_port"])


@pytest.fixture(scope="module")
def deployment(lab_run: Run, request: pytest.FixtureRequest) -> Iterator[None]:
    """Bring the lab up when ``--deploy`` asks for it; else attach to what is there."""
    if not lab_run.deploy:
        yield
        return
    machine: Machine = request.getfixturevalue("machine")
    values: dict[str, Any] = request.getfixturevalue("lab_values")
    with contextlib.ExitStack() as stack:
        containers.free(machine, [*values["servers"], values["gorb_container"]])
        _load_ip_vs(machine)
        containers.point_testcontainers_at(machine, stack)
        addresses = [_server(stack, machine, name, values) for name in values["servers"]]
        _gorb(stack, machine, values)
        _register(machine, values, addresses)
        yield


def _load_ip_vs(machine: Machine) -> None:
    result = machine.run("test -e /proc/net/ip_vs || sudo -n modprobe ip_vs")
    if not result.ok:
        raise SetupError(
            f"--deploy: ip_vs cannot be loaded on {machine.target}: {result.stderr.strip()}"
        )


def _server(
    stack: contextlib.ExitStack, machine: Machine, name: str, values: dict[str, Any]
) -> str:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(values["server_image"]).with_name(name)
    containers.start(stack, container)
    container.get_wrapped_container().reload()
    networks = container.get_wrapped_container().attrs["NetworkSettings"]["Networks"]
    address: str = networks["bridge"]["IPAddress"]
    containers.await_answer(machine, f"http://{address}:{values['server_port']}/heartbeat")
    return address


def _gorb(stack: contextlib.ExitStack, machine: Machine, values: dict[str, Any]) -> None:
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer(values["gorb_image"])
        .with_name(values["gorb_container"])
        .with_kwargs(privileged=True, network_mode="host")
        .with_command(["-f", "-i", values["interface"]])
    )
    containers.start(stack, container)
    containers.await_answer(machine, f"http://127.0.0.1:{values['gorb_port']}/service")


def _register(machine: Machine, values: dict[str, Any], addresses: list[str]) -> None:
    root = f"http://127.0.0.1:{values['gorb_port']}/service/{values['service']}"
    service = {"port": values["service_port"], "protocol": "tcp", "method": values["scheduler"]}
    backends = [
        {
            "host": address,
            "port": values["server_port"],
            "method": "nat",
            "weight": values["weight"],
        }
        for address in addresses
    ]
    urls = [root, *(f"{root}/{number}" for number in range(len(backends)))]
    for url, options in zip(urls, [service, *backends], strict=True):
        body = json.dumps(options)
        reply = machine.http([{"url": url, "method": "PUT", "body": body}])[0]
        if reply.status != 200:
            raise SetupError(f"--deploy: PUT {url} answered {reply.summary()}")
