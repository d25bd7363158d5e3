"""Processes that end when we do, however we end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_WATCH = 'read -r word; [ "$word" = released ] || kill -9 "$1"'


def die_with_us(how: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """Return a ``preexec_fn`` for a process that is to end when we do, even if we are killed.

    It is the kernel that sends the signal; only Linux does. The process must be started
    by a thread that lives as long as it.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def arrange() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return arrange


class Leash:
    """Ends a process when we end, unless it was released before.

    A shell of a session of its own reads a pipe of ours: if we are gone without a word,
    the pipe closes. (What the kernel does for us, above, cannot be called off.)
    """

    def __init__(self, pid: int) -> None:
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH, "sh", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Let the process outlive us."""
        with contextlib.suppress(BrokenPipeError):
            self._watcher.communicate(b"released\n")
