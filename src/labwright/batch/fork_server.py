"""Forks a process for each student: ``python -m labwright.batch.fork_server``.

Importing everything takes longer than grading, so this process imports once and then forks
for each student. A target can then affect only its own student: if a process hangs or
dies, only the unfinished steps of that student are lost.

Standard input is a socket. Each line is a task and comes with two file descriptors. The task's
process writes its result to the first as lines of JSON. The second is a pipe (the leash): the
process ends when the other end is closed. All processes end when the socket is closed, so they
also end if the parent process dies.
"""

from __future__ import annotations

import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

GRACE_S = 5.0
"""Seconds that a process has to close its connection after it was told to end."""
LAST_WORDS = 2000
WAKE_S = 0.5
LARGEST_TASK = 1 << 20
READY = b"."


def main() -> int:
    """Fork a process for each task until the parent process ends."""
    asked = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _import_everything()
    asked.sendall(READY)
    running: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        while True:
            if selector.select(WAKE_S):
                line, files = _receive(asked)
                if not line:
                    break
                running.add(_fork(asked, line, *files))
                asked.sendall(READY)
            running -= _ended(running)
    return _end(running)


def _receive(asked: socket.socket) -> tuple[str, list[int]]:
    """Return a task and its file descriptors; "" and [] if the parent process has ended."""
    data, files, _, _ = socket.recv_fds(asked, LARGEST_TASK, 2)
    while data and not data.endswith(b"\n"):
        more = asked.recv(LARGEST_TASK)
        data = data + more if more else b""
    return data.decode(), files


def _fork(asked: socket.socket, line: str, told: int, leash: int) -> int:
    child = os.fork()
    if child == 0:
        asked.close()
        _grade_and_exit(line, told, leash)
    os.close(told)
    os.close(leash)
    return child


def _ended(running: set[int]) -> set[int]:
    return {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]}


def _end(running: set[int]) -> int:
    """Wait for the processes, whose leashes are closed now; kill those that hang."""
    deadline = time.monotonic() + GRACE_S + 1
    while running and time.monotonic() < deadline:
        time.sleep(0.05)
        running -= _ended(running)
    for pid in running:
        os.killpg(pid, signal.SIGKILL)
    return 0


def _import_everything() -> None:
    from labwright import plugin
    from labwright.batch import grade_one  # noqa: F401  as the rest of it

    for name in plugin.pytest_plugins:
        importlib.import_module(name)
    # Objects that exist now are never freed. Without this, a garbage collection in a child
    # would write to their pages and so copy them into the child's own memory.
    gc.freeze()


def _grade_and_exit(line: str, told: int, leash: int) -> NoReturn:
    """Do one task in this process, then exit."""
    status = 1
    # At the level of file descriptors, since subprocesses print, too.
    stream = os.fdopen(told, "w", encoding="utf-8", errors="backslashreplace")
    try:
        os.setsid()
        os.dup2(2, 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_end_with_leash, args=(leash,), daemon=True).start()
        from labwright.batch.grade_one import Teller, grade_one
        from labwright.batch.task import Task

        teller = Teller(stream)
        teller.tell("process", str(os.getpid()))
        teller.tell("examined", grade_one(Task.from_json(line), teller).to_json())
        status = 0
    except KeyboardInterrupt:
        status = 130
    except BaseException as problem:  # noqa: BLE001  reported as the reason
        Teller(stream).tell("words", f"{type(problem).__name__}: {problem}"[:LAST_WORDS])
    finally:
        # Skip the interpreter's exit handlers: they are the parent's.
        os._exit(status)


def _end_with_leash(leash: int) -> None:
    """Interrupt this process when the leash is closed; kill it if it does not end."""
    os.read(leash, 1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
