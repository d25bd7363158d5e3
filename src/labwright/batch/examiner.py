"""Examines machines, each in a process of its own: ``python -m labwright.batch.examiner``.

A line of JSON on standard input is a task, for which a process is forked; lines of JSON on
standard output tell each step as it is done, the whole, and that the process has ended, so
that the next task may follow. All end when standard input does: whoever started them ends
them so, and cannot leave them behind by dying.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from labwright.batch import reach
from labwright.batch.task import Examined, Identity, Task, definition_of
from labwright.errors import LabwrightError
from labwright.grading import judge_again, step_check
from labwright.host.temporary import Scratch
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from typing import TextIO

    from labwright.machines.machine import Machine
    from labwright.score import Score, StepResult

REASON_LIMIT = 300
GRACE_S = 5.0
"""Seconds in which an examination that is not wanted any more may close its connection."""


class Telling:
    """Tells each step to whoever started us: it counts, whatever becomes of the rest."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, result: StepResult) -> None:
        """A step has been examined."""
        self.tell("step", json.dumps(asdict(result)))

    def tell(self, what: str, body: str) -> None:
        """Write one line."""
        self._stream.write(json.dumps([what, body]) + "\n")
        self._stream.flush()


def examine(task: Task, listener: Telling) -> Examined:
    """Reach a machine, and run the lab's steps on it."""
    start = time.monotonic()
    with Scratch() as folder:
        identity = Identity()
        met: tuple[str, ...] = ()
        try:
            if task.definition not in ("", definition_of(find_lab(task.lab))):
                raise LabwrightError(
                    f"{platform.node()} has another version of the lab {task.lab}: install the "
                    "same labwright there"
                )
            if task.record:
                score = _judge_again(task, listener)
            else:
                machine = reach.connection(task, folder)
                try:
                    identity = reach.probe(task, machine, folder)
                    met = reach.pins(folder)
                    listener.tell("reached", "")
                    score = None if task.reach_only else _run(task, machine, listener)
                finally:
                    machine.close()
            problem, reached = _problem(score), True
        except LabwrightError as failure:
            problem, reached = _explained(str(failure)), False
            score = None if task.reach_only else all_broken(task, problem)
    text = "" if score is None else score.to_json()
    took = round(time.monotonic() - start, 2)
    return Examined(task.id, score, problem, reached, identity, met, text, took)


def _run(task: Task, machine: Machine, listener: Telling) -> Score:
    from labwright.plugin import grade

    folder = find_lab(task.lab)
    options = [f"--target={task.target}", *task.options]
    score = grade(folder, options, listener, machine)
    # Their order is the lab's also where pytest could not keep it.
    return replace(score, target=task.target)


def _judge_again(task: Task, listener: Telling) -> Score:
    """Judge a record once more, by the lab as it is here and now."""
    from labwright.plugin import grade

    old = judge_again.read_score(Path(task.record))
    lab = load_lab(find_lab(task.lab))
    options = [*judge_again.options(old, lab), *task.options]
    return judge_again.dated(grade(lab.folder, options, listener, judge_again.recorded(old)), old)


def _problem(score: Score | None) -> str:
    """Say why a score is no grade, or nothing."""
    broken = [s for s in score.steps if s.outcome is Outcome.BROKEN] if score else []
    if not broken:
        return ""
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{broken[0].id}{more}: {broken[0].reason}"[:REASON_LIMIT]


def _explained(reason: str) -> str:
    if "Host key verification failed" in reason or "host key" in reason.lower():
        reason = reason.rstrip(".") + (
            ": it is neither the key that was met before nor one that the roster names. If the "
            "machine was made anew, remove its line from known_hosts in the output folder"
        )
    return reason


def all_broken(task: Task, reason: str, done: tuple[StepResult, ...] = ()) -> Score:
    """Return the score of a run that ended early: what was not examined is broken.

    :param done: the steps that were.
    """
    lab = load_lab(find_lab(task.lab))
    part = [int(o.partition("=")[2]) for o in task.options if o.startswith("--part=")]
    ids = [o.partition("=")[2] for o in task.options if o.startswith("--step=")]
    seed = [int(o.partition("=")[2]) for o in task.options if o.startswith("--seed=")]
    known = {step.id: step for step in done}
    pending = [
        replace(step_check.pending(step, lab.document.name), reason=reason)
        for step in lab.selected(part[0] if part else None, ids)
    ]
    return judged(lab.name, lab.title, task, seed, [known.get(s.id, s) for s in pending])


def judged(name: str, title: str, task: Task, seed: list[int], steps: list[StepResult]) -> Score:
    """Return the score of these steps, as of now."""
    from labwright.grading.results import Recorder

    recorder = Recorder(task.target, seed[0] if seed else 0)
    recorder.steps = steps
    return replace(recorder.score(), lab=name, title=title)


def main() -> int:
    """Do task after task."""
    # Whatever else is printed in this process must not get among what we tell.
    told = os.dup(1)
    os.dup2(2, 1)
    _import_everything()
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _examine_and_exit(line, told)
        _, status = os.waitpid(child, 0)
        os.write(told, json.dumps(["ended", str(status)]).encode() + b"\n")
    return 0


def _import_everything() -> None:
    """Do once what each student would have to do anew, and costs more than the rest of it."""
    from labwright import plugin

    for name in plugin.pytest_plugins:
        importlib.import_module(name)
    # What is there now is there for good: a collection in a child need not touch it, which
    # would make it the child's own memory.
    gc.freeze()


def _examine_and_exit(line: str, told: int) -> NoReturn:
    """Do one task, in a process that does nothing else."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_end_with_input, daemon=True).start()
        stream = os.fdopen(told, "w", encoding="utf-8", errors="backslashreplace")
        listener = Telling(stream)
        listener.tell("examined", examine(Task.from_json(line), listener).to_json())
        status = 0
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001  its last words are the reason that is shown
        traceback.print_exc()
    finally:
        # Not by way of the interpreter's end: what waits there is the parent's.
        sys.stderr.flush()
        os._exit(status)


def _end_with_input() -> None:
    """Interrupt us when nobody is left who wants to know; end us if that does not."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
