"""Has one machine examined by a process of its own, within a time limit.

A process for each student, since nothing that a target does may reach another student: a
process that hangs or dies takes one student's unfinished steps with it and no more.
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

from labwright.batch.examiner import all_broken, reports
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


def examine(task: Task, abandoned: Callable[[], bool] = lambda: False) -> Examined | None:
    """Examine a machine; return what became of it, or None where it was abandoned.

    :param abandoned: asked now and then; once it says yes, the process is ended.
    """
    start = time.monotonic()
    steps: list[StepResult] = []
    with _Process(task) as process:
        for what, body in process.told():
            if what == "step":
                steps.append(step_from_dict(json.loads(body)))
            elif what == "examined":
                return Examined.from_json(body)
            elif what == "tick":
                if abandoned():
                    return None
                if time.monotonic() - start > task.limit_s:
                    process.end()
                    return _cut_short(
                        task, f"the time limit of {task.limit_s:g} s for a student was over", steps
                    )
        reason = f"labwright itself failed: the examiner ended early: {process.last_words()}"
    return _cut_short(task, reason, steps)


def _cut_short(task: Task, reason: str, steps: list[StepResult]) -> Examined:
    """Return what is known: the steps that were examined count, the others are broken."""
    if task.reach_only:
        return Examined(task.id, None, reason, reached=False)
    score = all_broken(task, reason, tuple(steps))
    return Examined(task.id, score, reason, reached=bool(steps), files=reports(score))


def broken(task: Task, reason: str) -> Examined:
    """Return what becomes of a task that nobody could do."""
    return replace(_cut_short(task, reason, []), seconds=0.0)


class _Process:
    """The examiner's process and its pipes."""

    def __init__(self, task: Task) -> None:
        self._words = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labwright.batch.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C is for whoever leads: they tell us when to end.
            start_new_session=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
                # What else is installed for pytest has no business here, and costs each
                # student seconds: the examiner names the one plugin that it needs.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
        )
        assert self._process.stdin  # noqa: S101  it was asked for
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(task.to_json().encode() + b"\n")
            self._process.stdin.flush()

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def told(self) -> Iterator[tuple[str, str]]:
        """Yield what the process tells, and a tick now and then, until it ends."""
        assert self._process.stdout and self._process.stderr  # noqa: S101, PT018
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
        """Return the last line that the process wrote on its standard error."""
        lines = self._words.decode(errors="backslashreplace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.poll()}"

    def end(self) -> None:
        """End the process, which closes its connection if it still can."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


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
