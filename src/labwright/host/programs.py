"""The programs that this computer must have, and how to get them on Debian."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.errors import SetupError
from labwright.host.progress import step

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "chromium": "chromium",
    "apt-get": "apt",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "newuidmap": "uidmap",
    "fallocate": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""Which Debian package a program, or a file that is needed as well, is in."""

RUN_S = 60.0
"""Seconds for a program that has little to do."""
APT_S = 1800.0
SBIN = ("/usr/sbin", "/sbin")
"""Where an ordinary user's PATH does not lead."""


def find(program: str) -> str | None:
    """Return where a program is, also in the folders for administrators; or a file."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))


def run(
    argv: Sequence[str], timeout: float = RUN_S, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program of this computer until it ends; its exit status is for the caller.

    :param timeout: seconds.
    :param options: as of :func:`subprocess.run`.
    :raises SetupError: it did not end in time.
    """
    try:
        return subprocess.run(list(argv), timeout=timeout, check=False, **options)
    except subprocess.TimeoutExpired:
        raise SetupError(
            f"`{argv[0]}` did not end within {timeout:g} s: is the disk busy?"
        ) from None


def require(programs: Sequence[str]) -> None:
    """See to it that programs are there, installing them where that needs no question.

    :raises SetupError: they are not and cannot be; it says what to install.
    """
    missing = [program for program in programs if not find(program)]
    if not missing:
        return
    packages = sorted({PACKAGES[program] for program in missing})
    command = f"sudo apt-get install {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise SetupError(f"install these programs first: {', '.join(missing)}")
    root = _as_root()
    if root is None:
        raise SetupError(f"some programs are missing; install them first: {command}")
    with step(f"installing {' '.join(packages)}", 25):
        _apt([*root, "apt-get", "update", "-q"], command)
        _apt([*root, "apt-get", "install", "-yq", "--no-install-recommends", *packages], command)
    still = [program for program in programs if not find(program)]
    if still:
        raise SetupError(f"{' and '.join(still)} is still missing after `{command}`")


def require_subuid_ranges(
    files: Sequence[Path] = (Path("/etc/subuid"), Path("/etc/subgid")),
) -> None:
    """See to it that this user may make a user namespace with more than one user in it.

    :raises SetupError: it is lent no ids for that; it says how to mend it.
    """
    user = pwd.getpwuid(os.geteuid())
    for file in files:
        lines = file.read_text().splitlines() if file.exists() else []
        if not {line.partition(":")[0] for line in lines} & {user.pw_name, str(user.pw_uid)}:
            raise SetupError(
                f"{file} has no ids for the user {user.pw_name}, needed to build the lab machine: "
                "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
                f"{user.pw_name}"
            )


def _as_root() -> list[str] | None:
    """Return what to put before a command that needs root; None if there is no way."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    asked = run(["sudo", "-n", "true"], capture_output=True)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def _apt(argv: list[str], command: str) -> None:
    done = run(
        argv,
        APT_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        last = [line for line in done.stdout.splitlines() if line.strip()][-1:] or [""]
        raise SetupError(f"`{command}` failed ({last[0]}): run it by hand to see why")
