"""Which machine is meant when the user names none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.host import programs

if TYPE_CHECKING:
    from labwright.lab.model import Lab


@dataclass(frozen=True)
class Choice:
    """A target and the reason for it."""

    target: str
    reason: str


def default_guest(lab: Lab) -> str:
    """Return the name of the guest that is used where this computer cannot run a lab."""
    return f"lab-{lab.name}"


def choose(lab: Lab) -> Choice:
    """Choose this machine if it can run a lab, else a guest of the lab's own."""
    lacks = _lacks(lab)
    if lacks:
        return Choice(f"vm:{default_guest(lab)}", f"this machine cannot run the lab: {lacks}")
    return Choice("local", f"this machine has {' and '.join(['Docker', *lab.modules])}")


def _lacks(lab: Lab) -> str:
    """Say what keeps this machine from running a lab, or nothing."""
    if not shutil.which("docker") and not Path("/var/run/docker.sock").exists():
        return "it has no Docker"
    if not Path("/var/run/docker.sock").exists() and "DOCKER_HOST" not in os.environ:
        return "its Docker Engine does not run"
    for module in lab.modules:
        if not (Path("/sys/module") / module).exists() and not _can_load(module):
            return f"its kernel has no {module}"
    return ""


def _can_load(module: str) -> bool:
    """Whether modprobe would find a module; ordinary users have no sbin in their PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    modprobe = shutil.which("modprobe", path=path)
    if not modprobe:
        return False
    return programs.run([modprobe, "-nq", module]).returncode == 0
