"""Claims about a program that scales: it starts and stops servers as the load needs them.

Each judges the same watched load by stated arithmetic. What a machine can do is measured in
the same run: how long its Docker takes to start a container.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from labwright.checks.docker import container_evidence
from labwright.errors import CheckFailed
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.behaviour import Behaviour, Phase, WatchedLoad
    from labwright.machines.engine import Engine
    from labwright.machines.machine import Machine

LISTENS_S = 3.0
"""Seconds from a container's start until its program listens and is registered."""
LOOKS = 3
"""Looks at the load until a program has decided: one to see a change, two to be sure."""


def program_running(machine: Machine, docker_engine: Engine, *, program: str) -> Iterator[Evidence]:
    """A program of this name runs: as a container, or as a service of systemd."""
    seen = docker_engine.container(program)
    yield container_evidence(seen)
    if seen.status == "running":
        return
    state = machine.run("systemctl is-active %s", program)
    said = (state.stdout or state.stderr).strip()
    yield Evidence("the service of that name", f"systemctl is-active {program}", said)
    if not state.ok:
        what = "there is none" if seen.absent else f"the container is {seen.status}"
        raise CheckFailed(f"a container or service `{program}` that runs", what)


def scales_out(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """Soon enough after each rise of the load, enough servers take part, and it is worked off."""
    seen = watched_load.seen
    yield seen.evidence(server_rate)
    phase = _rises(seen)[0]
    yield from _enough(seen, phase, server_rate, period, most_servers)
    yield from _worked_off(seen, phase, server_rate)


def starts_again(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """After the program was restarted, it scales out again from what is there."""
    seen = watched_load.seen
    phase = _rises(seen)[-1]
    yield from _enough(seen, phase, server_rate, period, most_servers)


def nothing_lost(watched_load: WatchedLoad, *, period: float) -> Iterator[Evidence]:
    """Every request is answered, but for those that a killed server may have had."""
    seen = watched_load.seen
    killed = [event.at_s for event in seen.done if "kill" in event.what]
    grace = LOOKS * period + _start_s(seen)
    excused = [(at - 1.0, at + grace) for at in killed]
    lost = [
        one
        for one in seen.requests
        if one.lost and not any(start <= one.intended_s <= end for start, end in excused)
    ]
    yield Evidence(
        "what became of the requests",
        f"{len(seen.requests)} requests; not counted: {grace:.0f} s after a server was killed",
        f"{len(lost)} were lost",
    )
    if lost:
        first = lost[0]
        raise CheckFailed(
            "every request to be answered",
            f"{len(lost)} of {len(seen.requests)} were not; the first was sent after "
            f"{first.intended_s:.1f} s: {first.error or first.status}",
            "A server must listen before it is registered. Before it is removed it gets the "
            "weight 0, and its last connection must have ended.",
        )


def stays_in_bounds(
    watched_load: WatchedLoad, *, least_servers: int, most_servers: int, period: float
) -> Iterator[Evidence]:
    """There are never more servers than the bound, and never fewer once it has begun."""
    seen = watched_load.seen
    most = max((moment.serving for moment in seen.moments), default=0)
    begun = seen.first(0.0, lambda moment: moment.serving >= least_servers)
    killed = [event.at_s for event in seen.done if "kill" in event.what]
    grace = LOOKS * period + _start_s(seen)
    few = [
        moment
        for moment in seen.within(begun or 0.0, seen.end_s)
        if moment.serving < least_servers
        and not any(at <= moment.at_s <= at + grace for at in killed)
    ]
    yield Evidence(
        "how many servers took part",
        f"the kernel's table, {len(seen.moments)} changes",
        f"at most {most}; fewer than {least_servers}: {len(few)} times",
    )
    if begun is None:
        raise CheckFailed(
            f"at least {least_servers} server behind the service",
            "none was ever there",
            "See what the orchestrator prints: `docker logs orchestrator`.",
        )
    if most > most_servers:
        raise CheckFailed(
            f"at most {most_servers} servers",
            f"{most} took part at the same time",
            "The number of servers needs an upper bound, whatever the load is.",
        )
    if few:
        raise CheckFailed(
            f"at least {least_servers} server at any time",
            f"after {few[0].at_s:.0f} s there were {few[0].serving}",
            "The number of servers needs a lower bound, also when there is no load.",
        )


def steady(watched_load: WatchedLoad, *, server_rate: float) -> Iterator[Evidence]:
    """At a load that stays the same, servers are not started and stopped by turns."""
    seen = watched_load.seen
    phase = _rises(seen)[0]
    reached = seen.first(phase.start_s, lambda m: m.serving >= _least(phase.rate, server_rate))
    start = phase.start_s if reached is None else reached
    counts = [moment.serving for moment in seen.within(start, phase.end_s)]
    steps = [b - a for a, b in pairwise(counts) if a != b]
    turns = sum((a > 0) != (b > 0) for a, b in pairwise(steps))
    yield Evidence(
        f"how the number of servers changed at {phase.rate:g} requests a second",
        f"from {start:.0f} s to {phase.end_s:.0f} s",
        f"{' -> '.join(map(str, counts)) or 'no server'}: {turns} changes of direction",
    )
    if turns > 1:
        raise CheckFailed(
            "a steady number of servers at a steady load",
            f"it went up and down: {' -> '.join(map(str, counts))}",
            "Take a server out only when fewer have been enough for several looks in a row.",
        )


def scales_in(watched_load: WatchedLoad, *, server_rate: float) -> Iterator[Evidence]:
    """When the load has fallen, fewer servers take part."""
    seen = watched_load.seen
    phase = _falls(seen)[0]
    before = seen.serving(phase.start_s)
    after = seen.serving(phase.end_s)
    allowed = max(1, _least(phase.rate, server_rate)) + 1
    yield Evidence(
        f"how many servers took part when the load had fallen to {phase.rate:g} a second",
        f"at {phase.start_s:.0f} s and at {phase.end_s:.0f} s",
        f"{before}, then {after}",
    )
    if after > allowed:
        raise CheckFailed(
            f"at most {allowed} servers {phase.end_s - phase.start_s:.0f} s after the load fell "
            f"to {phase.rate:g} requests a second",
            f"there were {after}, and {before} before",
            "Servers that are not needed any more must be taken out again.",
        )


def drains(watched_load: WatchedLoad) -> Iterator[Evidence]:
    """A server is taken out only after its last answer: weight 0 first, then removed."""
    seen = watched_load.seen
    killed = [event.at_s for event in seen.done if "kill" in event.what]
    until = min(killed, default=float("inf"))
    taken_out, wrong = [], []
    for before, after in pairwise(seen.moments):
        for name, held in before.backends.items():
            if name not in after.backends and after.at_s < until:
                taken_out.append(name)
                if held.weight > 0 or held.active > 0:
                    wrong.append((after.at_s, name, held))
    yield Evidence(
        "how servers were taken out, before any was killed",
        "the last that the kernel's table held of each",
        f"{len(taken_out)} were taken out, {len(wrong)} of them too early",
    )
    if not taken_out:
        raise CheckFailed(
            "servers to be taken out when the load has fallen",
            "none was",
            "First let it scale in.",
        )
    if wrong:
        at_s, name, held = wrong[0]
        raise CheckFailed(
            "a server to have weight 0 and no open connection when it is removed",
            f"{name} was removed after {at_s:.1f} s with weight {held.weight} and "
            f"{held.active} open connections",
            'Send `PATCH /service/0/ID` with `{"weight": 0}`, wait until `cat /proc/net/ip_vs` '
            "shows no active connection for it, then delete it.",
        )


def replaces_the_dead(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """A server that was killed leaves the list, and is replaced while the load needs it."""
    seen = watched_load.seen
    killed = next(event for event in seen.done if "kill" in event.what)
    phase = next(p for p in seen.phases if p.start_s <= killed.at_s < p.end_s)
    needed = min(most_servers, _least(phase.rate, server_rate))
    before = set(seen.within(killed.at_s, killed.at_s)[-1].backends)
    allowed = LOOKS * period + 2 * _start_s(seen)
    # The one that was killed is known by its death, not by what the program says.
    gone = seen.first(killed.at_s, lambda m: bool(before - set(m.backends)))
    back = None
    if gone is not None:
        back = seen.first(gone, lambda m: m.serving >= needed)
    yield Evidence(
        f"what became of the list after a server was killed at {killed.at_s:.0f} s",
        f"the kernel's table; allowed: {allowed:.0f} s",
        f"the dead one left it {_after(gone, killed.at_s)}; "
        f"at least {needed} took part {_after(back, killed.at_s)}",
    )
    if gone is None or gone - killed.at_s > allowed:
        raise CheckFailed(
            f"the killed server to be taken out of the list within {allowed:.0f} s",
            "it stayed" if gone is None else f"it took {gone - killed.at_s:.0f} s",
            "Compare the list with the containers that run, at each look.",
        )
    if back is None or back - killed.at_s > allowed:
        raise CheckFailed(
            f"at least {needed} servers again within {allowed:.0f} s",
            "there were fewer" if back is None else f"it took {back - killed.at_s:.0f} s",
            "Start another server for one that died while the load needs it.",
        )


def _enough(
    seen: Behaviour, phase: Phase, server_rate: float, period: float, most: int
) -> Iterator[Evidence]:
    """Judge whether enough servers take part soon enough after a rise."""
    needed = min(most, _least(phase.rate, server_rate))
    missing = max(0, needed - seen.serving(phase.start_s))
    allowed = LOOKS * period + missing * _start_s(seen)
    at = seen.first(phase.start_s, lambda moment: moment.serving >= needed)
    took = None if at is None or at > phase.end_s else at - phase.start_s
    most_seen = max((m.serving for m in seen.within(phase.start_s, phase.end_s)), default=0)
    yield Evidence(
        f"when {needed} servers took part after the rise to {phase.rate:g} requests a second",
        f"allowed: {LOOKS} looks of {period:g} s, and {_start_s(seen):.1f} s for each of "
        f"{missing} servers: {allowed:.1f} s",
        "never" if took is None else f"after {took:.1f} s",
    )
    if took is None or took > allowed:
        raise CheckFailed(
            f"at least {needed} servers {allowed:.0f} s after the load rose to {phase.rate:g} "
            "requests a second",
            f"there were at most {most_seen}" if took is None else f"it took {took:.0f} s",
            f"One server answers {server_rate:g} requests a second. See what the orchestrator "
            "prints, and what it reads: `curl http://localhost:5555/requestRate` while a client "
            "runs.",
        )


def _worked_off(seen: Behaviour, phase: Phase, server_rate: float) -> Iterator[Evidence]:
    """Judge whether what piled up has been worked off when the phase ends."""
    times = [phase.start_s + 0.5 * n for n in range(int(2 * (phase.end_s - phase.start_s)))]
    peak = max(seen.in_flight(at) for at in times)
    left = seen.in_flight(phase.end_s)
    # What is under way at any time: half a second's worth for each, and as much again.
    ordinary = math.ceil(2 * phase.rate / server_rate) + 2
    yield Evidence(
        "what piled up, and what was left of it",
        f"requests sent and not answered, from {phase.start_s:.0f} s to {phase.end_s:.0f} s",
        f"at most {peak}; {left} at the end",
    )
    if left > max(ordinary, peak / 2):
        raise CheckFailed(
            "what had piled up to be worked off while the load lasts",
            f"{left} requests were waiting at its end, of {peak} at most",
            "Enough servers for the rate alone never catch up: plan a margin.",
        )


def _rises(seen: Behaviour) -> list[Phase]:
    return [after for before, after in pairwise(seen.phases) if after.rate > before.rate]


def _falls(seen: Behaviour) -> list[Phase]:
    return [after for before, after in pairwise(seen.phases) if after.rate < before.rate]


def _least(rate: float, server_rate: float) -> int:
    """Return how many servers can just answer a rate."""
    return math.ceil(rate / server_rate)


def _start_s(seen: Behaviour) -> float:
    """Return how long a server takes on this machine, from the decision to its first turn."""
    return seen.start_takes_s + LISTENS_S


def _after(at_s: float | None, since_s: float) -> str:
    return "never" if at_s is None else f"after {at_s - since_s:.0f} s"
