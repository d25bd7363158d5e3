"""``labwright mistakes``: tries every known mistake, and every right variant, on a machine."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.cli.options import add_lab, add_system
from labwright.errors import LabwrightError, PerformError, UsageError
from labwright.grading import mistakes
from labwright.grading.mistakes import Matrix, Mistake, Trial
from labwright.grading.run import plan
from labwright.host.console import Console
from labwright.host.files import write_text
from labwright.host.leash import end_with_parent
from labwright.host.progress import rough, say
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.plugin.grade import grade
from labwright.reports import matrix as matrix_report
from labwright.vm import lab_states, states, systems
from labwright.vm.target import guest_machine

if TYPE_CHECKING:
    from labwright.lab.model import Lab

SCRIPT_S = 400.0
EXAMPLES = """\
examples:
  labwright mistakes                          every known mistake of the lab
  labwright mistakes --only method-wrr        one of them
  labwright mistakes -n 2 --out mistakes      two at a time; write matrix.html and matrix.json
  labwright mistakes --repeat 5               the verdict must be the same each time

exit status: 0 each mistake is caught by the right step, each check catches a mistake, and each
right variant passes; 1 otherwise; 2 wrong usage
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``mistakes``."""
    parser = commands.add_parser(
        "mistakes",
        help="test that the checks catch the known mistakes",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_lab(parser)
    add_system(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ID",
        help="only this mistake or right variant",
    )
    parser.add_argument("-n", type=int, default=1, metavar="N", help="number of machines at a time")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="number of times to try each"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the seed of the client's load"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write matrix.html and matrix.json to this folder"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Try mistakes and print the matrix; see ``labwright mistakes --help``."""
    if arguments.n < 1 or arguments.repeat < 1:
        raise UsageError("-n and --repeat must be at least 1")
    lab = load_lab(find_lab(arguments.lab))
    chosen = mistakes.load_mistakes(lab, arguments.only)
    known = lab_states.states(lab, systems.choose(lab, arguments.system))
    for mistake in chosen:
        if mistake.state not in known:
            raise UsageError(
                f"{mistake.id} starts from {mistake.state!r}, which is not a state of "
                f"the lab {lab.name}; its states are: {', '.join(known)}"
            )
        # Build it now, so that the workers need not wait for each other.
        states.saved(known[mistake.state])
    trials = _try_all(lab, chosen * arguments.repeat, arguments)
    matrix = Matrix(
        lab=lab.name,
        title=lab.title,
        steps=tuple(step.id for step in lab.steps),
        trials=tuple(sorted(trials, key=lambda trial: trial.mistake.id)),
        complete=not arguments.only,
        undone=tuple(
            step.id
            for step in lab.steps
            if step.claims and all(claim.get("until") for claim in step.claims)
        ),
    )
    matrix_report.render(matrix, Console())
    if arguments.out:
        for name, text in (
            ("matrix.json", matrix.to_json()),
            ("matrix.html", matrix_report.html(matrix)),
        ):
            say(f"written: {write_text(arguments.out / name, text)}")
    return 0 if matrix.holds else 1


def _try_all(lab: Lab, chosen: list[Mistake], arguments: argparse.Namespace) -> list[Trial]:
    """Try mistakes in parallel, each in its own process: pytest can run once in a process."""
    right = sum(mistake.right for mistake in chosen)
    say(f"trying {len(chosen) - right} mistakes and {right} right variants")
    done: list[Trial] = []
    start = time.monotonic()
    # Forked, so that a worker need not import everything; there are no threads yet.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(
        min(arguments.n, len(chosen)), mp_context=context, initializer=end_with_parent
    ) as workers:
        jobs = [workers.submit(_try, lab.folder, mistake, arguments) for mistake in chosen]
        try:
            for job in as_completed(jobs):
                done.append(job.result())
                each_s = (time.monotonic() - start) / len(done)
                _tell(done[-1], len(done), len(jobs), each_s)
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _tell(trial: Trial, number: int, of: int, each_s: float) -> None:
    charged = ", ".join(trial.mistake.fails or trial.mistake.breaks)
    expected = "all passed" if trial.mistake.right else f"caught: {charged}"
    verdict = "; ".join(trial.deviations) or expected
    left = f"; about {rough(each_s * (of - number))} left" if number < of else ""
    say(f"  {number:2}/{of} {trial.mistake.id}: {verdict} ({trial.duration_s:.1f} s{left})")


def _try(folder: Path, mistake: Mistake, arguments: argparse.Namespace) -> Trial:
    """Make a mistake on a new machine, and grade the machine."""
    lab = load_lab(folder)
    system = systems.choose(lab, arguments.system)
    start = time.monotonic()
    try:
        with (
            lab_states.ephemeral(lab, mistake.state, system) as guest,
            closing(guest_machine(guest)) as machine,
        ):
            script = mistakes.prelude(lab) + mistake.run
            result = machine.run("bash -c %s", script, timeout=SCRIPT_S) if mistake.run else None
            if result and not result.ok:
                said = (result.stderr or result.stdout).strip().splitlines() or ["nothing"]
                raise PerformError(
                    f"its script exited {result.exit_status} and said: {said[-1][:200]}"
                )
            score = grade(plan(lab, machine.target, seed=arguments.seed), machine=machine)
    except LabwrightError as problem:
        return Trial(mistake, {}, (f"not tried: {problem}",), time.monotonic() - start)
    return mistakes.judged(mistake, score, time.monotonic() - start)
