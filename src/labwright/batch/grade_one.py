"""Grades one student: reaches the machine, runs the lab's steps, and tells what it sees.

A record is judged instead where the task names one.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

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


class Teller:
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


def grade_one(task: Task, teller: Teller) -> Examined:
    """Reach a machine, and run the lab's steps on it."""
    start = time.monotonic()
    with Scratch() as folder:
        identity = Identity()
        met: tuple[str, ...] = ()
        try:
            time.sleep(task.pause_s)
            if task.definition not in ("", definition_of(find_lab(task.lab))):
                raise LabwrightError(
                    f"{platform.node()} has another version of the lab {task.lab}: install the "
                    "same labwright there"
                )
            score: Score | None
            if task.record:
                score = _judge_again(task, teller)
            else:
                machine = reach.connection(task, folder)
                try:
                    identity = reach.probe(task, machine, folder)
                    met = reach.pins(folder)
                    teller.tell("reached", "")
                    score = None if task.reach_only else _run(task, machine, teller)
                finally:
                    machine.close()
            problem, reached = _problem(score), True
        except LabwrightError as failure:
            problem, reached = _explained(str(failure), task), False
            score = None if task.reach_only else all_broken(task, problem)
    text = "" if score is None else score.to_json()
    took = round(time.monotonic() - start, 2)
    return Examined(task.id, score, problem, reached, identity, met, text, took)


def _run(task: Task, machine: Machine, teller: Teller) -> Score:
    from labwright.plugin import grade

    folder = find_lab(task.lab)
    options = [f"--target={task.target}", *task.options]
    score = grade(folder, options, teller, machine)
    # Their order is the lab's also where pytest could not keep it.
    return replace(score, target=task.target)


def _judge_again(task: Task, teller: Teller) -> Score:
    """Judge a record once more, by the lab as it is here and now."""
    from labwright.plugin import grade

    old = judge_again.read_score(Path(task.record))
    lab = load_lab(find_lab(task.lab))
    # What was handed in does not choose by which steps it is judged.
    chosen = [] if task.whole else judge_again.options(old, lab)
    options = [*chosen, *task.options]
    return judge_again.dated(grade(lab.folder, options, teller, judge_again.recorded(old)), old)


def _problem(score: Score | None) -> str:
    """Say why a score is no grade, or nothing."""
    broken = [s for s in score.steps if s.outcome is Outcome.BROKEN] if score else []
    if not broken:
        return ""
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{broken[0].id}{more}: {broken[0].reason}"[:REASON_LIMIT]


def _explained(reason: str, task: Task) -> str:
    if task.jump:
        reason = f"{reason.rstrip('.')} (by way of the jump host {task.jump})"
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
