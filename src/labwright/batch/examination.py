"""Has machines examined by processes of their own, within a time limit.

A process for each student, since nothing that a target does may reach another student: a
process that hangs or dies takes one student's unfinished steps with it and no more. It is
forked off one that has imported everything, which costs more than examining a machine does.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labwright.batch.task import Examined
from labwright.score import step_from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labwright.batch.task import Task
    from labwright.score import StepResult

TICK_S = 0.25
"""How often is asked whether to go on."""
GRACE_S = 6.0
"""Seconds in which a process that is told to end may close its connection."""
LONGEST_LINE = 256 << 20
"""Bytes: evidence is bounded, so a longer line is none of ours."""
LAST_WORDS = 2000


class Examiners:
    """Processes that stand ready to examine; each is at one machine at a time.

    May be used by several threads at once. They end when whoever holds this does.
    """

    def __init__(self, inherited: tuple[int, ...] = ()) -> None:
        """Start none yet.

        :param inherited: files that they hold open as long as they live, such as a lock.
        """
        self._inherited = inherited
        self._idle: list[_Process] = []

    def examine(self, task: Task, abandoned: Callable[[], bool] = lambda: False) -> Examined | None:
        """Examine a machine; return what became of it, or None where it was abandoned.

        :param abandoned: asked now and then; once it says yes, the process is ended.
        """
        start = time.monotonic()
        steps: list[StepResult] = []
        examined: Examined | None = None
        ended = "no word of it"
        process = self._ready()
        try:
            for what, body in process.told(task):
                if what == "step":
                    steps.append(step_from_dict(json.loads(body)))
                elif what == "examined":
                    examined = Examined.from_json(body)
                elif what == "ended":
                    ended = f"status {body}"
                    break
                elif abandoned():
                    process.end()
                    return examined
                elif time.monotonic() - start > task.limit_s + (GRACE_S if examined else 0):
                    process.end()
                    reason = f"the time limit of {task.limit_s:g} s for a student was over"
                    return examined or _cut_short(task, reason, steps)
            words = process.last_words() or ended
            reason = f"labwright itself failed: the examiner ended early: {words}"
        except BaseException:
            process.end()
            raise
        if process.running:
            self._idle.append(process)
        else:
            process.end()
        return examined or _cut_short(task, reason, steps)

    def close(self) -> None:
        """End those that stand ready."""
        while self._idle:
            self._idle.pop().end()

    def _ready(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.running:
                return process
            process.end()
        return _Process(self._inherited)


def _cut_short(task: Task, reason: str, steps: list[StepResult]) -> Examined:
    """Return what is known: the steps that were examined count, the others are broken."""
    if task.reach_only:
        return Examined(task.id, None, reason, reached=False)
    # Here, since few workers ever need it and it imports much.
    from labwright.batch.examiner import all_broken

    score = all_broken(task, reason, tuple(steps))
    return Examined(task.id, score, reason, reached=bool(steps), text=score.to_json())


def broken(task: Task, reason: str) -> Examined:
    """Return what becomes of a task that nobody could do."""
    return replace(_cut_short(task, reason, []), seconds=0.0)


class _Process:
    """A process that forks an examiner for each task, and its pipes."""

    def __init__(self, inherited: tuple[int, ...]) -> None:
        self._words = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labwright.batch.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C is for whoever leads: they tell us when to end.
            start_new_session=True,
            pass_fds=inherited,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        )

    @property
    def running(self) -> bool:
        """Whether it could do another task."""
        return self._process.poll() is None

    def told(self, task: Task) -> Iterator[tuple[str, str]]:
        """Have a task done; yield what is told of it, and a tick now and then."""
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101, PT018
        self._words = b""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(task.to_json().encode() + b"\n")
            self._process.stdin.flush()
        heard = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, "told")
            selector.register(self._process.stderr, selectors.EVENT_READ, "words")
            while selector.get_map():
                for key, _ in selector.select(TICK_S):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data == "words":
                        self._words = (self._words + data)[-LAST_WORDS:]
                    else:
                        heard += data
                        yield from _lines(heard, data)
                yield "tick", ""

    def last_words(self) -> str:
        """Return the last line that was written on standard error, if any was."""
        lines = self._words.decode(errors="backslashreplace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """End it; an examiner closes its connection if it still can."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a device
                self._process.wait(GRACE_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


def _lines(heard: bytearray, new: bytes) -> Iterator[tuple[str, str]]:
    """Take the whole lines out of what was heard."""
    if len(heard) > LONGEST_LINE:
        raise ValueError("a line of the examiner's is too long")
    if b"\n" not in new:
        return
    *lines, rest = bytes(heard).split(b"\n")
    heard[:] = rest
    for line in lines:
        what, body = json.loads(line)
        yield str(what), str(body)
