"""The lab's orchestrator, and each known mistake in it, on a simulated machine."""

from __future__ import annotations

import os
import subprocess

import pytest

from labwright.checks.kernel import parse_table
from labwright.checks.watched_load import WatchedLoad
from labwright.errors import CheckFailed
from labwright.grading import mistakes, step_check
from labwright.grading.assemble import assemble
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.machines.recorded import NotRecorded, RecordedMachine, RecordingMachine
from labwright.outcome import Evidence, Outcome
from labwright.score import Score

from .simulated_servers import SimulatedMachine, Timing, World

LAB = load_lab(find_lab("orchestrator"))
MISTAKES = {one.id: one for one in mistakes.load_mistakes(LAB)}
SIMULATED = [id for id, one in MISTAKES.items() if one.run.strip().endswith("again")]
"""Those that change the program, and nothing else of the machine."""
WRONG = [id for id in SIMULATED if not MISTAKES[id].right]
RIGHT = [id for id in SIMULATED if MISTAKES[id].right]
JUDGED = ("scaling.", "server_life.")
WORLDS = {
    "quick": Timing(0.2, 0.3, 0.3, 0.2, 0.01, 0.5),
    "usual": Timing(),
    "slow": Timing(1.0, 2.0, 2.0, 1.5, 0.1, 4.0),
}
STUBS = """
docker() { cat >/dev/null </dev/null; }
curl() { :; }
sudo() { "$@"; }
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a function that writes the document's program, changed by a mistake's script."""

    def write(mistake=None):
        home = tmp_path_factory.mktemp("home")
        step = LAB.step("orchestrator-running")
        script = STUBS + "\n".join(command.run for command in step.perform)
        if mistake:
            script += "\n" + mistakes.prelude(LAB).replace("set -euo", "set -eo") + STUBS
            script += mistake.run
        subprocess.run(
            ["bash", "-c", script],
            cwd=home,
            env={**os.environ, "HOME": str(home)},
            check=True,
            timeout=30,
        )
        return {path.name: path.read_text() for path in (home / "orchestrator").glob("*.py")}

    return write


def graded(sources, timing=None, seed=1) -> Score:
    """Run a program, and grade it by all checks that judge it."""
    world = World(sources, timing)
    return judged(world, SimulatedMachine(world), seed)


def judged(world, machine, seed) -> Score:
    """Grade what is seen on a machine."""
    values = LAB.values
    load = WatchedLoad(
        machine,
        "http://10.0.2.15:4444/doWork",
        values["load_steps"],
        values["load_happens"],
        values["statistics_port"],
        seed,
    )
    load.seen  # noqa: B018  it runs the program
    witnesses = {
        "watched_load": load,
        "kernel": Kernel(world.before),
        "docker_engine": Engine(world),
        "visit": Visit(),
        "machine": machine,
    }
    results = []
    passed = set()
    for step in LAB.steps:
        pending, seen = step_check.pending(step, "lab.md"), step_check.Seen()
        bound = step_check.bind(LAB, step, values)
        if not set(step.needs) <= passed:
            continue
        try:
            if step.check.startswith(JUDGED):
                step_check.examine(bound, {n: witnesses[n] for n in bound.witnesses}, seen)
            else:
                seen.add(Evidence("what is given", "", ""), "")
            results.append(step_check.passed(pending, seen))
            passed.add(step.id)
        except CheckFailed as failure:
            hint = failure.hint or step.hint
            results.append(step_check.failed(pending, failure, seen, hint))
    return assemble(plan(LAB, "a simulated machine", seed=seed), results)


class Kernel:
    """What the kernel holds before the load."""

    def __init__(self, text):
        self._text = text

    def service_on(self, interface, port):
        (service,) = parse_table(self._text)
        return service, Evidence("the table", "cat /proc/net/ip_vs", self._text)


class Engine:
    """The machine's Docker, as the checks ask it."""

    def __init__(self, world):
        self._world = world

    def container(self, name):
        from labwright.machines.engine import Container

        return Container(name, "exited" if self._world.crashed else "running", exit_status=1)

    def containers(self):
        return dict.fromkeys(self._world.containers, "server")

    def console(self, name, since=None, tail=None):
        return self._world.crashed


class Visit:
    """Servers that answer on the right port."""

    def plan(self, urls):
        pass

    def reply(self, url):
        from labwright.machines.machine import Reply

        right = ":4444/" in url
        return Reply(200 if right else None, {}, "tick\n", "" if right else "refused", "", 0.1)


def said(score):
    return "\n".join(f"{s.id} {s.outcome}: {s.reason}" for s in score.steps if s.reason)


@pytest.mark.parametrize("timing", WORLDS)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.simulation) for seed in range(1, 20))]
)
def test_the_documents_program_gets_all_points(written, timing, seed):
    score = graded(written(), WORLDS[timing], seed)
    assert {step.outcome for step in score.steps} == {Outcome.PASSED}, said(score)


@pytest.mark.parametrize("id", ["as-written", "flaps", "forgets-the-dead"])
def test_what_was_recorded_is_judged_again_without_the_machine(written, id):
    world, tape = World(written(MISTAKES[id])), []
    first = judged(world, RecordingMachine(SimulatedMachine(world), tape), 7)
    again = judged(world, RecordedMachine("a record", tape), 7)
    assert [(s.outcome, s.reason) for s in again.steps] == [
        (s.outcome, s.reason) for s in first.steps
    ]
    with pytest.raises(NotRecorded):  # another seed asks for another load
        judged(world, RecordedMachine("a record", tape), 8)


@pytest.mark.parametrize("timing", ["quick", "usual"])
@pytest.mark.parametrize("id", RIGHT)
def test_a_right_program_of_another_make_gets_all_points(written, id, timing):
    score = graded(written(MISTAKES[id]), WORLDS[timing])
    assert not mistakes.judged(MISTAKES[id], score, 0).deviations, said(score)


@pytest.mark.parametrize("id", WRONG)
def test_a_mistake_is_caught_by_the_right_step_with_the_right_words(written, id):
    score = graded(written(MISTAKES[id]))
    assert not mistakes.judged(MISTAKES[id], score, 0).deviations, said(score)
