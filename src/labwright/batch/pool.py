"""Grades many students at once on this computer, each in its own process.

A fork server, which has imported everything, forks the processes
(:mod:`~labwright.batch.fork_server`). Each process reports through its own pipe and is ended at
its time limit; the steps that it has reported until then count. This module runs one loop in
one thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from labwright.batch.fork_server import GRACE_S
from labwright.batch.task import Examined
from labwright.machines.process import end_session
from labwright.score import step_from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from labwright.batch.stop import Stop
    from labwright.batch.task import Task
    from labwright.score import StepResult

PER_CORE = 8
"""Students graded at once for each core. Measured by benchmarks/batch.py: a student takes 0.4 s
of CPU time, and the rest of 10 s or more is spent waiting for the machine. With slow machines,
twice as many can be faster: see ``paced`` there."""
MEBIBYTES_EACH = 150
"""MiB for a student's process and its ssh, with a margin."""
TICK_S = 0.25
"""Seconds between checks for a stop request or a time limit."""
ANSWER_S = 60.0
"""Seconds that the fork server has to start, to fork, or to end."""
LONGEST_LINE = 256 << 20
"""Bytes. Evidence is bounded, so a longer line was not written by labwright."""


class Listener(Protocol):
    """Receives an event when the grading of a student starts or ends."""

    def started(self, id: str) -> None:
        """The grading of a student has started."""

    def ended(self, examined: Examined) -> None:
        """The grading of a student has ended, with or without a grade."""


def workers_for(students: int) -> int:
    """Return how many students to grade at once, limited by cores and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    by_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(1, min(students, (cores or 1) * PER_CORE, by_memory // (MEBIBYTES_EACH << 20)))


def spread(
    groups: Sequence[Sequence[Task]], workers: int, stop: Stop, lock: Path, listener: Listener
) -> None:
    """Grade groups of students in parallel; the students of a group one after another.

    :param workers: the number of students at once; 0: as many as this computer can handle.
    :param lock: a file on which every process holds a shared lock as long as it lives.
    """
    workers = workers or workers_for(len(groups))
    waiting = deque(deque(group) for group in groups if group)
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(held, fcntl.LOCK_SH)
    try:
        with ForkServer(held) as server, selectors.DefaultSelector() as selector:
            running: dict[Running, deque[Task]] = {}
            try:
                while (waiting and not stop.finishing) or running:
                    while waiting and len(running) < workers and not stop.finishing:
                        group = waiting.popleft()
                        _begin(server, group, running, selector, listener)
                    for one in _over(selector, running, stop):
                        group = running.pop(one)
                        if one.examined or not stop.abandoned:
                            listener.ended(one.result())
                        if group and not stop.finishing:
                            _begin(server, group, running, selector, listener)
            finally:
                for one in running:
                    one.release()
    finally:
        os.close(held)


def _begin(
    server: ForkServer,
    group: deque[Task],
    running: dict[Running, deque[Task]],
    selector: selectors.BaseSelector,
    listener: Listener,
) -> None:
    """Start the next task of a group."""
    task = group.popleft()
    listener.started(task.id)
    one = server.start(task)
    running[one] = group
    selector.register(one.heard, selectors.EVENT_READ, one)


def _over(
    selector: selectors.BaseSelector, running: dict[Running, deque[Task]], stop: Stop
) -> list[Running]:
    """Read the processes' reports; return the processes that have finished."""
    over = []
    for key, _ in selector.select(TICK_S):
        if not key.data.read_report():
            selector.unregister(key.fd)
            key.data.release()
            over.append(key.data)
    for one in running:
        one.end_if_due(abandoned=stop.abandoned)
    return over


class Running:
    """A process that grades one student, and what it has reported so far."""

    def __init__(self, task: Task, heard: int, leash: int) -> None:
        self.task = task
        self.heard = heard
        self.examined: Examined | None = None
        self._leash = leash
        self._steps: list[StepResult] = []
        self._words = "its process was killed; is there too little memory?"
        self._text = bytearray()
        self._process = 0
        self._began = time.monotonic()
        self._let_go = 0.0
        """When it was asked to end (monotonic clock); 0: not yet."""

    def read_report(self) -> bool:
        """Read a report; return whether more can follow."""
        data = os.read(self.heard, 1 << 16)
        self._text += data
        if len(self._text) > LONGEST_LINE:
            self._words = "its report was too long"
            return False
        if b"\n" in data:
            *lines, rest = bytes(self._text).split(b"\n")
            self._text[:] = rest
            for line in lines:
                self._take(*json.loads(line))
        return bool(data)

    def _take(self, what: str, body: str) -> None:
        if what == "process":
            self._process = int(body)
        elif what == "step":
            self._steps.append(step_from_dict(json.loads(body)))
        elif what == "examined":
            self.examined = Examined.from_json(body)
        elif what == "words":
            self._words = body

    def end_if_due(self, *, abandoned: bool) -> None:
        """At the time limit, or if abandoned, ask the process to end; later kill it."""
        now = time.monotonic()
        late = now - self._began > self.task.limit_s + (GRACE_S if self.examined else 0)
        if self._leash >= 0 and (late or abandoned):
            self._let_go = now
            if late and not abandoned:
                self._words = ""
            os.close(self._leash)
            self._leash = -1
        elif self._let_go and now - self._let_go > GRACE_S + 1 and self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process, signal.SIGKILL)

    def result(self) -> Examined:
        """Return the student's result."""
        if self.examined:
            return self.examined
        reason = f"labwright itself failed: {self._words}"
        if self._let_go:
            reason = f"the time limit of {self.task.limit_s:g} s for a student was reached"
        return cut_short(self.task, reason, self._steps)

    def release(self) -> None:
        """Close our ends of its pipes, which also ends the process."""
        for file in (self._leash, self.heard):
            if file >= 0:
                os.close(file)
        self._leash = self.heard = -1


class ForkServer:
    """The fork server's process. It is started at first use; threads may share it."""

    def __init__(self, lock: int = -1) -> None:
        """Prepare it; the process is started at first use.

        :param lock: a file descriptor that the process and its children keep open until they end.
        """
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> ForkServer:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and its children."""
        if self._socket:
            self._socket.close()
        if self._process:
            try:
                self._process.wait(ANSWER_S)
            except subprocess.TimeoutExpired:
                end_session(self._process)

    def start(self, task: Task) -> Running:
        """Start a task in a new process."""
        told_here, told_there = os.pipe()
        leash_there, leash_here = os.pipe()
        try:
            with self._one_at_a_time:
                self._ask(task.to_json().encode() + b"\n", [told_there, leash_there])
        except OSError:  # the pipe then ends at once, which is reported as a broken task
            self._socket = None
        finally:
            os.close(told_there)
            os.close(leash_there)
        return Running(task, told_here, leash_here)

    def _ask(self, line: bytes, files: list[int]) -> None:
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._begin()
        assert self._socket  # noqa: S101
        socket.send_fds(self._socket, [line[:1]], files)
        self._socket.sendall(line[1:])
        self._socket.recv(1)  # wait for the answer, so that two tasks are never read as one

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            # "-P": never import a file in the current folder, such as a student's json.py.
            [sys.executable, "-P", "-m", "labwright.batch.fork_server"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A session of its own: Ctrl-C reaches only this process, which then ends the server.
            start_new_session=True,
            pass_fds=(self._lock,) if self._lock >= 0 else (),
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        )
        theirs.close()
        self._socket = ours
        ours.settimeout(ANSWER_S)
        ours.recv(1)


def examine(
    server: ForkServer, task: Task, abandoned: Callable[[], bool] = lambda: False
) -> Examined | None:
    """Grade one student; return the result, or None if it was abandoned.

    :param abandoned: called regularly; when it returns true, the process is ended.
    """
    one = server.start(task)
    with selectors.DefaultSelector() as selector:
        selector.register(one.heard, selectors.EVENT_READ)
        try:
            gone = False
            while True:
                gone = gone or abandoned()
                if selector.select(TICK_S) and not one.read_report():
                    return one.examined if gone else one.result()
                one.end_if_due(abandoned=gone)
        finally:
            one.release()


def cut_short(task: Task, reason: str, steps: list[StepResult]) -> Examined:
    """Return a partial result: steps that were reported count, the others are broken."""
    if task.reach_only:
        return Examined(task.id, None, reason, reached=False)
    # Imported late: seldom needed, and slow to import.
    from labwright.batch.grade_one import all_broken

    score = all_broken(task, reason, tuple(steps))
    return Examined(task.id, score, reason, reached=bool(steps), text=score.to_json())


def broken(task: Task, reason: str) -> Examined:
    """Return the result of a task that could not be run."""
    return replace(cut_short(task, reason, []), seconds=0.0)
