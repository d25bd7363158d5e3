"""Which machine is meant when the user names none."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

DEFAULT_GUEST = "lab"
"""The name of the guest that is used where this computer cannot run a lab."""


@dataclass(frozen=True)
class Choice:
    """A target and the reason for it."""

    target: str
    reason: str


def choose() -> Choice:
    """Choose this machine if it can run the lab, else the guest ``lab``."""
    lacks = _lacks()
    if lacks:
        return Choice(f"vm:{DEFAULT_GUEST}", f"this machine cannot run the lab: {lacks}")
    return Choice("local", "this machine has Docker and ip_vs")


def _lacks() -> str:
    """Say what keeps this machine from running the lab, or nothing."""
    if not shutil.which("docker") and not Path("/var/run/docker.sock").exists():
        return "it has no Docker"
    if not Path("/var/run/docker.sock").exists() and "DOCKER_HOST" not in os.environ:
        return "its Docker Engine does not run"
    if not Path("/proc/net/ip_vs").exists() and not _can_load("ip_vs"):
        return "its kernel has no ip_vs"
    return ""


def _can_load(module: str) -> bool:
    """Whether modprobe would find a module; ordinary users have no sbin in their PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    modprobe = shutil.which("modprobe", path=path)
    if not modprobe:
        return False
    return subprocess.run([modprobe, "-nq", module], check=False).returncode == 0
