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
RELEASE_S = 10.0
_WATCH = 'read -r word; [ "$word" = released ] || kill -s "$1" -- "$2"'


def die_with_us() -> Callable[[], None]:
    """Return a ``preexec_fn`` for a process that is killed when we end, however we end.

    It is the kernel that kills it; only Linux does. The process must be started
    by a thread that lives as long as it.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def arrange() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return arrange


def end_with_parent() -> None:
    """End with SIGTERM when the process that started this one ends, however; only on Linux."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Leash:
    """Ends a process when we end, unless it was released before.

    A shell of a session of its own reads a pipe of ours: if we are gone without a word,
    the pipe closes. (What the kernel does for us, above, cannot be called off.)

    :param group: whether the process leads a group, all of which is asked to end, so that
        it can clean up; else it alone is killed.
    """

    def __init__(self, pid: int, *, group: bool = False) -> None:
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH, "sh", *(["TERM", f"-{pid}"] if group else ["KILL", str(pid)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Let the process outlive us."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._watcher.communicate(b"released\n", timeout=RELEASE_S)
