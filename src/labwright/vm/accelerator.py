"""Which of QEMU's accelerators works here. That one exists does not mean that it works."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import UsageError
from labwright.host.files import write_text
from labwright.vm import store

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN = ("kvm", "hvf", "tcg")
QEMU = "qemu-system-x86_64"
TRIAL_S = 8.0
"""How long a kernel may take to print its first line when it runs at full speed."""


def arguments(accelerator: str) -> Sequence[str]:
    """Return QEMU's arguments for an accelerator."""
    if accelerator == "tcg":
        # Without a bound, its cache of translated code grows to a gigabyte in an hour of gradings.
        return ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max"]
    return ["-accel", accelerator, "-cpu", "host"]


@cache
def choose(kernel: Path) -> str:
    """Return the best accelerator that works: KVM, HVF, else emulation.

    ``LABWRIGHT_ACCEL`` forces one. A trial boots the kernel; its verdict is kept until the
    computer is started again.

    :raises UsageError: the forced one is unknown.
    """
    forced = os.environ.get("LABWRIGHT_ACCEL")
    if forced:
        if forced not in KNOWN:
            raise UsageError(f"LABWRIGHT_ACCEL is {forced!r}, not one of {', '.join(KNOWN)}")
        return forced
    candidate = "hvf" if platform.system() == "Darwin" else "kvm"
    if candidate == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    verdict = store.root() / f"accelerator-{store.key(candidate, _boot(), str(os.geteuid()))}"
    if not verdict.exists():
        for old in store.root().glob("accelerator-*"):
            old.unlink(missing_ok=True)
        write_text(verdict, candidate if _boots(candidate, kernel) else "tcg")
    text = verdict.read_text()
    return text if text in KNOWN else "tcg"


def _boot() -> str:
    """Return what differs after a restart of this computer."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text() if path.exists() else ""


def _boots(accelerator: str, kernel: Path) -> bool:
    """Whether a kernel boots until it panics because it has no disk."""
    command = [
        *(QEMU, "-M", "pc", "-m", "256", "-smp", "2", *arguments(accelerator)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in done.stdout
