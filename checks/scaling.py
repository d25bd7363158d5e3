"""Checks of the number of servers that a program uses: enough for the load, and no more.

All checks judge the same watched load, by the arithmetic of docs/behaviour.md. The machine's
speed is measured in the same run: how long its Docker takes to start a container.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from labwright.checks.behaviour import LISTENS_S
from labwright.checks.docker import container_evidence
from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.checks.behaviour import Behaviour, Happening, Phase
    from labwright.checks.watched_load import WatchedLoad
    from labwright.machines.engine import Engine
    from labwright.machines.machine import Machine

LOOKS = 3
"""Number of times a program may read the load before it decides: once, and once to be sure."""


def program_running(machine: Machine, docker_engine: Engine, *, program: str) -> Iterator[Evidence]:
    """A program of this name runs, as a container or as a systemd service."""
    seen = docker_engine.container(program)
    yield container_evidence(seen)
    if seen.status == "running":
        return
    state = machine.run("systemctl is-active %s", program)
    said = (state.stdout or state.stderr).strip()
    yield Evidence("the service of that name", f"systemctl is-active {program}", said)
    if state.ok:
        return
    expected = f"a container or service `{program}` that runs"
    if seen.absent:
        raise CheckFailed(expected, "there is none")
    printed = docker_engine.console(program, tail=20).strip().splitlines() or ["nothing"]
    yield Evidence("what it printed last", f"docker logs --tail 20 {program}", "\n".join(printed))
    raise CheckFailed(
        expected,
        f"the container is {seen.status}, with exit status {seen.exit_status}; it said last: "
        f"{printed[-1][:200]}",
    )


def scales_out(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """Soon after each rise of the load, enough servers take part and the queue gets shorter."""
    seen = watched_load.seen
    yield seen.evidence(server_rate)
    phase = rises(seen)[0]
    yield from _enough(seen, phase, phase.start_s, server_rate, period, most_servers)
    yield from _worked_off(seen, phase, server_rate)


def starts_again(
    watched_load: WatchedLoad, *, server_rate: float, period: float, most_servers: int
) -> Iterator[Evidence]:
    """A restarted program continues with the existing servers, and scales out again."""
    seen = watched_load.seen
    restart = done(seen, "restart")
    until = restart.end_s + grace_s(seen, period)
    removed = [one for one in seen.taken_out if one.early and restart.at_s <= one.at_s <= until]
    yield Evidence(
        f"what it took out when it had been restarted after {restart.at_s:.0f} s",
        f"the kernel's table, until {until:.0f} s",
        f"{len(removed)} servers that were in use",
    )
    if removed:
        raise CheckFailed(
            "a program that was restarted to go on with the servers that are there",
            f"it took out {len(removed)} that were in use, the first after {removed[0].at_s:.1f} s",
            "Let it look at Docker and Gorb when it starts, and take over what it finds.",
        )
    phase = rises(seen)[-1]
    since = max(phase.start_s, restart.end_s + LISTENS_S)
    yield from _enough(seen, phase, since, server_rate, period, most_servers)


def stays_in_bounds(
    watched_load: WatchedLoad, *, least_servers: int, most_servers: int, period: float
) -> Iterator[Evidence]:
    """The number of servers stays within its bounds at all times."""
    seen = watched_load.seen
    most = max((moment.serving for moment in seen.moments), default=0)
    # The grader's own actions may remove a server for a while.
    excused = [(one.at_s, one.end_s + grace_s(seen, period)) for one in seen.happened]
    few = [
        moment
        for moment in seen.within(0.0, seen.end_s)
        if moment.serving < least_servers
        and not any(start <= moment.at_s <= end for start, end in excused)
    ]
    yield Evidence(
        "how many servers took part",
        f"the kernel's table, {len(seen.moments)} changes",
        f"at most {most}; fewer than {least_servers}: {len(few)} times",
    )
    if most > most_servers:
        raise CheckFailed(
            f"at most {most_servers} servers",
            f"{most} took part at the same time",
            "The number of servers needs an upper bound, whatever the load is. Is there one "
            "orchestrator, or does another one run beside it?",
        )
    if few:
        raise CheckFailed(
            f"at least {least_servers} server at any time",
            f"after {few[0].at_s:.0f} s there were {few[0].serving}",
            "The number of servers needs a lower bound, also when there is no load; and only "
            "the one that is to be taken out gets the weight 0.",
        )


def steady(watched_load: WatchedLoad, *, server_rate: float) -> Iterator[Evidence]:
    """At a constant load, servers are not started and stopped alternately."""
    seen = watched_load.seen
    phase = rises(seen)[0]
    reached = seen.first(phase.start_s, lambda m: m.serving >= least(phase.rate, server_rate))
    start = phase.start_s if reached is None else reached
    counts = [moment.serving for moment in seen.within(start, phase.end_s)]
    counts = [now for n, now in enumerate(counts) if n == 0 or counts[n - 1] != now]
    steps = [b - a for a, b in pairwise(counts)]
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


def scales_in(
    watched_load: WatchedLoad, *, server_rate: float, period: float
) -> Iterator[Evidence]:
    """After the load has fallen, fewer servers take part."""
    seen = watched_load.seen
    phase = _falls(seen)[0]
    # The queue is load, too.
    quiet = _under_way(phase.rate, server_rate)
    times = [phase.start_s + 0.5 * n for n in range(int(2 * (phase.end_s - phase.start_s)))]
    calm = next((at for at in times if seen.in_flight(at) <= quiet), phase.end_s)
    before = max(moment.serving for moment in seen.within(phase.start_s, calm))
    after = seen.serving(phase.end_s)
    allowed = max(1, least(phase.rate, server_rate)) + 1
    # Twice as many readings as after a rise: waiting before a removal is allowed.
    since = calm + 2 * LOOKS * period
    surplus = max(1, before - allowed)
    due = [(before - n, since + n * seen.server_takes_s) for n in range(1, surplus + 1)]
    yield Evidence(
        f"how many servers took part when the load had fallen to {phase.rate:g} a second",
        f"from {calm:.0f} s, when no more than {quiet} requests waited, to {phase.end_s:.0f} s; "
        f"allowed: {2 * LOOKS} looks of {period:g} s, and {seen.server_takes_s:.1f} s for each",
        f"{before}, then {after}",
    )
    if after <= allowed:
        return
    late = [
        count
        for count, by in due
        if by <= phase.end_s and not any(m.serving <= count for m in seen.within(phase.start_s, by))
    ]
    if not late and due[0][1] <= phase.end_s:
        return
    if not late:
        raise MachineError(
            f"what had piled up was worked off after {calm:.0f} s, so that no server was due to be "
            "taken out before the load rose again: this machine is too slow, or too busy. Check "
            "again when it is idle"
        )
    raise CheckFailed(
        f"at most {allowed} servers {phase.end_s - phase.start_s:.0f} s after the load fell "
        f"to {phase.rate:g} requests a second",
        f"there were {after}, and {before} before",
        ("Servers that are not needed any more must be taken out again. " + _asked(seen)).strip(),
    )


def _enough(
    seen: Behaviour, phase: Phase, since: float, server_rate: float, period: float, most: int
) -> Iterator[Evidence]:
    """Judge whether enough servers take part soon enough after a time in a phase."""
    needed = min(most, least(phase.rate, server_rate))
    there = seen.serving(since)
    missing = max(0, needed - there)
    deciding = LOOKS * period + seen.delay_s
    allowed = deciding + missing * seen.server_takes_s
    at = seen.first(since, lambda moment: moment.serving >= needed)
    took = None if at is None or at > phase.end_s else at - since
    most_seen = max((m.serving for m in seen.within(since, phase.end_s)), default=0)
    yield Evidence(
        f"when {needed} servers took part after the rise to {phase.rate:g} requests a second",
        f"from {since:.0f} s on; allowed: {deciding:.1f} s to decide, and "
        f"{seen.server_takes_s:.1f} s for each of {missing} servers: {allowed:.1f} s",
        "never" if took is None else f"after {took:.1f} s",
    )
    if took is not None and took <= allowed:
        return
    # Servers start one after another: on a slow machine the load can end before the last is due.
    due = [
        (there + n, since + LOOKS * period + n * seen.server_takes_s) for n in range(1, missing + 1)
    ]
    late = [
        count
        for count, by in due
        if by <= phase.end_s and not any(m.serving >= count for m in seen.within(since, by))
    ]
    if not late:
        raise MachineError(
            f"starting a server takes {seen.server_takes_s:.0f} s on this machine: too slow, or "
            "too busy, for this load. Check again when it is idle"
        )
    started = len(seen.started(since, phase.end_s))
    hint = (
        f"One server answers {server_rate:g} requests a second. See what the orchestrator "
        "prints, and what it reads: `curl http://localhost:5555/requestRate` while a client "
        f"runs. {_asked(seen)}".rstrip()
    )
    if took is None and started >= missing:
        hint = (
            f"{started} containers were started meanwhile, and they are not in the list: does "
            "each have an id of its own in Gorb, and is it registered when it answers?"
        )
    raise CheckFailed(
        f"at least {needed} servers {allowed:.0f} s after the load rose to {phase.rate:g} "
        "requests a second",
        f"there were at most {most_seen}" if took is None else f"it took {took:.0f} s",
        hint,
    )


def _worked_off(seen: Behaviour, phase: Phase, server_rate: float) -> Iterator[Evidence]:
    """Judge whether the queue gets shorter when enough servers take part."""
    needed = least(phase.rate, server_rate)
    since = seen.first(phase.start_s, lambda moment: moment.serving >= needed) or phase.start_s
    piled_up, left = seen.in_flight(since), seen.in_flight(phase.end_s)
    # The spare capacity of just enough servers; a quarter of it is required.
    spare = (needed * server_rate - phase.rate) * (phase.end_s - since) / 4
    ordinary = _under_way(phase.rate, server_rate)
    allowed = max(ordinary, math.ceil(piled_up - spare))
    yield Evidence(
        "what had piled up when enough servers took part, and what was left of it",
        f"requests sent and not answered, at {since:.0f} s and at {phase.end_s:.0f} s; "
        f"allowed: {ordinary} that are under way, or {spare:.0f} less than before",
        f"{piled_up}, then {left}",
    )
    if left > allowed:
        raise CheckFailed(
            f"at most {allowed} requests to wait when the load of {phase.rate:g} requests a "
            "second ends",
            f"{left} were waiting; {piled_up} had piled up when enough servers took part",
            "Enough servers for the rate alone hardly catch up: plan a margin.",
        )


def _under_way(rate: float, server_rate: float) -> int:
    """Return a normal number of unanswered requests: twice those that are being worked on."""
    return math.ceil(2 * rate / server_rate) + 2


def done(seen: Behaviour, kind: str) -> Happening:
    """Return the grader's action of a kind.

    :raises MachineError: the action could not be done, so nothing can be judged.
    """
    found = seen.happening(kind)
    if found is None:
        raise MachineError(f"this load has no action of the kind {kind!r}: see 'load_happens'")
    if found.problem:
        raise MachineError(f"{found.what!r} could not be done: {found.problem}")
    return found


def grace_s(seen: Behaviour, period: float) -> float:
    """Return the seconds for which a grader's action can have effects."""
    return LOOKS * period + seen.delay_s + seen.server_takes_s


def rises(seen: Behaviour) -> list[Phase]:
    """Return the phases with a higher rate than the phase before."""
    return [after for before, after in pairwise(seen.phases) if after.rate > before.rate]


def _falls(seen: Behaviour) -> list[Phase]:
    return [after for before, after in pairwise(seen.phases) if after.rate < before.rate]


def least(rate: float, server_rate: float) -> int:
    """Return the least number of servers that can answer a rate."""
    return math.ceil(rate / server_rate)


def _asked(seen: Behaviour) -> str:
    """Return a sentence if the wrong numbers of the load were requested."""
    if not seen.asked:
        return "Nobody asked for the load's numbers on port 5555."
    if "/requestRate" not in seen.asked:
        return f"It asked for {' and '.join(sorted(seen.asked))}, and never for /requestRate."
    return ""
