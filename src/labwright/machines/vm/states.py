"""Saved states of the lab machine: a frozen disk, its memory and the state of its devices."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright import progress, system
from labwright.errors import HostUnreachable, SetupError
from labwright.machines.ssh import Destination, SshMachine
from labwright.machines.vm import accelerator, components, debian, qemu, store
from labwright.machines.vm.qemu import Launch, Qemu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from labwright.machines.machine import Machine

PROGRAMS = (accelerator.QEMU, "qemu-img", "ssh")
USER = "student"
DOCKER = "docker"
"""The first state: Docker is up and has the lab's images."""
BOOT_S = 180.0


@dataclass(frozen=True)
class State:
    """A state that is reached from another one by doing something on the machine."""

    name: str
    parent: str
    key: str
    """Names all that ``prepare`` does: another key is another state."""
    prepare: Callable[[Machine], None]
    estimate_s: float


@dataclass(frozen=True)
class Saved:
    """A saved state in the cache, and what a machine needs to begin with it."""

    folder: Path
    debian: Path
    accelerator: str


def saved(name: str, states: dict[str, State]) -> Saved:
    """Return a saved state, making it and those before it if they are not in the cache.

    :raises SetupError: a program is missing, or the machine could not be made.
    """
    system.require(PROGRAMS)
    image = debian.image()
    chosen = accelerator.choose(image / "vmlinuz")
    folder, _ = _saved(name, states, image, chosen)
    return Saved(folder, image, chosen)


def _saved(name: str, states: dict[str, State], image: Path, chosen: str) -> tuple[Path, str]:
    """Return the folder of a state and its key."""
    if name == DOCKER:
        machine = (str(image), chosen, _qemu_version(), qemu.KERNEL_ARGUMENTS, str(qemu.MEMORY_MB))
        key = store.key(*machine, components.key(), *accelerator.arguments(chosen))
        return store.ensure(f"{name}-{key}", lambda new: _boot(new, image, chosen)), key
    state = states[name]
    parent, parent_key = _saved(state.parent, states, image, chosen)
    key = store.key(parent_key, state.key)

    def make(new: Path) -> None:
        with progress.step(f"bringing the lab machine into the state {name}", state.estimate_s):
            overlay(parent / qemu.DISK, new)
            _copy_sparse(parent / qemu.MEMORY, new / qemu.MEMORY)
            _freeze(new, image, chosen, parent / qemu.DEVICES, state.prepare)

    return store.ensure(f"{name}-{key}", make), key


def _qemu_version() -> str:
    done = subprocess.run([accelerator.QEMU, "--version"], capture_output=True, check=True)
    return done.stdout.decode()


def _boot(new: Path, image: Path, chosen: str) -> None:
    with progress.step("starting the lab machine and putting the lab's images in", 75):
        overlay(image / "base.raw", new)
        with (new / qemu.MEMORY).open("wb") as memory:
            memory.truncate(qemu.MEMORY_MB << 20)
        _freeze(new, image, chosen, None, components.build_images)


def _freeze(
    new: Path, image: Path, chosen: str, incoming: Path | None, prepare: Callable[[Machine], None]
) -> None:
    """Run a machine on the new state's own files, prepare it, and save it there."""
    launch = Launch(new, image, chosen, new / qemu.MEMORY, True, incoming, dies_with_us=True)
    process = Qemu.start(launch)
    try:
        destination = reach(new, image)
        with closing(connected(destination, BOOT_S)) as machine:
            _wait_for_docker(machine)
            set_clock(machine)
            prepare(machine)
            # What need not be in memory need not be in the file.
            machine.run("sync; echo 3 | sudo tee /proc/sys/vm/drop_caches", timeout=60)
        process.save(new)
    finally:
        process.kill()
    for name in ("qmp.sock", "known_hosts", "qemu.err", "serial.log"):
        (new / name).unlink(missing_ok=True)
    subprocess.run(["fallocate", "--dig-holes", str(new / qemu.MEMORY)], check=False)
    # Frozen: machines stand on it.
    (new / qemu.DISK).chmod(0o444)


def overlay(backing: Path, folder: Path) -> None:
    """Make a disk that stands on another one, which it never changes."""
    kind = "raw" if backing.suffix == ".raw" else "qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(backing)]
    done = subprocess.run(
        [*command, str(folder / qemu.DISK)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SetupError(f"qemu-img: {done.stderr.strip()}")


def _copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(
        ["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], check=True
    )


def reach(folder: Path, image: Path) -> Destination:
    """Return how to reach the machine that runs in a folder by SSH."""
    port = qemu.port(folder)
    known_hosts = folder / "known_hosts"
    kind, key = (image / "host_key.pub").read_text().split()[:2]
    known_hosts.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    return Destination("127.0.0.1", port, USER, image / "id_ed25519", known_hosts, plain=True)


def connected(destination: Destination, timeout: float) -> SshMachine:
    """Return a machine once it answers.

    :raises HostUnreachable: it did not within the time-out, in seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        machine = SshMachine("the lab machine", destination)
        try:
            machine.run("true", timeout=max(1.0, deadline - time.monotonic()))
        except HostUnreachable:
            machine.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        except BaseException:
            machine.close()
            raise
        else:
            return machine


def _wait_for_docker(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_S
    while not machine.run("docker version", timeout=60).ok:
        if time.monotonic() > deadline:
            raise SetupError("the lab machine's Docker Engine did not start")
        time.sleep(0.3)


def set_clock(machine: Machine) -> None:
    """Set a machine's clock: it stands where the machine was saved."""
    result = machine.run("sudo date --utc --set=@%s", f"{time.time() + 0.1:.3f}")
    if not result.ok:
        raise SetupError(f"the lab machine's clock could not be set: {result.stderr.strip()}")


def remove(folder: Path) -> int:
    """Remove a folder of the cache; return how many bytes of disk that freed."""
    freed = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    shutil.rmtree(folder, ignore_errors=True)
    return freed
