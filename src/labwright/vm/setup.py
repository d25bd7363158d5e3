"""What a lab's machine has beside its system: Debian packages, files, and what a script does.

Packages are fetched by this computer's apt, with its mirror and its proxy, and installed in
the machine without any network.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.host import programs
from labwright.host.temporary import Scratch
from labwright.vm import mmdebstrap
from labwright.vm.states import State, base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.lab.model import MachineFile, MachineSetup
    from labwright.machines.machine import Machine
    from labwright.vm.systems import System

INSTALL_S = 900.0
FETCH_S = 600.0
_INSTALL = """
set -eu
mkdir /tmp/packages
tar -C /tmp/packages -xf -
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --quiet --no-install-recommends /tmp/packages/*.deb
rm -r /tmp/packages
"""


def with_setup(system: System, setup: MachineSetup) -> State:
    """Return the state with a lab's packages and files; the lowest one if it has none."""
    if not setup:
        return base(system)
    return State(
        "machine",
        system,
        base(system),
        repr(setup),
        lambda machine: prepare(system, setup, machine),
        estimate_s=20.0 + 10.0 * len(setup.packages),
    )


def prepare(system: System, setup: MachineSetup, machine: Machine) -> None:
    """Install packages, write files and run the script, in this order.

    :raises SetupError: one of them did not work, with what was said last.
    """
    if setup.packages:
        packed = _fetch(system, setup.packages, _dpkg_status(machine))
        _as_root(machine, "its packages could not be installed", _INSTALL, packed)
    for file in setup.files:
        _write(machine, file)
    if setup.script:
        _as_root(machine, "'setup' failed", setup.script)


def _as_root(machine: Machine, what: str, script: str, stdin: bytes = b"") -> None:
    result = machine.run("sudo bash -c %s", script, stdin=stdin, timeout=INSTALL_S)
    if not result.ok:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines() or ["nothing"]
        raise SetupError(
            f"[machine] of the lab: {what} (exit status {result.exit_status}): {said[-1][:300]}"
        )


def _write(machine: Machine, file: MachineFile) -> None:
    user, _, group = file.owner.partition(":")
    result = machine.run(
        "sudo install -D -o %s -g %s -m %s /dev/stdin %s",
        *(user, group or user, file.mode, file.path),
        stdin=file.content.encode(),
    )
    if not result.ok:
        raise SetupError(
            f"[machine] of the lab: {file.path} could not be written: {result.stderr.strip()[:300]}"
        )


def _dpkg_status(machine: Machine) -> str:
    return machine.run("cat /var/lib/dpkg/status").stdout


def _fetch(system: System, packages: Sequence[str], status: str) -> bytes:
    """Return packages, with what they need that a machine lacks, as a tar file.

    :param status: what the machine has, as its dpkg notes it.
    """
    programs.require(["apt-get"])
    with Scratch() as folder:
        for part in ("lists/partial", "archives/partial", "empty"):
            (folder / part).mkdir(parents=True)
        (folder / "status").write_text(status)
        _sources(system, folder)
        options = {
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder,
            "Dir::Cache::archives": folder / "archives",
            "Dir::Etc::sourceparts": folder / "sources",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::preferencesparts": folder / "empty",
            "Dir::Etc::trusted": "/usr/share/keyrings/debian-archive-keyring.gpg",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
        }
        command = ["apt-get", "--quiet", *(f"-o{key}={value}" for key, value in options.items())]
        _apt([*command, "update"])
        wanted = ["install", "--yes", "--download-only", "--no-install-recommends", *packages]
        _apt([*command, *wanted])
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted((folder / "archives").glob("*.deb")):
                tar.add(path, path.name)
        return packed.getvalue()


def _sources(system: System, folder: Path) -> None:
    """Write from where apt fetches: what the system was built from."""
    (folder / "sources").mkdir()
    named = mmdebstrap.sources(system.suite)
    lines = [source for source in named if source.startswith("deb ")]
    for source in named:
        if source not in lines:
            path = Path(source)
            (folder / "sources" / path.name).write_bytes(path.read_bytes())
    if not named:
        lines = [f"deb http://deb.debian.org/debian {system.suite} main"]
    (folder / "sources" / "labwright.list").write_text("".join(f"{line}\n" for line in lines))


def _apt(command: Sequence[str]) -> None:
    done = programs.run(
        command,
        FETCH_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E: ")]
        said = (errors or lines or ["nothing"])[-1 if not errors else 0]
        raise SetupError(f"[machine] of the lab: its packages could not be fetched: {said[:300]}")
