"""Checks of Docker's images, and of the servers in their containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.errors import CheckFailed, Disturbed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.visit import Visit
    from labwright.machines.engine import Container, Engine
    from labwright.machines.machine import Reply

HANDLED = "Response sent"
"""A server prints this for each request that it has answered."""
EARLIEST, LATEST = 0.8, 5.0
"""The allowed time of a server, as multiples of the document's: never shorter, but longer on a
busy machine."""
VISITS = 3
"""How often a slow server is asked; the best answer counts."""


def container_evidence(seen: Container) -> Evidence:
    """Return the evidence about a container."""
    words = [f"{seen.name}: {seen.status}"]
    if not seen.absent:
        words += [f"image {seen.image}", f"address {' '.join(seen.addresses) or 'none'}"]
        words += [f"network {seen.network_mode}", f"arguments {' '.join(seen.arguments)}"]
    return Evidence(f"the container {seen.name}", f"docker inspect {seen.name}", "\n".join(words))


def image_present(docker_engine: Engine, *, image: str) -> Iterator[Evidence]:
    """The Engine has an image."""
    found = docker_engine.image_id(image)
    yield Evidence(f"the image {image}", f"docker image inspect {image}", found or "No such image")
    if found is None:
        names = ", ".join(docker_engine.image_names()) or "none"
        raise CheckFailed(f"the image {image}", f"Docker has no such image; it has: {names}")


def server_urls(address: str, port: int, work_path: str) -> tuple[str, str]:
    """Return the URLs of a server's heartbeat and of a unit of work."""
    root = f"http://{address}:{port}"
    # In this order: the server takes one connection at a time.
    return f"{root}/heartbeat", f"{root}{work_path}"


def answering_address(visit: Visit, seen: Container, port: int) -> str:
    """Return the first address of a container on which its server answers, or the first one."""
    if len(seen.addresses) > 1:
        beats = {address: server_urls(address, port, "")[0] for address in seen.addresses}
        visit.plan(urls=beats.values())
        for address, url in beats.items():
            if visit.reply(url).status == 200:
                return address
    return seen.address


def server_running(
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
    """A server's container runs and does a unit of work as the document says."""
    seen = docker_engine.container(container)
    yield container_evidence(seen)
    require_running(seen, docker_engine)
    heartbeat, work = server_urls(
        answering_address(visit, seen, server_port), server_port, work_path
    )
    unit_s = 1 / server_rate
    visit.plan(urls=[heartbeat, work])
    beat, done = visit.reply(heartbeat), visit.reply(work)
    since, asked = visit.started_at, 1
    # A single slow answer can be caused by the machine, or by the check.
    while _slow(beat, done, work_answer, unit_s) and asked < VISITS:
        visit.forget(heartbeat, work)
        visit.plan(urls=[heartbeat, work])
        beat, done = visit.reply(heartbeat), visit.reply(work)
        asked += 1
    yield Evidence(f"{container} answers", f"curl {heartbeat}", beat.summary())
    took = "" if done.took_s is None else f" after {done.took_s:.2f} s"
    yield Evidence(f"{container} works", f"curl {work}", done.summary() + took)
    if _slow(beat, done, work_answer, unit_s):
        _alone(docker_engine.console(container, since=since), asked, container)
    see = f"See what it prints: `docker logs --tail 20 {container}`."
    if beat.status != 200 or beat.body != "tick\n":
        raise CheckFailed(
            f"{container} to answer `tick` to {heartbeat}",
            f"it answered {beat.summary()}",
            f"Does the program of the image `{server_image}` run in it? {see}",
        )
    again = f"`docker rm -f {container}`, then `docker run --detach --name {container} "
    _works(container, work, done, work_answer, unit_s, f"{again}{server_image}`")


def require_running(seen: Container, docker_engine: Engine) -> None:
    """Check that a container runs on Docker's own network.

    :raises CheckFailed: it does not run, or uses another network.
    """
    expected = f"a running container named {seen.name}"
    if seen.absent:
        others = ", ".join(sorted(docker_engine.containers())) or "none"
        raise CheckFailed(expected, f"there is no such container; Docker has: {others}")
    if not seen.running:
        again = "unpause" if seen.status == "paused" else "start"
        raise CheckFailed(
            expected,
            f"its state is {seen.status} (exit status {seen.exit_status})",
            f"Start it again with `docker {again} {seen.name}`; "
            "if its address has changed, use the new one wherever you gave the old one.",
        )
    if not seen.address:
        raise CheckFailed(
            f"{seen.name} on Docker's own network",
            f"it has no address there: its network is {seen.network_mode}",
            f"Make it again as the document says, after `docker rm -f {seen.name}`.",
        )


def _slow(beat: Reply, done: Reply, answer: str, unit_s: float) -> bool:
    """Whether a server that is otherwise correct takes too long."""
    if "timeout" in (beat.error, done.error):
        return True
    return done.body == answer and (done.took_s or 0.0) > unit_s * LATEST


def _alone(console: str, asked: int, container: str) -> None:
    """Check that a slow server has handled no requests of others."""
    if console.count(HANDLED) > asked:
        raise Disturbed(
            f"{container} answers other requests at the same time, so its speed is unknown: "
            "stop what sends them (the client, say), wait until the servers are idle, "
            "and check again"
        )


def _works(container: str, work: str, done: Reply, answer: str, unit_s: float, again: str) -> None:
    hint = (
        "Does it run from the document's image, without options of its own? "
        f"Make it again: {again}."
    )
    if done.status != 200 or done.body != answer:
        raise CheckFailed(
            f"{container} to answer `{answer.strip()}` to {work}",
            f"it answered {done.summary()}",
            hint,
        )
    took = done.took_s or 0.0
    if not unit_s * EARLIEST <= took <= unit_s * LATEST:
        raise CheckFailed(
            f"{container} to take {unit_s * 1000:.0f} ms for a request",
            f"it took {took * 1000:.0f} ms",
            hint,
        )
