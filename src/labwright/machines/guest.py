"""Lab machines that run: each with its own disk, memory, port and lock.

A machine's lock is held by its QEMU process itself, from before it starts until however it
ends: a machine whose lock is free does not run, whatever files it left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError, UsageError
from labwright.machines.ssh import Destination
from labwright.machines.vm import qemu, states, store
from labwright.machines.vm.qemu import Launch, Qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.machines.vm.states import State

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 40
READY_S = 60.0


@dataclass(frozen=True)
class Guest:
    """A lab machine that runs."""

    name: str
    state: str
    """The state that it began with."""
    port: int
    """On 127.0.0.1; leads to its SSH."""
    user: str
    key: Path
    known_hosts: Path
    pid: int
    accelerator: str
    since: float
    """Seconds since the epoch."""

    def destination(self) -> Destination:
        """Return how to reach it by SSH."""
        return Destination(
            "127.0.0.1", self.port, self.user, self.key, self.known_hosts, plain=True
        )


def machines() -> Path:
    """Return the folder of the machines."""
    folder = store.root() / "machines"
    folder.mkdir(exist_ok=True)
    return folder


def up(name: str, state: str, known: dict[str, State], *, dies_with_us: bool = False) -> Guest:
    """Start a machine in a state; one that runs already is returned as it is.

    :param known: the states beyond ``docker``.
    :raises UsageError: no such state, or no proper name.
    :raises SetupError: it could not be started.
    """
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise UsageError(
            f"not a machine's name: {name[:60]!r}: write small letters, digits and single dashes, "
            f"at most {LONGEST_NAME}"
        )
    if state != states.DOCKER and state not in known:
        raise UsageError(f"no state {state!r}: the states are {states.DOCKER}, {', '.join(known)}")
    saved = states.saved(state, known)
    folder = machines() / name
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _await_other(name)
        return _start(name, state, saved, folder, lock, dies_with_us)
    finally:
        os.close(lock)


def _start(
    name: str, state: str, saved: states.Saved, folder: Path, lock: int, dies_with_us: bool
) -> Guest:
    _clear(folder)
    states.overlay(saved.folder / qemu.DISK, folder)
    memory = saved.folder / qemu.MEMORY
    devices = saved.folder / qemu.DEVICES
    process = Qemu.start(
        Launch(
            folder, saved.debian, saved.accelerator, memory, False, devices, dies_with_us, (lock,)
        )
    )
    try:
        reached = states.reach(folder, saved.debian)
        with closing(states.connected(reached, READY_S)) as machine:
            states.set_clock(machine)
        guest = Guest(
            name=name,
            state=state,
            port=reached.port or 0,
            user=states.USER,
            key=saved.debian / "id_ed25519",
            known_hosts=folder / "known_hosts",
            pid=process.process.pid,
            accelerator=saved.accelerator,
            since=time.time(),
        )
        note = folder / "guest.tmp"
        note.write_text(json.dumps(asdict(guest), default=str))
        note.rename(folder / "guest.json")
    except BaseException:
        process.kill()
        _clear(folder)
        raise
    return guest


def _await_other(name: str) -> Guest:
    """Return a machine that another process is just starting."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(UsageError):
            return find(name)
        time.sleep(0.1)
    raise SetupError(f"the machine {name} has a lock and does not answer: labwright vm down {name}")


def find(name: str) -> Guest:
    """Return a machine that runs.

    :raises UsageError: none of this name does.
    """
    for guest in running():
        if guest.name == name:
            return guest
    raise UsageError(
        f"no machine named {name[:60]!r} runs: start it with `labwright vm up {name[:60]}`"
    )


def running() -> list[Guest]:
    """Return the machines that run, by name."""
    found = []
    for note in sorted(machines().glob("*/guest.json")):
        if _is_locked(note.parent):
            with contextlib.suppress(OSError, ValueError, TypeError):
                body = json.loads(note.read_text())
                body["key"], body["known_hosts"] = Path(body["key"]), Path(body["known_hosts"])
                found.append(Guest(**body))
    return found


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def down(name: str) -> bool:
    """Stop a machine and remove what is left of it; return whether it ran."""
    if not NAME.fullmatch(name):
        return False
    folder = machines() / name
    ran = folder.is_dir() and _is_locked(folder)
    if ran:
        with contextlib.suppress(SetupError):
            qemu.monitor(folder, "quit")
        deadline = time.monotonic() + qemu.MONITOR_S
        while _is_locked(folder):
            if time.monotonic() > deadline:
                raise SetupError(f"the machine {name} does not stop: end its process by hand")
            time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)
    return ran


def _clear(folder: Path) -> None:
    """Remove what is left of a machine, but for its lock."""
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink(missing_ok=True)


@contextmanager
def ephemeral(state: str, known: dict[str, State]) -> Iterator[Guest]:
    """Run a machine of its own that is gone afterwards, also when we are killed."""
    name = f"tmp-{secrets.token_hex(4)}"
    try:
        yield up(name, state, known, dies_with_us=True)
    finally:
        down(name)


def prune() -> int:
    """Remove images and states that no machine stands on, and what dead machines left.

    :return: how many bytes of disk that freed.
    """
    freed = 0
    alive = running()
    for folder in machines().iterdir():
        if not _is_locked(folder):
            freed += states.remove(folder)
    with store.locked("build", "waiting for another labwright that builds the lab machine"):
        if not alive:
            for folder in store.root().iterdir():
                if folder.is_dir() and folder.name != "machines":
                    freed += states.remove(folder)
    return freed
