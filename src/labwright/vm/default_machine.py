"""Which machine is meant when the user names none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError, UsageError
from labwright.host import programs
from labwright.vm import guest

if TYPE_CHECKING:
    from labwright.lab.model import Lab


@dataclass(frozen=True)
class Choice:
    """A target and the reason for it."""

    target: str
    reason: str
    starts: bool = False
    """Whether it is a guest that is to be started first."""


def default_guest(lab: Lab) -> str:
    """Return the name of the guest that is used where this computer cannot run a lab."""
    return f"lab-{lab.name}"


def choose(lab: Lab) -> Choice:
    """Choose the lab's guest that runs, else this machine if it can run the lab, else a guest.

    :raises UsageError: it would be a guest, and several of the lab's run.
    """
    own = _own_guests(lab)
    if len(own) == 1:
        return Choice(f"vm:{own[0]}", "it is the lab machine that runs")
    lacks = _lacks(lab)
    if lacks and own:
        raise UsageError(
            f"several machines of the lab {lab.name} run: name one: "
            f"{' or '.join(f'--target vm:{name}' for name in own)}"
        )
    if lacks:
        reason = f"this computer cannot run the lab: {lacks}"
        return Choice(f"vm:{default_guest(lab)}", reason, starts=True)
    return Choice("local", f"this computer has {' and '.join(['Docker', *lab.modules])}")


def _own_guests(lab: Lab) -> list[str]:
    """Return the names of a lab's guests that the user has started."""
    try:
        running = guest.running()
    except SetupError:  # there is no place for a cache, so there are no guests
        return []
    return [one.name for one in running if one.lab == lab.name and not one.is_temporary]


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
