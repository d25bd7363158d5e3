"""Checks claims about services, timers, processes, packages, programs and cron jobs."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    evidence,
    inspects,
    lines_in,
    quoted,
    refused,
    require,
    said,
    unseen,
    user_or_root,
)
from labwright.errors import CheckFailed, MachineError
from labwright.lab.claims import Cron, Package, Process, Program, Service, Timer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from labwright.checks.claims.inspection import Answers

_PACKAGE = """\
if command -v dpkg-query >/dev/null; then dpkg-query -W -f '${{Status}} ${{Version}}\\n' -- {0}
elif command -v rpm >/dev/null; then rpm -q --qf 'installed %{{VERSION}}-%{{RELEASE}}\\n' -- {0}
elif command -v apk >/dev/null; then apk info -e -v {0} | sed 's/^.*-\\([0-9].*\\)$/installed \\1/'
elif command -v pacman >/dev/null; then pacman -Q -- {0} | sed 's/^[^ ]* /installed /'
else echo 'no package manager that is known' >&2; exit 127; fi"""
_DAYS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_CRON_LINE = re.compile(r"(@\w+|(?:\S+\s+){4}\S+)\s+(.*)")


@inspects(Service)
def service(claim: Service) -> Inspection:
    """Ask systemd."""
    unit = claim.service if "." in claim.service else f"{claim.service}.service"
    facts = yield from _unit(unit, "LoadState,ActiveState,SubState,Result,UnitFileState,User")
    yield evidence(f"the unit {unit}", f"systemctl show {unit}", _facts(unit, facts))
    if not _require_unit(unit, facts, claim.absent):
        return
    _require_state(unit, facts, claim.running, claim.enabled)
    if claim.owner:
        owner = facts.get("User") or "root"
        require(owner == claim.owner, f"{unit} to run as {claim.owner}", f"it runs as {owner}")


@inspects(Timer)
def timer(claim: Timer) -> Inspection:
    """Ask systemd."""
    unit = claim.timer if claim.timer.endswith(".timer") else f"{claim.timer}.timer"
    facts = yield from _unit(
        unit, "LoadState,ActiveState,SubState,UnitFileState,TimersCalendar,TimersMonotonic"
    )
    yield evidence(f"the unit {unit}", f"systemctl show {unit}", _facts(unit, facts))
    if not _require_unit(unit, facts, claim.absent):
        return
    _require_state(unit, facts, claim.running, claim.enabled)
    if claim.schedule:
        times = " ".join(facts.get(key, "") for key in ("TimersCalendar", "TimersMonotonic"))
        require(
            claim.schedule in times,
            f"{unit} to be due at `{claim.schedule}`",
            f"its times are `{quoted(times)}`",
        )


def _unit(unit: str, properties: str) -> Generator[Ask, Answers, dict[str, str]]:
    command = f"systemctl show --no-pager --property={properties} -- {shlex.quote(unit)}"
    result = yield from user_or_root(command, unit)
    if not result.ok:
        raise unseen(unit, result)
    facts: dict[str, str] = {}
    for line in result.stdout.splitlines():
        key, _, value = line.partition("=")
        facts[key] = f"{facts[key]} {value}" if facts.get(key) else value
    return facts


def _facts(unit: str, facts: dict[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in facts.items() if value) or f"no {unit}"


def _require_unit(unit: str, facts: dict[str, str], absent: bool) -> bool:
    """Check that a unit exists, or does not exist; return whether it must exist."""
    there = facts.get("LoadState") not in (None, "not-found")
    if absent:
        require(not there, f"no {unit}", "it is there")
        return False
    require(there, f"a unit {unit}", "systemd knows none", "Run `systemctl daemon-reload`, too.")
    load = facts["LoadState"]
    require(load != "masked", f"{unit} not to be masked", "it is masked")
    hint = f"See `systemctl status {unit}`."
    require(load == "loaded", f"a unit {unit} that can be used", f"systemd says {load}", hint)
    return True


def _require_state(
    unit: str, facts: dict[str, str], running: bool | None, enabled: bool | None
) -> None:
    hint = f"See `systemctl status {unit}` and `journalctl -u {unit}`."
    active, sub = facts.get("ActiveState", ""), facts.get("SubState", "")
    result = facts.get("Result", "success")
    state = f"it is {active} ({sub}{'' if result == 'success' else f', {result}'})"
    if running is True:
        require(active in ("active", "reloading"), f"{unit} to be active", state, hint)
    elif running is False:
        require(active in ("inactive", "failed"), f"{unit} not to be active", state)
    at_boot = facts.get("UnitFileState", "")
    if enabled is not None:
        is_enabled = at_boot in ("enabled", "alias", "generated")
        wanted = "" if enabled else "not "
        require(
            is_enabled == enabled,
            f"{unit} {wanted}to be enabled at boot",
            f"it is {at_boot or 'not a unit of a file'}",
            f"`sudo systemctl {'enable' if enabled else 'disable'} {unit}`.",
        )


@inspects(Process)
def process(claim: Process) -> Inspection:
    """Check the table of processes."""
    asked = "ps -eo pid=,stat=,user:32=,comm=,args="
    result = yield from user_or_root(asked, "the processes")
    rows = [row.split(None, 4) for row in result.stdout.splitlines()]
    if result.ok and not any(row[:1] == ["1"] for row in rows):  # /proc shows only one's own
        (again,) = yield Ask((f"sudo -n {asked}",))
        rows = [row.split(None, 4) for row in again.stdout.splitlines()]
        if not any(row[:1] == ["1"] for row in rows):
            raise MachineError("the processes of other users cannot be seen")
    elif not result.ok:
        raise unseen("the processes", result)
    found = [row for row in rows if len(row) > 3 and _is_program(claim.process, row)]
    seen = "\n".join(" ".join((row[0], row[2], *row[4:])) for row in found)
    shown = f"ps -eo pid,user,args | grep {shlex.quote(claim.process)}"
    yield evidence(f"the processes of {claim.process}", shown, seen or "there is none")
    if claim.absent:
        require(not found, f"no process {claim.process}", f"there is one: {quoted(seen)}")
        return
    require(found, f"a process {claim.process}", "there is none")
    if claim.owner:
        owners = sorted({row[2] for row in found})
        kept = [row for row in found if row[2] == claim.owner]
        has = f"it runs as {' and '.join(owners)}"
        require(kept, f"a process {claim.process} of the user {claim.owner}", has)
        found = kept
    if claim.arguments:
        kept = [row for row in found if claim.arguments in row[-1]]
        has = f"it runs as `{quoted(found[0][-1])}`"
        require(kept, f"a process {claim.process} with `{claim.arguments}`", has)
        found = kept
    if claim.count is not None:
        number = len(found)
        wanted = f"{claim.count} processes {claim.process}"
        require(number == claim.count, wanted, f"there are {number}")


def _is_program(name: str, row: list[str]) -> bool:
    """Whether a process runs a program, directly or as a script of an interpreter."""
    if row[1].startswith("Z"):
        return False
    words = row[4].split() if len(row) > 4 else []
    if words[:1] == ["ps"]:
        return False
    first = words[0].rstrip(":") if words else ""
    names = {row[3], first.rpartition("/")[2]}
    if len(words) > 1 and re.match(r"(python|perl|ruby|node|bash|sh|java)[\d.]*$", row[3]):
        names.add(words[1].rpartition("/")[2])
    return name in names or (len(name) > 15 and row[3] == name[:15])


@inspects(Package)
def package(claim: Package) -> Inspection:
    """Ask the distribution's package manager."""
    name = shlex.quote(claim.package)
    (result,) = yield Ask((_PACKAGE.format(name),))
    rows = [row.strip() for row in result.stdout.splitlines()]
    found = [row for row in rows if re.search(r"(^| )installed ", row)]
    if not found and (refused(result) or result.exit_status > 1):
        raise unseen(f"the package {claim.package}", result)
    version = found[0].rpartition("installed ")[2] if found else ""
    saw = f"{claim.package} {version}" if found else "it is not installed"
    yield evidence(f"the package {claim.package}", f"dpkg-query -W {claim.package}", saw)
    if claim.absent:
        require(not found, f"no package {claim.package}", f"{version} is installed")
        return
    require(found, f"the package {claim.package}", "it is not installed")
    if claim.version:
        require(
            _has_version(version, claim.version),
            f"the package {claim.package} in the version {claim.version}",
            f"its version is {version}",
        )


def _has_version(version: str, wanted: str) -> bool:
    upstream = version.partition(":")[2] or version
    if wanted.startswith(">="):
        return _numbers(upstream) >= _numbers(wanted[2:])
    rest = upstream.removeprefix(wanted)
    return rest != upstream and (not rest or not (rest[0].isdigit() and wanted[-1:].isdigit()))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", re.split(r"[-+~]", version.strip())[0])]


@inspects(Program)
def program(claim: Program) -> Inspection:
    """Find a program in the user's PATH."""
    name = shlex.quote(claim.program)
    asked = f'PATH="$HOME/bin:$HOME/.local/bin:$PATH"; command -v {name}'
    (result,) = yield Ask((asked,))
    path = result.stdout.strip()
    yield evidence(f"the program {claim.program}", f"command -v {name}", path or "there is none")
    if claim.absent:
        require(not path, f"no program {claim.program}", f"it is {path}")
        return
    require(path, f"a program {claim.program}", "there is none")
    if claim.path:
        require(path == claim.path, f"{claim.program} to be {claim.path}", f"it is {path}")


@inspects(Cron)
def cron(claim: Cron) -> Inspection:
    """Check a user's crontab and the system's."""
    owner = shlex.quote(claim.owner)
    table = f"sudo -n crontab -l -u {owner}" if claim.owner else "crontab -l"
    own, me = yield Ask((table, "id -un"))
    missing = own.exit_status == 127 or "command not found" in own.stderr
    if not own.ok and not missing and "no crontab for" not in own.stderr:
        raise unseen("the table of cron", own)
    user = claim.owner or me.stdout.strip()

    def of_claim(jobs: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        return [j for j in jobs if claim.cron in j[2] and (j[1] == user or not claim.owner)]

    yield evidence("the user's crontab", table.replace("sudo -n", "sudo"), said(own))
    found = of_claim(_jobs(own.stdout if own.ok else "", user))
    right = [job for job in found if not claim.schedule or _when(job[0]) == _when(claim.schedule)]
    # If the user's own crontab has the job, a file that cannot be read does not matter.
    if claim.absent or not right:
        files = "/etc/crontab /etc/cron.d/*"
        system = yield from lines_in(files, "", "the system's crontabs")
        yield evidence("the system's crontabs", f"cat {files}", system)
        found += of_claim(_jobs(system, ""))
    if claim.absent:
        require(not found, f"no cron job `{claim.cron}`", "there is one")
        return
    hint = "The machine has no cron: install it." if missing else ""
    require(found, f"a cron job `{claim.cron}` of {user}", "there is none", hint)
    if claim.schedule:
        times = [time for time, _, _ in found]
        if _when(claim.schedule) not in map(_when, times):
            raise CheckFailed(
                f"the cron job `{claim.cron}` to run at `{claim.schedule}`",
                f"it runs at `{quoted(times[0])}`",
            )


def _jobs(text: str, user: str) -> Iterator[tuple[str, str, str]]:
    """Yield time, user and command of the jobs of a crontab; the system's contain the user."""
    for line in text.splitlines():
        found = None if line.lstrip().startswith("#") else _CRON_LINE.match(line.strip())
        if found and not re.match(r"\w+\s*=", line.strip()):
            owner, command = (user, found[2]) if user else ([*found[2].split(None, 1), "", ""])[:2]
            yield found[1], owner, command


def _when(time: str) -> str:
    return _DAYS.get(time.strip(), " ".join(time.split()))
