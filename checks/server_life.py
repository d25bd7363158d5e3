"""Checks of the servers that a program starts and stops.

They judge the load of :mod:`labwright.checks.watched_load`. Each fault costs points once: a
request that was lost because of a fault that another check finds is not counted again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labwright.checks.docker import server_urls
from labwright.checks.scaling import done, grace_s, least
from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.behaviour import Behaviour, Happening, Sent
    from labwright.checks.kernel import Kernel
    from labwright.checks.visit import Visit
    from labwright.checks.watched_load import WatchedLoad
    from labwright.machines.engine import Engine

SPARE = 1
"""Servers that may be starting or being removed at the end."""


def first_server(
    kernel: Kernel,
    docker_engine: Engine,
    visit: Visit,
    *,
    interface: str,
    service_port: int,
    server_image: str,
) -> Iterator[Evidence]:
    """Before any load, the service has a server that is registered and answers."""
    service, evidence = kernel.service_on(interface, service_port)
    yield evidence
    there = service.destinations if service else ()
    images = docker_engine.containers()
    running = sorted(name for name, image in images.items() if _is_of(image, server_image))
    yield Evidence(
        f"the containers of the image {server_image}", "docker ps --all", ", ".join(running)
    )
    expected = "a server that is registered and can be given requests"
    if not there:
        hint = "See what the orchestrator prints: `docker logs orchestrator`."
        if running:
            hint = (
                "A container alone gets no request: register it with Gorb, "
                "`PUT /service/0/ID`, when it answers."
            )
        raise CheckFailed(
            expected,
            f"none is registered; containers of the image `{server_image}`: "
            f"{', '.join(running) or 'none'}",
            hint,
        )
    if not any(one.weight for one in there):
        raise CheckFailed(
            expected,
            f"{', '.join(map(str, there))} has the weight 0",
            "A backend with the weight 0 is given no request: register it with another one.",
        )
    urls = {str(one): server_urls(one.address, one.port, "")[0] for one in there if one.weight}
    visit.plan(urls=urls.values())
    for name, url in urls.items():
        reply = visit.reply(url)
        yield Evidence(f"{name} answers", f"curl {url}", reply.summary())
        # A server that is busy with another request answers late; that is not a fault.
        if reply.status != 200 and reply.error != "timeout":
            raise CheckFailed(
                f"a server that answers `tick` to {url}",
                f"it answered {reply.summary()}",
                "Register a server's own address and the port on which its program listens, "
                "4444, and not before it answers.",
            )


def nothing_lost(watched_load: WatchedLoad, *, period: float) -> Iterator[Evidence | Notice]:
    """Each request is answered, except those of a killed server."""
    seen = watched_load.seen
    lost = [one for one in seen.requests if one.lost]
    killed = seen.happening("kill")
    excused = _killed_with(seen, killed, period, lost) if killed and not killed.problem else []
    counted = [one for one in lost if one not in excused]
    early = _removed_with(seen, counted)
    counted = [one for one in counted if one not in early]
    yield Evidence(
        "the answers to the requests",
        f"{len(seen.requests)} requests; not counted: {len(excused)} that a killed server had, "
        f"{len(early)} that were lost when a server was taken out too early",
        f"{len(counted)} were lost",
    )
    if early:
        yield Notice(
            f"{len(early)} requests were lost when a server was taken out before its last answer; "
            "that is another step"
        )
    if counted:
        first = counted[0]
        raise CheckFailed(
            "every request to be answered",
            f"{len(counted)} of {len(seen.requests)} were not; the first was sent after "
            f"{first.intended_s:.1f} s: {first.error or first.status}",
            "A server must listen before it is registered: a container that runs is not yet a "
            "program that answers. Wait for its `/heartbeat`.",
        )


def drains(watched_load: WatchedLoad, *, period: float) -> Iterator[Evidence]:
    """A server is removed only after its last answer: first weight 0, then removal."""
    seen = watched_load.seen
    restarted = seen.happening("restart")
    # The behaviour after a restart is judged by another check.
    until = restarted.end_s + grace_s(seen, period) if restarted else 0.0
    taken_out = [
        one for one in seen.taken_out if not (restarted and restarted.at_s <= one.at_s <= until)
    ]
    wrong = [one for one in taken_out if one.early]
    yield Evidence(
        "how servers were taken out",
        "the last that the kernel's table held of each, but for one that was killed",
        f"{len(taken_out)} were taken out, {len(wrong)} of them too early",
    )
    if not taken_out:
        raise CheckFailed(
            "servers to be taken out of the list when the load has fallen",
            "none was",
            "When a server has no connection any more, delete it: `DELETE /service/0/ID`.",
        )
    if wrong:
        first = wrong[0]
        raise CheckFailed(
            "a server to have the weight 0 for a second, and no open connection, when it is "
            "removed",
            f"{first.name} was removed after {first.at_s:.1f} s, "
            + (
                f"with the weight {first.last.weight}"
                if first.last.weight
                else f"{first.idle_s:.1f} s after it got it, with {first.last.active} open"
            ),
            'Send `PATCH /service/0/ID` with `{"weight": 0}`, wait a second (a connection that '
            "is just being opened does not count yet) and until `cat /proc/net/ip_vs` shows no "
            "active connection for it; then delete it, and stop the container last.",
        )


def replaces_the_dead(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """A killed server is removed from the list, and is replaced if the load needs it."""
    seen = watched_load.seen
    killed = done(seen, "kill")
    at = _killed_at(seen, killed)
    phase = next(p for p in reversed(seen.phases) if p.start_s <= at)
    needed = min(most_servers, least(phase.rate, server_rate))
    allowed = grace_s(seen, period)
    gone = _gone(seen, killed)
    back = None
    if gone is not None:
        back = seen.first(gone, lambda moment: moment.serving >= needed)
    yield Evidence(
        f"the list after a server was killed at {at:.0f} s",
        f"the kernel's table; {killed.output[-100:]}; allowed: {allowed:.0f} s",
        f"the dead one left it {_after(gone, at)}; at least {needed} took part {_after(back, at)}",
    )
    if gone is None or gone - at > allowed:
        raise CheckFailed(
            f"the killed server to be taken out of the list within {allowed:.0f} s",
            "it stayed" if gone is None else f"it took {gone - at:.0f} s",
            "Compare the list with the containers that run, at each look.",
        )
    if back is not None and back - at <= allowed:
        return
    if at + allowed > phase.end_s:
        raise MachineError(
            f"the load ended before another server was due, {allowed:.0f} s after one was killed: "
            "this machine is too slow, or too busy. Check again when it is idle"
        )
    raise CheckFailed(
        f"at least {needed} servers again within {allowed:.0f} s",
        "there were fewer" if back is None else f"it took {back - at:.0f} s",
        "Start another server for one that died while the load needs it.",
    )


def cleans_up(
    watched_load: WatchedLoad, *, server_image: str, most_servers: int
) -> Iterator[Evidence]:
    """The containers of removed servers are removed, too, also stopped ones."""
    seen = watched_load.seen
    started = seen.started(0.0, float("inf"))
    ours = [one for one in seen.left if one.id in started and _is_of(one.image, server_image)]
    running = [one.name for one in ours if one.running]
    stopped = [one.name for one in ours if not one.running]
    listed = len(seen.moments[-1].backends) if seen.moments else 0
    yield Evidence(
        f"what was there at the end of the containers that were started of `{server_image}`",
        "docker ps --all; the kernel's table",
        f"{len(running)} run, {len(stopped)} are stopped; {listed} servers are in the list",
    )
    if len(running) > listed + SPARE:
        raise CheckFailed(
            "a server that was taken out of the list to be stopped",
            f"{len(running)} run, and {listed} are in the list: {', '.join(running)[:200]}",
            "Stop and remove a server's container when it has been taken out.",
        )
    # A program that reuses stopped containers keeps at most as many as servers are allowed.
    if len(stopped) > SPARE and len(ours) > most_servers + SPARE:
        raise CheckFailed(
            "a container that is not needed any more to be removed",
            f"{len(stopped)} are left that are stopped: {', '.join(stopped)[:200]}",
            "Remove a server's container when it has been taken out: `docker rm`.",
        )


def _killed_with(seen: Behaviour, killed: Happening, period: float, lost: list[Sent]) -> list[Sent]:
    """Return the lost requests that a killed server had, or got before its death was noticed."""
    at = _killed_at(seen, killed)
    gone = _gone(seen, killed)
    end = max(killed.end_s + grace_s(seen, period), float("inf") if gone is None else gone)
    window = [one for one in lost if at - seen.waits_s(at) - 1 <= one.intended_s <= end]
    # Those that the kernel listed for it, and its share of later ones.
    _, address = killed.dead
    before = seen.within(at, at)[:1]
    held = [h for m in before for name, h in m.backends.items() if name.startswith(f"{address}:")]
    came = sum(at - 1 <= one.intended_s <= end for one in seen.requests)
    most = sum(one.active for one in held) + math.ceil(came / max(1, seen.serving(at) - 1)) + SPARE
    return window[:most]


def _removed_with(seen: Behaviour, lost: list[Sent]) -> list[Sent]:
    """Return the lost requests of servers that were removed too early."""
    windows = []
    for one in seen.removals:
        if one.early:
            back = seen.first(one.at_s, lambda moment: moment.serving > 0)
            end = float("inf") if back is None else back
            windows.append((one.at_s - seen.waits_s(one.at_s) - 1, end + 1))
    return [one for one in lost if any(a <= one.intended_s <= b for a, b in windows)]


def _killed_at(seen: Behaviour, killed: Happening) -> float:
    """Return the time at which the server was killed, from Docker's events."""
    dead, _ = killed.dead
    died = (event.at_s for event in seen.containers if (event.what, event.id) == ("die", dead))
    return next(died, killed.end_s)


def _gone(seen: Behaviour, killed: Happening) -> float | None:
    """Return the time from which the killed server got no requests; None if there is none.

    Either it has left the list, or it runs again, or another server has its address now. The last
    is assumed when no request was lost among enough requests to use each server twice.
    """
    dead, address = killed.dead
    at = _killed_at(seen, killed)
    left = seen.first(at, lambda m: not any(name.startswith(f"{address}:") for name in m.backends))
    # The same container, started again, can have the same address and stay in the list.
    again = (
        event.at_s
        for event in seen.containers
        if (event.what, event.id) == ("start", dead) and event.at_s > at
    )
    started = (e.at_s for e in seen.containers if e.what == "start" and e.at_s > at)
    since = max([next(started, math.inf), *(one.intended_s for one in seen.requests if one.lost)])
    met = sum(one.intended_s > since for one in seen.requests)
    healed = since if met >= 2 * max(1, seen.serving(since)) else None
    found = [moment for moment in (left, healed, *again) if moment is not None]
    return min(found, default=None)


def _is_of(image: str, wanted: str) -> bool:
    return image == wanted or image.startswith(f"{wanted}:")


def _after(at_s: float | None, since_s: float) -> str:
    return "never" if at_s is None else f"after {at_s - since_s:.0f} s"
