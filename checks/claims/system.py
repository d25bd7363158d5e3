"""Checks claims about mounts, kernel parameters and kernel modules."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_list,
    as_run,
    evidence,
    in_netns,
    inspects,
    lines_in,
    require,
    unseen,
)
from labwright.lab.claims import Module, Mount, Sysctl

_OCTAL = re.compile(r"\\(\d{3})")


@dataclass(frozen=True)
class Mounted:
    """A line of /proc/self/mountinfo; proc(5) has its fields."""

    where: str
    root: str
    """The mounted part of the file system: for a bind mount, the directory."""
    fstype: str
    source: str
    options: frozenset[str]


@inspects(Mount)
def mount(claim: Mount) -> Inspection:
    """Check the kernel's table of mounts."""
    (table,) = yield Ask(("cat /proc/self/mountinfo",))
    what = f"something mounted on {claim.mount}"
    if not table.ok:
        raise unseen(what, table)
    wanted = claim.mount.rstrip("/") or "/"
    here = [one for line in table.stdout.splitlines() if (one := _mounted(line)).where == wanted]
    found = here[-1] if here else None  # the last mount hides the earlier ones
    saw = f"{found.source} {found.fstype} {','.join(sorted(found.options))}" if found else "nothing"
    yield evidence(what, f"findmnt {claim.mount}", saw)
    if claim.absent:
        require(not found, f"nothing mounted on {claim.mount}", f"there is {saw}")
        return
    if found is None:
        require(False, what, "nothing is")
        return
    if claim.source:
        require(
            claim.source in (found.source, found.root),
            f"{claim.source} mounted on {claim.mount}",
            f"{found.source} is",
        )
    if claim.fstype:
        has = f"it is {found.fstype}"
        require(found.fstype == claim.fstype, f"{claim.mount} to be of type {claim.fstype}", has)
    for option in as_list(claim.options):
        has = f"its options are {','.join(sorted(found.options))}"
        require(option in found.options, f"{claim.mount} to be mounted with {option}", has)
    if claim.persistent:
        fstab = yield from lines_in("/etc/fstab", "", "the mounts of the next boot")
        rows = [
            row.split()
            for row in fstab.splitlines()
            if not row.lstrip().startswith("#") and len(row.split()) > 1
        ]
        there = [row for row in rows if (row[1].rstrip("/") or "/") == wanted]
        yield evidence("the mounts of the next boot", "cat /etc/fstab", fstab)
        require(there, f"a line for {claim.mount} in /etc/fstab", "there is none")


def _mounted(line: str) -> Mounted:
    def plain(text: str) -> str:
        return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)

    first, _, last = line.partition(" - ")
    before, after = [*first.split(), *[""] * 6], [*last.split(), *[""] * 3]
    options = {*before[5].split(","), *after[2].split(",")}
    return Mounted(
        plain(before[4]), plain(before[3]), after[0], plain(after[1]), frozenset(options)
    )


@inspects(Sysctl)
def sysctl(claim: Sysctl) -> Inspection:
    """Read the parameter from /proc/sys, and the files that set it at boot."""
    path = f"/proc/sys/{claim.sysctl.replace('.', '/')}"
    result = yield from in_netns(f"cat {shlex.quote(path)}", claim.netns, claim.sysctl)
    value = " ".join(result.stdout.split())
    where = f" in {claim.netns}" if claim.netns else ""
    what = f"{claim.sysctl}{where}"
    yield evidence(what, as_run(f"sysctl {claim.sysctl}", claim.netns), value or result.stderr)
    if not result.ok and "No such file" not in result.stderr:
        raise unseen(claim.sysctl, result)
    require(result.ok, f"a parameter {what}", "the kernel has none of this name")
    wanted = " ".join(str(claim.value).split())
    require(value == wanted, f"{what} to be {wanted}", f"it is {value}")
    if claim.persistent:
        name = re.sub(r"[./]", "[./]", claim.sysctl)
        pattern = f"^[[:space:]]*-?{name}[[:space:]]*="
        what = f"{claim.sysctl} at boot"
        # The last line counts. systemd reads /etc/sysctl.conf only by a link in /etc/sysctl.d.
        files = "/etc/sysctl.d/*.conf"
        without_systemd = "$([ -d /run/systemd/system ] || echo /etc/sysctl.conf)"
        found = yield from lines_in(f"{files} {without_systemd}", pattern, what)
        line = found.strip().splitlines()
        value = " ".join(line[-1].partition("=")[2].split()) if line else ""
        yield evidence(what, f"grep {claim.sysctl} {files}", "\n".join(line))
        require(
            value == wanted,
            f"{claim.sysctl} = {wanted} in a file of /etc/sysctl.d",
            f"there it is {value}" if value else "no file sets it",
            "What `sysctl -w` sets is gone after the next boot.",
        )


@inspects(Module)
def module(claim: Module) -> Inspection:
    """Check whether the kernel has a module."""
    name = re.sub(r"[^A-Za-z0-9_-]", "", claim.module).replace("-", "_")
    pattern = name.replace("_", "[-_]")
    builtin = f"grep -qsE '/{pattern}[.]ko' \"/lib/modules/$(uname -r)/modules.builtin\""
    kernel = f"if [ -d /sys/module/{name} ]; then echo loaded; elif {builtin}; then echo built in; "
    files = "/etc/modules /etc/modules-load.d/*.conf"
    (loaded,) = yield Ask((f"{kernel}else echo not loaded; fi",))
    what = f"the kernel module {claim.module}"
    if not loaded.ok:
        raise unseen(what, loaded)
    state = loaded.stdout.strip()
    yield evidence(what, f"lsmod | grep {name}", state)
    if claim.absent:
        require(state == "not loaded", f"no kernel module {claim.module}", f"it is {state}")
        return
    hint = f"`sudo modprobe {claim.module}`."
    require(state != "not loaded", what, "it is not loaded", hint)
    if claim.persistent and state == "loaded":
        at_boot = f"{what} at boot"
        named = yield from lines_in(files, f"^[[:space:]]*{pattern}[[:space:]]*$", at_boot)
        yield evidence(at_boot, f"cat {files}", named)
        no = "no file of /etc/modules-load.d names it"
        require(named.strip(), f"{what} to be loaded at boot", no)
