"""One QEMU process: its command line, its monitor (QMP), saving and restoring.

The guest's memory is a file. Saving a machine writes only the state of its devices
(``x-ignore-shared``): the memory is in the file already. Restoring maps that file privately,
so a machine begins without reading it, any number share it, and none changes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labwright.errors import SetupError
from labwright.host.leash import Leash, die_with_us
from labwright.vm import accelerator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY_MB = 1024
CPUS = 2
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet loglevel=4 mitigations=off apparmor=0 audit=0 nowatchdog "
    "init_on_alloc=0 net.ifnames=0 panic=-1"
)
MONITOR_S = 20.0
SAVE_S = 120.0
DEVICES = "devices"
MEMORY = "memory"
DISK = "disk.qcow2"


@dataclass(frozen=True)
class Launch:
    """What a QEMU process is started from. All files are in ``folder`` unless absolute."""

    folder: Path
    debian: Path
    """The folder with kernel and initramfs."""
    accelerator: str
    memory: Path
    """The file that is the guest's memory."""
    shared: bool
    """Whether the guest writes to that file, or to a private copy of its pages."""
    incoming: Path | None
    """The saved devices to begin with; None: boot."""
    dies_with_us: bool
    """Whether it ends when we do; else only until it is released."""
    lock: int | None = None
    """A lock's descriptor, to be held as long as the process lives; its file gets the pid."""


class Qemu:
    """A running QEMU process."""

    def __init__(self, process: subprocess.Popen[bytes], launch: Launch) -> None:
        self.process = process
        self._folder = launch.folder
        self._leash = None if launch.dies_with_us else Leash(process.pid)
        if launch.lock is not None:
            os.pwrite(launch.lock, str(process.pid).encode(), 0)

    @classmethod
    def start(cls, launch: Launch) -> Qemu:
        """Start a machine and let it run.

        :raises SetupError: QEMU did not start, with its own words.
        """
        errors = launch.folder / "qemu.err"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command_line(launch),
                cwd=launch.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[] if launch.lock is None else [launch.lock],
                start_new_session=True,
                preexec_fn=die_with_us() if launch.dies_with_us else None,
            )
        qemu = cls(process, launch)
        try:
            if launch.incoming:
                qemu._restore(launch.incoming)
            else:
                qemu.monitor("query-status")
        except BaseException:
            qemu.kill()
            raise
        return qemu

    def monitor(self, *commands: str | tuple[str, dict[str, Any]]) -> Any:
        """Give QEMU commands over QMP; return the last one's answer.

        :raises SetupError: QEMU has gone, or refuses a command.
        """
        return monitor(self._folder, *commands, process=self.process)

    def save(self, folder: Path) -> None:
        """Stop the machine permanently and write the state of its devices into a folder."""
        self.monitor(
            "stop",
            ("migrate-set-capabilities", _ignore_shared()),
            ("migrate", {"uri": f"exec:cat >{shlex.quote(str(folder / DEVICES))}"}),
        )
        deadline = time.monotonic() + SAVE_S
        while True:
            status = self.monitor("query-migrate").get("status")
            if status == "completed":
                break
            if status in ("failed", "cancelled") or time.monotonic() > deadline:
                raise SetupError(f"QEMU could not save the lab machine (status {status})")
            time.sleep(0.02)
        with contextlib.suppress(SetupError):  # it may be gone before it answers
            self.monitor("quit")
        self.process.wait(timeout=MONITOR_S)

    def release(self) -> None:
        """Let the machine outlive us."""
        if self._leash:
            self._leash.release()

    def kill(self) -> None:
        """End the process; nothing is left of it."""
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a device
            self.process.wait(timeout=MONITOR_S)
        self.release()

    def _restore(self, devices: Path) -> None:
        self.monitor(
            ("migrate-set-capabilities", _ignore_shared()),
            ("migrate-incoming", {"uri": f"exec:cat {shlex.quote(str(devices))}"}),
        )
        deadline = time.monotonic() + MONITOR_S
        while self.monitor("query-status").get("status") == "inmigrate":
            if time.monotonic() > deadline:
                raise SetupError("QEMU did not restore the lab machine in time")
            time.sleep(0.02)
        self.monitor("cont")


def monitor(
    folder: Path,
    *commands: str | tuple[str, dict[str, Any]],
    process: subprocess.Popen[bytes] | None = None,
) -> Any:
    """Give commands to the QEMU of a folder over QMP; return the last one's answer."""
    answer: Any = None
    try:
        with _connect(folder, process) as connection:
            connection.settimeout(MONITOR_S)
            stream = connection.makefile("rwb")
            for command in ("qmp_capabilities", *commands):
                name, arguments = (command, {}) if isinstance(command, str) else command
                stream.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
                stream.flush()
                answer = _answer(stream.readline, name)
    except (OSError, ValueError) as problem:
        raise SetupError(f"QEMU gives no answer: {_last_words(folder) or problem}") from None
    return answer


def port(folder: Path) -> int:
    """Return the loopback port that leads to the machine's SSH; QEMU chose a free one."""
    text = monitor(folder, ("human-monitor-command", {"command-line": "info usernet"}))
    found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", str(text))
    if not found:
        raise SetupError("QEMU forwards no port to the lab machine")
    return int(found[1])


def command_line(launch: Launch) -> list[str]:
    """Return QEMU's command line."""
    share = "on" if launch.shared else "off"
    path = str(launch.memory).replace(",", ",,")  # among options a comma ends a value
    memory = f"memory-backend-file,id=ram,size={MEMORY_MB}M,mem-path={path},share={share}"
    return [
        *(accelerator.QEMU, "-M", "pc,memory-backend=ram", "-smp", str(CPUS)),
        *("-m", f"{MEMORY_MB}M", "-object", memory),
        *accelerator.arguments(launch.accelerator),
        *("-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"),
        *("-serial", "file:serial.log"),
        *("-drive", f"file={DISK},if=virtio,cache=unsafe,discard=unmap"),
        *("-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-kernel", str(launch.debian / "vmlinuz"), "-initrd", str(launch.debian / "initramfs")),
        *("-append", KERNEL_ARGUMENTS),
        *("-qmp", "unix:qmp.sock,server=on,wait=off"),
        *(["-incoming", "defer"] if launch.incoming else []),
    ]


def _ignore_shared() -> dict[str, Any]:
    return {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


def _connect(folder: Path, process: subprocess.Popen[bytes] | None) -> socket.socket:
    """Connect to the monitor, which a new process opens a moment after its start.

    The socket is named through the folder's descriptor: its own path may be too long.
    """
    deadline = time.monotonic() + MONITOR_S
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(f"/proc/self/fd/{directory}/qmp.sock")
            except OSError:
                connection.close()
                gone = process is None or process.poll() is not None
                if gone or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return connection
    finally:
        os.close(directory)


def _answer(read: Callable[[], bytes], command: str) -> Any:
    """Return a command's answer; events and the greeting come between."""
    while True:
        line = read()
        if not line:
            if command == "quit":
                return None
            raise OSError("it closed its monitor")
        message = json.loads(line)
        if "return" in message:
            return message["return"]
        if "error" in message:
            raise SetupError(f"QEMU refuses {command}: {message['error'].get('desc')}")


def _last_words(folder: Path) -> str:
    path = folder / "qemu.err"
    lines = path.read_text(errors="backslashreplace").splitlines() if path.exists() else []
    return lines[-1] if lines else ""
