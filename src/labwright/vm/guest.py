"""Lab machines that run: each with its own disk, memory, port and lock.

A machine's lock is held by its QEMU process itself, from before it starts until however it
ends: a machine whose lock is free does not run, whatever files it left behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import LabwrightError, SetupError, UsageError
from labwright.host.files import write_text
from labwright.host.progress import say
from labwright.machines.destination import Destination
from labwright.vm import qemu, states, store
from labwright.vm.qemu import Launch, Qemu

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labwright.vm.states import State

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 40
TEMPORARY = "tmp-"
"""How the name of a machine begins that ends with the command that has started it."""
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
    stands_on: tuple[str, ...] = ()
    """The folders of the cache that it needs as long as it runs."""
    lab: str = ""
    """The lab whose state it is."""
    system: str = ""
    """What it runs."""

    @property
    def is_temporary(self) -> bool:
        """Whether it ends with the command that has started it."""
        return self.name.startswith(TEMPORARY)

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


def up(
    name: str, state: str, known: dict[str, State], *, lab: str = "", dies_with_us: bool = False
) -> Guest:
    """Start a machine in a state; one that runs already is returned as it is.

    :param known: the states that there are.
    :param lab: the name of the lab to which they belong.
    :raises UsageError: no such state, or no proper name.
    :raises SetupError: it could not be started.
    """
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise UsageError(
            f"not a machine's name: {name[:60]!r}: write small letters, digits and single dashes, "
            f"at most {LONGEST_NAME}"
        )
    if state not in known:
        of = f" of the lab {lab}" if lab else ""
        raise UsageError(f"no state {state!r}: the states{of} are {', '.join(known)}")
    saved = states.saved(known[state])
    begin = Begin(name, lab, known[state], dies_with_us)
    try:
        return _claim_and_start(begin, saved)
    except LabwrightError:
        if not states.discard_damaged(saved.chain):
            raise
        say(f"the saved state {state} is damaged and is made again")
    return _claim_and_start(begin, states.saved(known[state]))


@dataclass(frozen=True)
class Begin:
    """What is wanted of a machine that is not there yet."""

    name: str
    lab: str
    state: State
    dies_with_us: bool


def _claim_and_start(begin: Begin, saved: states.Saved) -> Guest:
    """Start a machine, or wait for the process that is just starting it."""
    name = begin.name
    folder = machines() / name
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        lock = _claim(folder)
        if lock is None:
            with contextlib.suppress(UsageError):
                return find(name)
            time.sleep(0.05)
            continue
        try:
            return _start(begin, saved, folder, lock)
        finally:
            os.close(lock)
    raise SetupError(f"the machine {name} has a lock and does not answer: labwright vm down {name}")


def _claim(folder: Path) -> int | None:
    """Take the lock of a machine's folder, which is made; None if another process has it."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the folder of a dead machine was just removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (folder / "lock").stat()):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:  # removed between the two
            pass
        os.close(lock)


def _start(begin: Begin, saved: states.Saved, folder: Path, lock: int) -> Guest:
    _clear(folder)
    process: Qemu | None = None
    try:
        os.truncate(lock, 0)
        states.overlay(saved.folder / qemu.DISK, folder)
        process = Qemu.start(
            Launch(
                folder=folder,
                debian=saved.debian,
                accelerator=saved.accelerator,
                memory=saved.folder / qemu.MEMORY,
                shared=False,
                incoming=saved.folder / qemu.DEVICES,
                dies_with_us=begin.dies_with_us,
                lock=lock,
            )
        )
        reached = states.reach(folder, saved.debian)
        with closing(states.connected(reached, process, READY_S)) as machine:
            states.set_clock(machine)
        guest = Guest(
            name=begin.name,
            state=begin.state.name,
            port=reached.port or 0,
            user=states.USER,
            key=saved.debian / "id_ed25519",
            known_hosts=folder / "known_hosts",
            pid=process.process.pid,
            accelerator=saved.accelerator,
            since=time.time(),
            stands_on=tuple(below.name for below in saved.chain),
            lab=begin.lab,
            system=begin.state.system.name,
        )
        write_text(folder / "guest.json", json.dumps(asdict(guest), default=str))
        process.release()
    except BaseException as problem:
        if process:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            raise store.no_room(folder) from None
        raise
    return guest


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
    """Return the machines that run, by name; remove what others that died have left."""
    found = []
    for folder in sorted(machines().iterdir()):
        if _is_locked(folder):
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                body = json.loads((folder / "guest.json").read_text())
                body["key"], body["known_hosts"] = Path(body["key"]), Path(body["known_hosts"])
                body["stands_on"] = tuple(body.get("stands_on", ()))
                found.append(Guest(**body))
        else:
            _remove_dead(folder)
    return found


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        # Shared: two that look at the same time are not in each other's way.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _remove_dead(folder: Path) -> None:
    """Remove the folder of a machine that does not run, unless one is started there now."""
    with contextlib.suppress(OSError):
        lock = os.open(folder / "lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def down(name: str) -> bool:
    """Stop a machine and remove what is left of it; return whether it ran."""
    if not NAME.fullmatch(name):
        return False
    folder = machines() / name
    ran = folder.is_dir() and _is_locked(folder)
    if ran:
        _end(folder)
    _remove_dead(folder)
    return ran


def _end(folder: Path) -> None:
    """End the process that holds a machine's lock: its disk is thrown away, so it may be killed.

    :raises SetupError: it cannot be ended.
    """
    deadline = time.monotonic() + qemu.MONITOR_S
    while _is_locked(folder):
        # The pid is that of the process as long as it holds the lock; it notes it at once.
        with contextlib.suppress(ValueError, ProcessLookupError, FileNotFoundError):
            os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SetupError(f"the machine {folder.name} does not stop: end its process by hand")
        time.sleep(0.02)


def _clear(folder: Path) -> None:
    """Remove what is left of a machine, except its lock."""
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink(missing_ok=True)


@contextmanager
def ephemeral(state: str, known: dict[str, State], *, lab: str = "") -> Iterator[Guest]:
    """Run a machine of its own that is gone afterwards, also when we are killed."""
    name = f"{TEMPORARY}{secrets.token_hex(4)}"
    try:
        yield up(name, state, known, lab=lab, dies_with_us=True)
    finally:
        down(name)


def prune(known: Iterable[State], *, everything: bool = False) -> int:
    """Remove images and states that are out of date, and what dead machines left.

    :param known: the states that there are, of all labs.
    :param everything: also those that a machine could begin with now.
    :return: how many bytes of disk that freed. What a machine that runs stands on is kept.
    """
    with store.locked("build", "waiting: a lab machine is already being built"):
        kept = {below for guest in running() for below in guest.stands_on}
        if not everything:
            kept |= {folder.name for folder in states.in_cache(known)}
        freed = store.sweep()
        for note in store.root().glob(f"*/{store.NOTE}"):
            if note.parent.name not in kept:
                freed += store.remove(note.parent)
    return freed
