"""Runs the commands for one lab: check, regrade, perform, demo, test.

Their parsers are in :mod:`labwright.cli.lab_parsers`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import labwright
from labwright.batch import submission
from labwright.cli.options import student_settings
from labwright.errors import UsageError
from labwright.grading import judge_again as again
from labwright.grading.run import LIMIT_S, plan
from labwright.host import extras
from labwright.host.console import Console
from labwright.host.files import append_text
from labwright.lab.definition import load_lab
from labwright.lab.edition import edition
from labwright.lab.model import find_lab
from labwright.machines.perform import perform
from labwright.outcome import Outcome
from labwright.plugin.grade import grade
from labwright.reports import markdown, summary
from labwright.reports.terminal import Checklist
from labwright.reports.write import write, write_json
from labwright.score import Score
from labwright.text import line, visible
from labwright.vm import systems
from labwright.vm.default_machine import choose, default_guest
from labwright.vm.lab_states import ephemeral, up
from labwright.vm.target import guest_machine, open_machine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from labwright.grading.run import Run
    from labwright.lab.model import Lab, Step
    from labwright.machines.machine import Machine

REPORT = Path("labwright-report")


def check(arguments: argparse.Namespace) -> int:
    """Grade a target; see ``labwright check --help``."""
    _keep_attempts(arguments)
    folder = find_lab(arguments.lab)
    arguments.set = [*student_settings(folder, arguments), *arguments.set]
    lab = edition(folder, arguments.set)
    run = _run(lab, arguments)  # validate the options before a machine is contacted
    if arguments.repeat < 1:
        raise UsageError(f"--repeat is {arguments.repeat}: it must be at least 1")
    run = run.on(chosen_target(lab, arguments))
    if arguments.watch:
        return _follow(run, arguments)
    if arguments.repeat == 1:
        return _grade(run, arguments)
    return _repeat(run, arguments)


def _follow(run: Run, arguments: argparse.Namespace) -> int:
    """Watch a target until Ctrl-C; then print the score as far as it is known."""
    from labwright.live.in_terminal import follow

    for option in ("part", "step", "deploy", "alluredir"):
        if getattr(arguments, option):
            raise UsageError(f"--watch always follows the whole lab: leave out --{option}")
    console = Console(stderr=arguments.json == "-")
    score = follow(run, console)
    console.print(summary.total(score), style="bold", highlight=False)
    if summary.not_a_grade(score):
        console.print(summary.not_a_grade(score), highlight=False)
    _hand_out(score, arguments, console)
    return exit_status(score)


def regrade(arguments: argparse.Namespace) -> int:
    """Judge a record again; see ``labwright regrade --help``."""
    if arguments.score.is_dir():
        from labwright.cli import regrade_class

        return regrade_class.run(arguments)
    if arguments.apply or arguments.rule:
        raise UsageError(f"{arguments.score} is one score: --apply and --rule are for a class")
    _keep_attempts(arguments)
    handed_in = arguments.score.suffix == submission.SUFFIX
    said = submission.read(arguments.score)[0] if handed_in else None
    old = Score.from_json(said.text) if said else again.read_score(arguments.score)
    folder = find_lab(arguments.lab or old.lab)
    arguments.set = [*student_settings(folder, arguments), *arguments.set]
    lab = edition(folder, arguments.set)
    if said and said.lab != lab.name:
        raise UsageError(f"{arguments.score}: it is for the lab {said.lab!r}, not for {lab.name}")
    run = plan(
        lab,
        old.target,
        # A handed-in file must not choose the steps by which it is judged.
        steps=() if said else again.selected(old, lab),
        settings=arguments.set,
        seed=old.seed,
        hints=arguments.hints,
    )
    new = grade(run, machine=again.recorded(old))
    new = again.with_original_metadata(new, old)
    odd = submission.findings(said, old, new, lab, None) if said else []
    if said:
        _say(f"it names the student {line(said.student, 60)}")
    for sentence in odd + (again.changes(old, new) or ["nothing changed"]):
        _say(f"  {sentence}")
    if arguments.summary and odd:
        append_text(arguments.summary, "".join(f"- {sentence}\n" for sentence in odd) + "\n")
    _say(f"{old.points:g} of {old.max_points:g} -> {new.points:g} of {new.max_points:g}")
    _hand_out(new, arguments, Console(stderr=True))
    return exit_status(new)


def perform_lab(arguments: argparse.Namespace) -> int:
    """Perform a lab on a target; see ``labwright perform --help``."""
    lab = load_lab(find_lab(arguments.lab))
    steps = lab.upto(arguments.upto) if arguments.upto else lab.steps
    with closing(open_machine(chosen_target(lab, arguments))) as machine:
        _perform(lab, machine, steps)
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Perform a lab on a new machine, grade it, and write the report."""
    lab = load_lab(find_lab(arguments.lab))
    arguments.out = arguments.out or REPORT
    with ephemeral(lab, lab.start, systems.choose(lab, arguments.system)) as guest:
        given = lab.performed(lab.start)
        with closing(guest_machine(guest)) as machine:
            _perform(lab, machine, [step for step in lab.steps if step not in given])
        return _grade(_run(lab, arguments).on(f"vm:{guest.name}"), arguments)


def run_tests(arguments: argparse.Namespace) -> int:
    """Run this checkout's tests: the quick ones first."""
    root = Path(labwright.__file__).parents[2]
    if not (root / "tests").is_dir():
        raise UsageError("labwright test needs a checkout: its tests are not installed")
    # Two at a time: each guest uses up to one core, and waits half of the time.
    everything = ["-n2", "--dist=worksteal", "tests/unit", "tests/plugin", "tests/system"]
    chosen = arguments.pytest_arguments or everything
    # In a new process: the tests' pytest must not inherit this process's imports.
    command = [sys.executable, "-m", "pytest", *chosen]
    return subprocess.run(command, cwd=root, check=False).returncode


def _run(lab: Lab, arguments: argparse.Namespace) -> Run:
    """Return the run that the command line describes."""
    if arguments.alluredir:
        extras.require("allure", "--alluredir")
    return plan(
        lab,
        part=getattr(arguments, "part", None),
        steps=getattr(arguments, "step", ()),
        settings=getattr(arguments, "set", ()),
        seed=arguments.seed,
        hints=arguments.hints,
        deploy=getattr(arguments, "deploy", False),
        alluredir=arguments.alluredir and arguments.alluredir.resolve(),
        limit_s=getattr(arguments, "limit", LIMIT_S),
    )


def chosen_target(lab: Lab, arguments: argparse.Namespace) -> str:
    """Return the given target, or choose one and print which and why."""
    if arguments.target:
        open_machine(arguments.target).close()
        return str(arguments.target)
    choice = choose(lab)
    _say(f"target: {choice.target}, since {choice.reason}")
    if choice.starts:
        name = default_guest(lab)
        up(name, lab, lab.start)
        _say(f"{name} stays up: labwright vm ssh {name}; labwright vm down {name}")
    return choice.target


def _perform(lab: Lab, machine: Machine, steps: Sequence[Step]) -> None:
    _say(f"performing {lab.title} on {machine.target}")
    start = time.monotonic()
    for number, (step, _) in enumerate(perform(lab, steps, machine), 1):
        now = time.monotonic()
        _say(f"  {number:2}/{len(steps)} {step.title} ({now - start:.1f} s)")
        start = now


def _grade(run: Run, arguments: argparse.Namespace) -> int:
    # With the score on standard output, text for people goes to standard error.
    console = Console(stderr=arguments.json == "-")
    checklist = Checklist(console, run.target)
    checklist.begin(run.lab, len(run.steps))
    with closing(open_machine(run.target)) as machine:
        # It connects while pytest collects the steps.
        machine.prepare()
        score = grade(run, checklist, machine)
    checklist.end(score)
    _hand_out(score, arguments, console)
    return exit_status(score)


def _keep_attempts(arguments: argparse.Namespace) -> None:
    """Refuse to overwrite an attempt in a class's folder.

    :raises UsageError: the command line asks for that.
    """
    for path in (arguments.out, arguments.json and Path(arguments.json).parent):
        place = path.resolve() if path else Path()
        # CLASS/students/ID/attempts/001
        inside = place.parent.name == "attempts" and len(place.parents) > 3
        if inside and (place.parents[3] / "journal.jsonl").exists():
            raise UsageError(f"{path}: it contains an attempt of a class: choose another folder")


def _hand_out(score: Score, arguments: argparse.Namespace, console: Console) -> None:
    """Write a score to the places that the command line names."""
    if arguments.out:
        for path in write(score, arguments.out):
            console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    if arguments.summary:
        append_text(arguments.summary, markdown.render(score))
    if arguments.json == "-":
        sys.stdout.write(score.to_json())
    elif arguments.json:
        write_json(score, Path(arguments.json))


def _repeat(run: Run, arguments: argparse.Namespace) -> int:
    """Grade a machine several times, and print how often each step had which outcome."""
    scores = []
    for number in range(1, arguments.repeat + 1):
        start = time.monotonic()
        scores.append(grade(run))
        took = time.monotonic() - start
        _say(f"  {number}/{arguments.repeat} {summary.total(scores[-1])} ({took:.1f} s)")
        if arguments.out:
            write(scores[-1], arguments.out / f"run-{number:03}")
    for step in again.flakes(scores):
        ended = ", ".join(f"{outcome} {count}" for outcome, count in step.outcomes.items())
        _say(f"  {step.rate:4.0%} flaky  {step.step}: {ended}")
    return max(map(exit_status, scores))


def exit_status(score: Score) -> int:
    """Return the exit status: 3 something broken, 1 failed or blocked, 0 all passed."""
    if score.count(Outcome.BROKEN):
        return 3
    return 0 if score.count(Outcome.PASSED) == len(score.steps) else 1


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)  # noqa: T201
