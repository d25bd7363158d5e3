"""Checks of containers: image, address, and past work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labwright.checks.docker import (
    HANDLED,
    answering_address,
    container_evidence,
    require_running,
    server_running,
    server_urls,
)
from labwright.errors import CheckFailed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.visit import Visit
    from labwright.machines.engine import Container, Engine
    from labwright.machines.machine import Machine

NOTE_LIMIT = 4096
"""Maximum bytes that are read of a notes file."""


def alive(
    docker_engine: Engine,
    visit: Visit,
    *,
    container: str,
    server_image: str,
    server_port: int,
) -> Iterator[Evidence]:
    """A container runs from the document's image and answers; no work is requested."""
    seen = docker_engine.container(container)
    yield container_evidence(seen)
    if not seen.absent and seen.image.removesuffix(":latest") != server_image:
        raise CheckFailed(
            f"{container} to run the image {server_image}",
            f"it runs {seen.image}",
            f"Make it again: `docker rm -f {container}`, then "
            f"`docker run --detach --name {container} {server_image}`.",
        )
    _require_life(seen, docker_engine)
    heartbeat, _ = server_urls(answering_address(visit, seen, server_port), server_port, "")
    beat = visit.reply(heartbeat)
    yield Evidence(f"{container} answers", f"curl {heartbeat}", beat.summary())
    if beat.status != 200 or beat.body != "tick\n":
        said = _last_line(docker_engine.console(container, tail=5))
        raise CheckFailed(
            f"{container} to answer `tick` to {heartbeat}",
            f"it answered {beat.summary()}",
            f"Does its program listen on port {server_port} of every address, and not on "
            f"127.0.0.1, which is the container's own? It last printed: {said}.",
        )


def has_worked(
    docker_engine: Engine,
    visit: Visit,
    *,
    container: str,
    server_image: str,
    server_port: int,
    work_path: str,
    work_answer: str,
    server_rate: float,
) -> Iterator[Evidence]:
    """A server has done a unit of work before the check, and does one correctly now."""
    console = docker_engine.console(container)
    count = console.count(HANDLED)
    yield Evidence(
        f"{container} has worked",
        f"docker logs {container} | grep -c '{HANDLED}'",
        f"{count}",
    )
    if not count:
        raise CheckFailed(
            f"{container} to have printed `{HANDLED}`",
            "its console does not say so",
            f"Ask it for a unit of work: `curl http://ADDRESS:{server_port}{work_path}`, with the "
            f"address of {container}. A recreated container has empty logs.",
        )
    yield from server_running(
        docker_engine,
        visit,
        container=container,
        server_image=server_image,
        server_port=server_port,
        work_path=work_path,
        work_answer=work_answer,
        server_rate=server_rate,
    )


def stopped_and_started(docker_engine: Engine, *, container: str) -> Iterator[Evidence]:
    """A running container was stopped and started again, and is still the same container."""
    seen = docker_engine.container(container)
    ended = "it was stopped before" if seen.ended_before else "it has never been stopped"
    yield Evidence(
        f"{container} was stopped",
        f"docker inspect --format '{{{{.State.FinishedAt}}}}' {container}",
        ended,
    )
    require_running(seen, docker_engine)
    if not seen.ended_before:
        raise CheckFailed(
            f"{container} to have been stopped and started again",
            ended,
            f"`docker stop {container}`, then `docker start {container}`. A container that was "
            "removed and created again is another one.",
        )


def addresses_noted(
    docker_engine: Engine, machine: Machine, *, servers: list[str], addresses_file: str
) -> Iterator[Evidence]:
    """A file in the home directory has each server's name and current address."""
    place = f"~/{addresses_file}"
    result = machine.run('cat "$HOME"/%s', addresses_file, limit=NOTE_LIMIT)
    text = result.stdout if result.ok else ""
    yield Evidence("the addresses that were noted", f"cat {place}", text or result.stderr)
    if not result.ok:
        raise CheckFailed(
            f"the addresses of {' and '.join(servers)} in {place}",
            "there is no such file",
            "Write it as the document says.",
        )
    noted = dict(re.findall(r"^\s*(\S+)\s+(\S+)\s*$", text, re.MULTILINE))
    now = {server: docker_engine.container(server).addresses for server in servers}
    yield Evidence(
        "the addresses that they have",
        "; ".join(f"docker inspect {server}" for server in servers),
        "\n".join(f"{server} {' '.join(addresses)}" for server, addresses in now.items()),
    )
    for server, addresses in now.items():
        if server not in noted:
            raise CheckFailed(
                f"a line `{server} ADDRESS` in {place}",
                "there is none",
                f"The address of {server} is what `docker inspect {server}` says.",
            )
        if noted[server] not in addresses:
            raise CheckFailed(
                f"the address {' or '.join(addresses)} for {server} in {place}",
                f"it says {noted[server]}",
                "A container can get another address when it is started. Note the addresses again.",
            )


def _require_life(seen: Container, docker_engine: Engine) -> None:
    """Check that a container runs; if it ended, quote its log."""
    if not seen.absent and not seen.running:
        said = _last_line(docker_engine.console(seen.name, tail=5))
        if seen.exit_status not in (0, 137, 143) and said:
            raise CheckFailed(
                f"a running container named {seen.name}",
                f"its program ended with status {seen.exit_status} and last printed: {said}",
                f"Correct the program, build the image again, and create {seen.name} again after "
                f"`docker rm {seen.name}`.",
            )
    require_running(seen, docker_engine)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing"
