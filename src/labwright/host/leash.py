"""Ends child processes when labwright ends, even if it is killed."""

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
    """Return a ``preexec_fn`` for a child process that must be killed when this process ends.

    The kernel kills it (Linux only). The thread that starts the child must live as long as the
    child.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def arrange() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the request was made
            os._exit(1)

    return arrange


def end_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends (Linux only)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Leash:
    """Ends a process when this process ends, unless it was released before.

    A shell in its own session reads from a pipe. When this process ends without releasing it,
    the pipe closes and the shell ends the process. (:func:`die_with_us` cannot be cancelled.)

    :param group: the process leads a process group: send SIGTERM to the group, so that it can
        clean up. Otherwise only the process is killed.
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
        """Let the process continue after this process ends."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._watcher.communicate(b"released\n", timeout=RELEASE_S)
