"""Saved states of the lab machine: a frozen disk, its memory and the state of its devices."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from labwright.errors import CommandTimedOut, HostUnreachable, SetupError
from labwright.host import programs, progress
from labwright.machines.destination import Destination
from labwright.machines.ssh import SshMachine
from labwright.vm import accelerator, debian, images, qemu, store
from labwright.vm.qemu import Launch, Qemu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from labwright.machines.image_context import Component
    from labwright.machines.machine import Machine
    from labwright.vm.systems import System

PROGRAMS = debian.RUN_PROGRAMS
USER = "student"
BOOT_S = 600.0
"""Seconds; systemd took 200 on an emulated processor that others kept busy."""
COPY_S = 600.0
"""Seconds in which a machine's memory is copied, on a slow disk."""
_UNMOUNT = """
systemctl stop docker.socket docker containerd docker-registry || /etc/init.d/docker stop
sync
echo u >/proc/sysrq-trigger
"""
"""Ends what writes, and makes all file systems read-only, which leaves them whole."""


@dataclass(frozen=True)
class State:
    """A state that is reached from another one by doing something on the machine."""

    name: str
    system: System
    parent: State | None
    """None for the one that begins by booting."""
    key: str
    """Names all that ``prepare`` does: another key is another state."""
    prepare: Callable[[Machine], None]
    estimate_s: float
    imported: Path | None = None
    """The folder of an imported machine that it boots; else its system's own image."""


@dataclass(frozen=True)
class Saved:
    """A saved state in the cache, and what a machine needs to begin with it."""

    folder: Path
    debian: Path
    accelerator: str
    chain: tuple[Path, ...]
    """The states below it, and itself: the folders of the cache, the lowest first."""


def saved(state: State) -> Saved:
    """Return what is saved of a state, making it and those before it if they are not in the cache.

    :raises SetupError: a program is missing, or the machine could not be made.
    """
    _announce(state)
    image = ancestry(state)[0].imported or debian.image(state.system)
    chosen = accelerator.choose(image / "vmlinuz")
    chain = [image]
    for each in ancestry(state):
        chain.append(_ensure(each, chain, chosen))
    return Saved(chain[-1], image, chosen, tuple(chain))


def _announce(state: State) -> None:
    """Say what is missing, and how long the first time takes, before anything slow is done."""
    image = ancestry(state)[0].imported or debian.place(state.system)
    if store.is_complete(image):
        programs.require(PROGRAMS)
        return
    debian.require()
    total = debian.ESTIMATE_S + sum(each.estimate_s for each in ancestry(state))
    progress.say(
        f"{state.system.name} is made first, which takes {progress.expected(total)} and about "
        f"{store.NEEDED_BYTES >> 30} GiB, once; later machines start in seconds"
    )


def in_cache(states: Iterable[State]) -> set[Path]:
    """Return the folders of the cache that belong to states as things are now."""
    found = set()
    for state in states:
        chain = [ancestry(state)[0].imported or debian.place(state.system)]
        if not store.is_complete(chain[0]):
            continue
        chosen = accelerator.choose(chain[0] / "vmlinuz")
        for each in ancestry(state):
            folder = store.root() / folder_name(each, chain[-1], chosen)
            if not store.is_complete(folder):
                break
            chain.append(folder)
        found.update(chain)
    return found


def discard_damaged(chain: Sequence[Path]) -> bool:
    """Remove what is damaged in a chain, and all that depends on it; return whether any was."""
    for number, folder in enumerate(chain):
        if not store.is_intact(folder):
            for above in reversed(chain[number:]):
                store.remove(above)
            return True
    return False


def ancestry(state: State) -> list[State]:
    """Return a state and those before it, the first one first."""
    above = ancestry(state.parent) if state.parent else []
    return [*above, state]


def folder_name(state: State, parent: Path, chosen: str) -> str:
    """Return the name of a state's folder: it has all that makes it another state."""
    machine = (qemu.KERNEL_ARGUMENTS, str(qemu.MEMORY_MB), *accelerator.arguments(chosen))
    made_of = store.key(store.identity(parent), _qemu_version(), state.key, *machine)
    return f"{state.system.name}-{state.name}-{made_of}"


def _ensure(state: State, chain: Sequence[Path], chosen: str) -> Path:
    """Return the folder of a state, made on top of the last of a chain if it is not there."""
    image, parent = chain[0], chain[-1]
    name = folder_name(state, parent, chosen)

    def make(new: Path) -> None:
        what = f"bringing {state.system.name} into the state {state.name}"
        with progress.step(what, state.estimate_s, store.last_s(name)):
            memory, incoming = new / qemu.MEMORY, None
            if parent == image:
                overlay(image / debian.DISK, new)
                with memory.open("wb") as file:
                    file.truncate(qemu.MEMORY_MB << 20)
            else:
                overlay(parent / qemu.DISK, new)
                _copy_sparse(parent / qemu.MEMORY, memory)
                incoming = parent / qemu.DEVICES
            _freeze(new, image, chosen, incoming, state.prepare)

    return store.ensure(name, make)


@cache
def _qemu_version() -> str:
    done = programs.run([accelerator.QEMU, "--version"], capture_output=True)
    return str(done.stdout.decode())


def _freeze(
    new: Path, image: Path, chosen: str, incoming: Path | None, prepare: Callable[[Machine], None]
) -> None:
    """Run a machine on the new state's own files, prepare it, and save it there."""
    launch = Launch(new, image, chosen, new / qemu.MEMORY, True, incoming, dies_with_us=True)
    process = Qemu.start(launch)
    try:
        destination = reach(new, image)
        with closing(connected(destination, process, BOOT_S)) as machine:
            _wait_for_docker(machine)
            set_clock(machine)
            if incoming is None:
                # What starts together with Docker need not start in every machine.
                machine.run("systemctl is-system-running --wait", timeout=BOOT_S)
            prepare(machine)
            # What need not be in memory need not be in the file.
            machine.run("sync; echo 3 | sudo tee /proc/sys/vm/drop_caches", timeout=60)
        process.save(new)
    except HostUnreachable as problem:
        raise SetupError(f"{problem}; {_last_words(new)}") from None
    finally:
        process.kill()
    for name in ("qmp.sock", "known_hosts", "qemu.err", "serial.log"):
        (new / name).unlink(missing_ok=True)
    programs.run(["fallocate", "--dig-holes", str(new / qemu.MEMORY)], COPY_S)
    # Read-only: machines depend on it.
    (new / qemu.DISK).chmod(0o444)


def shut_down(saved: Saved, folder: Path) -> None:
    """Bring a machine from a saved state to a whole file system, on a disk in a folder."""
    overlay(saved.folder / qemu.DISK, folder)
    launch = Launch(
        folder,
        saved.debian,
        saved.accelerator,
        saved.folder / qemu.MEMORY,
        False,
        saved.folder / qemu.DEVICES,
        dies_with_us=True,
    )
    process = Qemu.start(launch)
    try:
        with closing(connected(reach(folder, saved.debian), process, BOOT_S)) as machine:
            machine.run("sudo sh -c %s", _UNMOUNT, timeout=BOOT_S)
        with contextlib.suppress(SetupError):  # it may be gone before it answers
            process.monitor("quit")
        process.process.wait(timeout=qemu.MONITOR_S)
    finally:
        process.kill()


def _last_words(folder: Path) -> str:
    """Return what a machine that does not answer said on its console, as far as it helps."""
    text = (folder / "serial.log").read_text(errors="backslashreplace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    panics = [line for line in lines if "Kernel panic" in line]
    return f"its console ends with: {(panics or lines or ['nothing'])[-1][:200]}"


def overlay(backing: Path, folder: Path) -> None:
    """Make a disk on top of another one, which is never changed."""
    kind = "raw" if backing.suffix == ".raw" else "qcow2"
    # Relative: so the cache can be moved.
    place = os.path.relpath(backing, folder)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", place]
    done = programs.run([*command, str(folder / qemu.DISK)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"qemu-img: {done.stderr.strip()}")


def _copy_sparse(source: Path, target: Path) -> None:
    command = ["cp", "--sparse=always", "--reflink=auto", str(source), str(target)]
    done = programs.run(command, COPY_S, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(errno.ENOSPC if "No space" in done.stderr else errno.EIO, done.stderr.strip())


def reach(folder: Path, image: Path) -> Destination:
    """Return how to reach the machine that runs in a folder by SSH."""
    port = qemu.port(folder)
    known_hosts = folder / "known_hosts"
    kind, key = (image / "host_key.pub").read_text().split()[:2]
    known_hosts.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    return Destination("127.0.0.1", port, USER, image / "id_ed25519", known_hosts, plain=True)


def connected(destination: Destination, process: Qemu, timeout: float) -> SshMachine:
    """Return a machine once it answers.

    :raises HostUnreachable: it did not within the time-out, in seconds, or its QEMU ended.
    """
    deadline = time.monotonic() + timeout
    while True:
        machine = SshMachine("the lab machine", destination)
        try:
            machine.run("true", timeout=max(1.0, deadline - time.monotonic()))
        except HostUnreachable:
            machine.close()
            if time.monotonic() > deadline or process.process.poll() is not None:
                raise
            time.sleep(0.3)
        except BaseException:
            machine.close()
            raise
        else:
            return machine


def _wait_for_docker(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_S
    while True:
        try:
            asked = machine.run("docker version", timeout=60)
            if asked.ok:
                return
        except CommandTimedOut:  # on a busy computer it may take longer than that
            if time.monotonic() > deadline:
                raise
            continue
        if time.monotonic() > deadline:
            log = machine.run(
                "sudo sh -c 'journalctl -u docker -o cat || cat /var/log/docker.log' 2>&1 | tail -1"
            )
            said = f"{asked.stderr.strip().splitlines()[-1:]} {log.stdout.strip()}"
            raise SetupError(f"the lab machine's Docker Engine did not start: {said[:300]}")
        time.sleep(0.3)


def set_clock(machine: Machine) -> None:
    """Set a machine's clock: it stands where the machine was saved."""
    result = machine.run("sudo date --utc --set=@%s", f"{time.time() + 0.1:.3f}")
    if not result.ok:
        raise SetupError(f"the lab machine's clock could not be set: {result.stderr.strip()}")


@cache
def base(system: System) -> State:
    """Return the lowest state: Docker is up and has the base of all images.

    It changes neither with our code nor with a lab, and begins by booting.
    """
    return State("base", system, None, images.base_key(), images.import_base, 30)


def with_images(name: str, below: State, components: Sequence[Component]) -> State:
    """Return the state with a lab's images; it is the one below if the lab has none."""
    if not components:
        return below
    return State(
        name,
        below.system,
        below,
        images.key(components),
        partial(images.build_images, components),
        estimate_s=15.0 * len(components),
    )
