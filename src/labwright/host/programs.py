"""The programs that labwright needs on this computer, and their Debian packages."""

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
    "mount": "mount",
    "chromium": "chromium",
    "apt-get": "apt",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "newuidmap": "uidmap",
    "fallocate": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""Maps a program, or another required file, to its Debian package."""

RUN_S = 60.0
"""Time limit in seconds for a quick program."""
APT_S = 1800.0
SBIN = ("/usr/sbin", "/sbin")
"""Folders that an ordinary user's PATH lacks."""


def find(program: str) -> str | None:
    """Return the path of a program or file, also from the administrators' folders."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))


def run(
    argv: Sequence[str], timeout: float = RUN_S, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program on this computer until it ends; the exit status is not checked.

    :param timeout: seconds.
    :param options: see :func:`subprocess.run`.
    :raises SetupError: the program did not end in time.
    """
    try:
        return subprocess.run(list(argv), timeout=timeout, check=False, **options)
    except subprocess.TimeoutExpired:
        raise SetupError(
            f"`{argv[0]}` did not end within {timeout:g} s: is the disk busy?"
        ) from None


def require(programs: Sequence[str]) -> None:
    """Make sure that programs are installed; install them if that needs no password.

    :raises SetupError: a program is missing; the message says what to install.
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
    """Check that this user may create a user namespace with several users.

    :raises SetupError: the user has no subuid or subgid range; the message says how to add one.
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
    """Return the prefix for a command that needs root; None if root cannot be used."""
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
