"""Terminals on the machine, each with a pty and its latest output. They survive a page reload.

Their number, the output kept, and the output waiting for a slow page are all limited. While a
page is slow, its terminal is not read: a program that prints without end then blocks, as with
a real terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 6
"""Maximum number of terminals."""
KEPT = 200_000
"""Bytes of the latest output that are shown again after a reload."""
CHUNK = 1 << 16
WAITING = 1 << 18
"""Bytes waiting for a slow page at which its terminal is no longer read."""
UNSEEN_S = 0.05
"""Seconds between two reads while no page is open that would slow them down."""
LARGEST = 500
"""Columns and rows."""
HANG_UP_S = 2.0
TYPING_TRIES = 250
"""Number of attempts, 20 ms apart, to write typed text to the program."""


class Viewer:
    """A page that shows a terminal, with the output it has not been sent yet."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._there = asyncio.Event()
        self.waiting = 0
        self.drained = asyncio.Event()
        self.drained.set()
        self.ended = False

    def put(self, data: bytes) -> None:
        """Add output."""
        self._pieces.append(data)
        self.waiting += len(data)
        if self.waiting > WAITING:
            self.drained.clear()
        self._there.set()

    def end(self) -> None:
        """Mark the end of the output."""
        self.ended = True
        self._there.set()

    async def get(self) -> bytes:
        """Wait for output and return it; empty at the end."""
        while not self._pieces and not self.ended:
            self._there.clear()
            await self._there.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        self.drained.set()
        return data


class Pty:
    """A program on its own pseudo-terminal."""

    def __init__(self, argv: list[str]) -> None:
        """Start it."""
        self.descriptor, far = os.openpty()
        try:
            # Not pty.fork(): this process has threads. A session leader that opens a terminal
            # gets it as its controlling terminal.
            place = os.ttyname(far)
            self._pid = os.posix_spawnp(
                argv[0],
                argv,
                {**os.environ, "TERM": "xterm-256color"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, place, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, 0, 2),
                ],
                setsid=True,
            )
        finally:
            os.close(far)
        os.set_blocking(self.descriptor, False)
        self._ended = False

    def resize(self, columns: int, rows: int) -> None:
        """Set its size; the kernel notifies the program."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        """Send a signal to the program and its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._ended:
                os.killpg(self._pid, number)

    def has_ended(self) -> bool:
        """Whether the program has ended."""
        if not self._ended:
            self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
        return self._ended

    def wait(self) -> None:
        """Wait until it has ended."""
        if not self._ended:
            os.waitpid(self._pid, 0)
            self._ended = True

    def close(self) -> None:
        """Close the terminal; the kernel sends SIGHUP to its programs."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Terminal:
    """A shell on the machine."""

    def __init__(self, argv: list[str], on_end: Callable[[], None]) -> None:
        """Start it; call it in the event loop."""
        self._pty = Pty(argv)
        self._kept = bytearray()
        self._viewers: set[Viewer] = set()
        self._on_end = on_end
        self.ended = False
        self._reading = asyncio.create_task(self._read())

    def show(self) -> tuple[bytes, Viewer]:
        """Return the kept output, and a viewer that receives all later output."""
        viewer = Viewer()
        if self.ended:
            viewer.end()
        self._viewers.add(viewer)
        return bytes(self._kept), viewer

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self._viewers.discard(viewer)
        viewer.drained.set()

    async def type(self, text: str) -> None:
        """Write typed text to the program."""
        data = memoryview(text.encode("utf-8", "replace"))
        for _ in range(TYPING_TRIES):
            try:
                while data and not self.ended:
                    data = data[os.write(self._pty.descriptor, data) :]
                return
            except BlockingIOError:  # the program reads more slowly than the text was pasted
                await asyncio.sleep(0.02)
            except OSError:
                return

    def resize(self, columns: int, rows: int) -> None:
        """Set its size to the page's."""
        if not self.ended:
            with contextlib.suppress(OSError):
                self._pty.resize(min(max(columns, 2), LARGEST), min(max(rows, 2), LARGEST))

    async def close(self) -> None:
        """Close the terminal, and kill the program if that does not end it."""
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        self._finish()
        self._pty.signal(signal.SIGHUP)
        self._pty.close()
        for _ in range(int(HANG_UP_S / 0.05)):
            if self._pty.has_ended():
                return
            await asyncio.sleep(0.05)
        self._pty.signal(signal.SIGKILL)
        await asyncio.to_thread(self._pty.wait)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._pty.descriptor
        ready = asyncio.Event()
        while True:
            ready.clear()
            loop.add_reader(descriptor, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(descriptor)
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                continue
            except OSError:  # Linux reports a closed pty this way
                data = b""
            if not data:
                break
            self._keep(data)
            if not self._viewers:
                await asyncio.sleep(UNSEEN_S)
            for viewer in tuple(self._viewers):
                await viewer.drained.wait()
        self._finish()
        self._on_end()

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > KEPT:
            # Start at a line, not in the middle of a character or an escape sequence.
            cut = self._kept.find(b"\n", len(self._kept) - KEPT)
            del self._kept[: cut + 1 if cut >= 0 else len(self._kept) - KEPT]
        for viewer in self._viewers:
            viewer.put(data)

    def _finish(self) -> None:
        self.ended = True
        for viewer in self._viewers:
            viewer.end()


class Terminals:
    """All open terminals, by number."""

    def __init__(self, argv: Callable[[], list[str]], changed: Callable[[], None]) -> None:
        """Create it without terminals.

        :param argv: returns the arguments of a program that is a shell on the machine.
        """
        self._argv, self._changed = argv, changed
        self._open: dict[int, Terminal] = {}
        self._last = 0

    @property
    def numbers(self) -> list[int]:
        """The numbers of the open terminals."""
        return list(self._open)

    def get(self, number: int) -> Terminal | None:
        """Return a terminal, or None if the number is unknown."""
        return self._open.get(number)

    async def open(self) -> int | None:
        """Open a terminal and return its number, or None if there are too many.

        :raises MachineError: the machine cannot be reached.
        """
        if len(self._open) >= MOST:
            return None
        argv = await asyncio.to_thread(self._argv)
        if len(self._open) >= MOST:
            return None
        self._last = number = self._last + 1
        self._open[number] = Terminal(argv, lambda: self._ended(number))
        self._changed()
        return number

    async def close(self, number: int) -> None:
        """Close a terminal."""
        terminal = self._open.pop(number, None)
        if terminal:
            self._changed()
            await terminal.close()

    async def close_all(self) -> None:
        """Close all terminals."""
        await asyncio.gather(*(self.close(number) for number in self.numbers))

    def _ended(self, number: int) -> None:
        terminal = self._open.pop(number, None)
        if terminal:
            asyncio.get_running_loop().create_task(terminal.close())
            self._changed()
