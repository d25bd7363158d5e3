"""Grades one student: connects to the machine, checks the lab's steps, reports each result.

If the task names a record, the record is judged instead.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.batch import own_values, reach
from labwright.batch.task import Examined, Identity, Task, definition_of
from labwright.errors import LabwrightError
from labwright.grading import judge_again
from labwright.grading.assemble import assemble
from labwright.host.temporary import Scratch
from labwright.lab.edition import edition
from labwright.lab.model import find_lab
from labwright.outcome import Outcome
from labwright.score import now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from labwright.grading.run import Run
    from labwright.machines.machine import Machine
    from labwright.score import Score, StepResult

REASON_LIMIT = 300


class Teller:
    """Reports each step to the parent process at once, so it counts even if the rest fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, result: StepResult) -> None:
        """Report the result of a step."""
        self.tell("step", json.dumps(asdict(result)))

    def tell(self, what: str, body: str) -> None:
        """Write one line."""
        self._stream.write(json.dumps([what, body]) + "\n")
        self._stream.flush()


def grade_one(task: Task, teller: Teller) -> Examined:
    """Do a task: grade a machine, or judge a record."""
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
    fits = _fits(task, score) if score and task.editions and reached else ""
    took = round(time.monotonic() - start, 2)
    return Examined(task.id, score, problem, reached, identity, met, text, took, fits)


def _fits(task: Task, score: Score) -> str:
    """Return the student whose edition of the lab fits the record better, or ""."""
    from labwright.plugin.grade import grade

    def judged(steps: Sequence[str], settings: Sequence[str]) -> Score:
        options = replace(task.options, settings=tuple(settings))
        run = run_of(replace(task, options=options)).only(steps, needs=False)
        run = replace(run, seed=score.seed or 0)
        return grade(run, machine=judge_again.recorded(score))

    return own_values.fits(score, task.options.settings, task.editions, judged)


def _run(task: Task, machine: Machine, teller: Teller) -> Score:
    from labwright.plugin.grade import grade

    return grade(run_of(task), teller, machine)


def _judge_again(task: Task, teller: Teller) -> Score:
    """Judge a record again, by the lab's current definition."""
    from labwright.plugin.grade import grade

    old = judge_again.read_score(Path(task.record))
    run = run_of(task)
    # A handed-in file must not choose the steps by which it is judged.
    chosen = () if task.whole else judge_again.selected(old, run.lab)
    if chosen:
        named = task.options.steps or task.options.part is not None
        run = run.only([*chosen, *(run.selected if named else ())])
    if task.options.seed is None and old.seed is not None:
        run = replace(run, seed=old.seed)
    return judge_again.with_original_metadata(grade(run, teller, judge_again.recorded(old)), old)


def run_of(task: Task) -> Run:
    """Return the run that a task describes."""
    options = task.options
    if options.seed is None:
        # Judging a record without a seed must give the same result each time.
        options = replace(options, seed=0)
    return options.plan(edition(find_lab(task.lab), options.settings), task.target)


def _problem(score: Score | None) -> str:
    """Return why a score is not a grade, or "" if it is one."""
    broken = [s for s in score.steps if s.outcome is Outcome.BROKEN] if score else []
    if not broken:
        return ""
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{broken[0].id}{more}: {broken[0].reason}"[:REASON_LIMIT]


def _explained(reason: str, task: Task) -> str:
    if task.jump:
        reason = f"{reason.rstrip('.')} (through the jump host {task.jump})"
    if "Host key verification failed" in reason or "host key" in reason.lower():
        reason = reason.rstrip(".") + (
            ": it is neither the key seen earlier nor the one in the roster. If the "
            "machine was reinstalled, remove its line from known_hosts in the output folder"
        )
    return reason


def all_broken(task: Task, reason: str, done: tuple[StepResult, ...] = ()) -> Score:
    """Return the score of a run that ended early: steps that were not checked are broken.

    :param done: the results of the steps that were checked.
    """
    moment = now()
    return assemble(run_of(task), done, started=moment, finished=moment, missing=reason)
