"""The only pytest hooks: a lab's steps become tests, and what comes of them a score.

pytest's own results are kept in step with ours: failed is failed, blocked is skipped
with its reason, broken is an error. A result travels as a property of the test's report,
so that it also arrives from a worker of pytest-xdist.
"""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from rich.console import Console

from labwright.errors import CheckFailed, LabwrightError
from labwright.fixtures.stash import MACHINE, TAPE
from labwright.grading import step_check
from labwright.grading.results import PROPERTY, Recorder
from labwright.lab.definition import load_lab
from labwright.lab.model import Step
from labwright.outcome import Outcome
from labwright.reports.terminal import render
from labwright.reports.write import write
from labwright.text import visible
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from labwright.lab.model import Lab
    from labwright.machines.machine import Machine
    from labwright.score import Score, StepResult

pytest_plugins = [
    "labwright.fixtures.witnesses",
    "labwright.fixtures.load",
    "labwright.fixtures.containers",
]

OUTCOMES = pytest.StashKey[dict[tuple[Path, str], Outcome]]()
CAUSES = pytest.StashKey[dict[tuple[Path, str], str]]()
LAB = pytest.StashKey["Lab"]()
LABS = pytest.StashKey[dict[Path, "Lab"]]()
RESULT = pytest.StashKey["StepResult"]()
SEEN = pytest.StashKey[step_check.Seen]()
RECORDER = pytest.StashKey[Recorder]()


class Blocked(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # made by a decorator
    """A step was not examined, since one that it needs did not pass."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a lab's run."""
    group = parser.getgroup("labwright", "labs on real machines")
    group.addoption("--target", help="the machine: local, ssh://[user@]host[:port] or vm:NAME")
    group.addoption("--deploy", action="store_true", help="bring the lab up first, and down after")
    group.addoption("--seed", type=int, help="of the load's random profile (default: a new one)")
    group.addoption(
        "--reached",
        action="store_true",
        help="the document has just come to the steps: no later one has undone them",
    )
    group.addoption("--part", type=int, metavar="N", help="only this part of the document")
    group.addoption("--step", action="append", default=[], metavar="ID", help="only this step")
    group.addoption(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    group.addoption(
        "--hints",
        choices=step_check.HINTS,
        default="full",
        help="how much a failed step gives away",
    )
    group.addoption("--report", metavar="DIR", help="write score.json, report.html and junit.xml")


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed, so that every worker has the same, and keep steps together."""
    config.addinivalue_line("markers", "system: needs the lab machine")
    worker = getattr(config, "workerinput", None)
    if worker:
        config.option.seed = worker["labwright-seed"]
    elif config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1 << 31)
    if getattr(config.option, "dist", "no") == "load" and _runs_a_lab(config.args):
        # A worker takes whole modules, so that a lab's steps stay together and in order.
        # Not loadgroup: with pytest 9 and pytest-xdist 3.8 it does not group (tried).
        config.option.dist = "loadscope"
    config.stash[OUTCOMES], config.stash[CAUSES], config.stash[TAPE] = {}, {}, []
    if worker is None:
        recorder = Recorder(config.option.target or "local", config.option.seed)
        config.stash[RECORDER] = recorder
        config.pluginmanager.register(recorder, "labwright-recorder")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a target that cannot be one before anything is collected."""
    if session.config.option.target:
        try:
            open_machine(session.config.option.target).close()
        except LabwrightError as problem:
            raise pytest.UsageError(str(problem)) from None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports, whatever became of the steps."""
    recorder = session.config.stash.get(RECORDER, None)
    if recorder and recorder.steps and session.config.option.report:
        write(recorder.score(), Path(session.config.option.report))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End pytest's own output with the checklist."""
    recorder = terminalreporter.config.stash.get(RECORDER, None)
    if recorder and recorder.steps:
        terminalreporter.ensure_newline()
        render(recorder.score(), Console(file=terminalreporter._tw._file))


def _runs_a_lab(arguments: list[str]) -> bool:
    places = [Path(argument.partition("::")[0]) for argument in arguments]
    return any((p / "lab.toml").exists() or (p.parent / "lab.toml").exists() for p in places)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput["labwright-seed"] = node.config.option.seed


class LabModule(pytest.Module):
    """The tests of a lab that brings no Python: a step each."""

    def _getobj(self) -> ModuleType:
        module = ModuleType(f"labwright_lab_{self.path.parent.name.replace('-', '_')}")
        module.test_step = _test_step  # type: ignore[attr-defined]
        return module


def _test_step(examine_step: Callable[[], None]) -> None:
    """The step's check holds on the target."""
    examine_step()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a lab that has no ``test_*.py``."""
    if file_path.name != "lab.toml" or any(file_path.parent.glob("test_*.py")):
        return None
    return LabModule.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each step of the lab beside the module."""
    if "examine_step" not in metafunc.fixturenames:
        return
    try:
        lab = _lab(metafunc.config, metafunc.definition.path)
        steps = lab.selected(metafunc.config.option.part, metafunc.config.option.step)
        values = lab.values_with(metafunc.config.option.set)
        for step in steps:
            step_check.bind(lab, step, values)
    except LabwrightError as problem:
        raise pytest.Collector.CollectError(str(problem)) from None
    metafunc.parametrize("step", [pytest.param(step, id=step.id) for step in steps])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which steps there are, in case that the run does not come to them."""
    recorder = session.config.stash.get(RECORDER, None)
    for item in session.items if recorder else ():
        step = _step(item)
        if recorder and step:
            document = _lab(item.config, item.path).document
            recorder.expected.append(step_check.pending(step, document.name))


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Lab:
    """The lab in the folder of the test module."""
    return _lab(request.config, request.path)


@pytest.fixture(scope="module")
def lab_values(lab: Lab, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The lab's values, with those that ``--set`` changes."""
    return lab.values_with(request.config.option.set)


@pytest.fixture(scope="session")
def lab_seed(request: pytest.FixtureRequest) -> int:
    """The seed of everything random."""
    return int(request.config.option.seed)


@pytest.fixture
def examine_step(
    step: Step,
    lab: Lab,
    lab_values: dict[str, Any],
    deployment: None,  # noqa: ARG001  what is examined must stand before
    request: pytest.FixtureRequest,
) -> Callable[[], None]:
    """The step's check, with the witnesses that it asks for."""
    seen = request.node.stash[SEEN]
    reached = request.config.option.reached
    bound = step_check.bind(lab, step, lab_values, reached=reached)

    def examine() -> None:
        __tracebackhide__ = True
        witnesses = {name: request.getfixturevalue(name) for name in bound.witnesses}
        step_check.examine(bound, witnesses, seen, step.wait_s, request.getfixturevalue("machine"))

    return examine


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a step of which a need did not pass, before anything is brought up for it."""
    step = _step(item)
    if step is None:
        return
    lab = item.stash[LAB] = _lab(item.config, item.path)
    item.stash[SEEN] = step_check.Seen()
    item.stash[RESULT] = step_check.pending(step, lab.document.name)
    outcomes = item.config.stash[OUTCOMES]
    # A need that was deselected by the user is not in the way.
    missing = [
        need
        for need in step.needs
        if outcomes.get((item.path, need), Outcome.PASSED) is not Outcome.PASSED
    ]
    if missing:
        item.stash[RESULT] = step_check.blocked(item.stash[RESULT], missing)
        raise Blocked(item.stash[RESULT].reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the end of a phase into a step's result, and keep pytest's in step."""
    report = yield
    step = _step(item)
    if step is None:
        return report
    lab = item.stash[LAB]
    result = replace(
        item.stash[RESULT], duration_s=item.stash[RESULT].duration_s + round(call.duration, 3)
    )
    problem = call.excinfo.value if call.excinfo else None
    seen = item.stash[SEEN]
    if isinstance(problem, CheckFailed) and call.when == "call":
        cause = problem.cause or step.id
        first = item.config.stash[CAUSES].setdefault((item.path, cause), step.id)
        if first == step.id:
            hint = step_check.held_back(problem.hint or step.hint, item.config.option.hints)
            result = step_check.failed(result, problem, seen, hint)
            report.longrepr = visible(result.reason)
        else:
            result = step_check.same_cause(result, problem, seen, first)
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, visible(result.reason))
    elif problem is not None and call.when != "teardown" and not isinstance(problem, Blocked):
        result = step_check.broken(result, problem, seen)
        report.outcome = "failed"
        ours = isinstance(problem, LabwrightError)
        report.longrepr = visible(result.reason if ours else report.longreprtext)
        if call.when == "call":
            report.when = "setup"  # what pytest counts as an error, not as a failure
    elif call.when == "call":
        result = step_check.passed(result, seen)
    item.stash[RESULT] = result
    settled = call.when == "call" or (call.when == "setup" and problem is not None)
    if settled and getattr(item.config.option, "allure_report_dir", None):
        from labwright.reports import allure

        allure.record(result, lab.title)
    if call.when == "teardown":
        tape = item.config.stash[TAPE]
        result = replace(result, observations=tuple(tape))
        tape.clear()
        item.config.stash[OUTCOMES][item.path, step.id] = result.outcome
        # As JSON: pytest-xdist carries neither enumerations nor halves of surrogate pairs.
        told = {"lab": lab.name, "title": lab.title, "step": asdict(result)}
        report.user_properties.append((PROPERTY, json.dumps(told)))
    return report


def _lab(config: pytest.Config, module: Path) -> Lab:
    """Return the lab beside a module: read once, since reading it costs more than a step does.

    :raises DefinitionError: something is wrong with it.
    """
    labs = config.stash.setdefault(LABS, {})
    if module.parent not in labs:
        labs[module.parent] = load_lab(module.parent)
    return labs[module.parent]


def _step(item: pytest.Item) -> Step | None:
    callspec = getattr(item, "callspec", None)
    step = callspec.params.get("step") if callspec else None
    return step if isinstance(step, Step) else None  # others may call a parameter so, too


def grade(
    folder: Path, options: list[str], listener: Listener, machine: Machine | None = None
) -> Score:
    """Run a lab's steps in this process, without pytest's own output.

    :param options: of pytest, those of this plugin included.
    :param machine: the target, where it is open already; it is left open.
    :raises LabwrightError: pytest could not run the steps at all.
    """
    run = _Run(listener, machine)
    fixed = [
        *(f"--rootdir={folder}", f"--confcutdir={folder}", f"-c{os.devnull}"),
        *("--import-mode=importlib", "-pno:terminal", "-pno:cacheprovider"),
        # What else is installed has no say in a grade, and is not waited for: there are
        # plugins that reorder tests, and some that take seconds to import.
        *("--disable-plugin-autoload", "--assert=plain"),
    ]
    if any(option.startswith("--alluredir") for option in options):
        fixed.append("-pallure_pytest.plugin")
    modules = sorted(folder.glob("test_*.py")) or [folder / "lab.toml"]
    status = pytest.main(
        [*map(str, modules), *fixed, *options], plugins=[sys.modules[__name__], run]
    )
    if status == pytest.ExitCode.INTERRUPTED and not run.problem:
        raise KeyboardInterrupt
    if run.recorder is None or not run.recorder.steps:
        raise LabwrightError(f"{folder}: no step was examined: {run.problem or status}")
    return run.recorder.score()


class Listener(Protocol):
    """Who wants to know how a run goes while it goes."""

    def step(self, result: StepResult) -> None:
        """A step has been examined."""


class Silence:
    """A listener that says nothing."""

    def step(self, result: StepResult) -> None:
        """Say nothing."""


class _Run:
    """Ties one run of pytest to its listener."""

    def __init__(self, listener: Listener, machine: Machine | None) -> None:
        self._listener = listener
        self._machine = machine
        self.recorder: Recorder | None = None
        self.problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self.recorder = config.stash[RECORDER]
        self.recorder.on_step = self._listener.step
        if self._machine:
            config.stash[MACHINE] = self._machine

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problem = str(report.longrepr)
