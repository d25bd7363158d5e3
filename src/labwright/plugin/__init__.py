"""labwright's pytest hooks: a lab's steps become tests, and their results a score.

A grading is described by a :class:`~labwright.grading.run.Run`. It is passed in by the code that
grades in this process, or made from the options, for each lab and target. A step's result is the
result of its check, whatever the test around it does. It is a property of the test's report, so
that it also arrives from a worker of pytest-xdist. pytest's own result is set to match: a failed
step fails, a blocked one is skipped with its reason, a broken one is an error.
"""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from labwright.errors import LabwrightError
from labwright.fixtures.stash import MACHINE, TAPE
from labwright.grading import step_check
from labwright.host.console import Console
from labwright.lab.model import Step
from labwright.outcome import Outcome
from labwright.plugin.examining import Blocked, Examiner, NotChecked
from labwright.plugin.recorder import PROPERTY, Recorder, packed
from labwright.plugin.runs import Given, Runs
from labwright.reports.terminal import render
from labwright.text import visible
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from labwright.grading.run import Run
    from labwright.lab.model import Lab
    from labwright.score import StepResult

pytest_plugins = [
    "labwright.fixtures.witnesses",
    "labwright.fixtures.load",
    "labwright.fixtures.containers",
]

RUNS = pytest.StashKey[Runs]()
EXAMINER = pytest.StashKey[Examiner]()
RECORDER = pytest.StashKey[Recorder]()
RUN = pytest.StashKey["Run"]()
RESULT = pytest.StashKey["StepResult"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a lab's run."""
    group = parser.getgroup("labwright", "labs on real machines")
    group.addoption(
        "--target",
        action="append",
        default=[],
        help="the machine: local, ssh://[user@]host[:port] or vm:NAME; may be given again",
    )
    group.addoption(
        "--deploy", action="store_true", help="start the lab's containers, remove them later"
    )
    group.addoption("--seed", type=int, help="seed of all random choices (default: a new one)")
    group.addoption("--part", type=int, metavar="N", help="only this part of the document")
    group.addoption("--step", action="append", default=[], metavar="ID", help="only this step")
    group.addoption(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    group.addoption(
        "--hints",
        choices=step_check.HINTS,
        default="full",
        help="how much of a hint is shown",
    )
    group.addoption(
        "--report",
        metavar="DIR",
        help="write score.json, report.html and junit.xml; for several labs or targets into "
        "separate folders",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed, so that all workers have the same one."""
    config.addinivalue_line("markers", "system: needs the lab machine")
    worker = getattr(config, "workerinput", None)
    if worker:
        config.option.seed = worker["labwright-seed"]
    elif config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1 << 31)
    given = config.pluginmanager.get_plugin(Given.NAME)
    config.stash[TAPE] = []
    config.stash[RUNS] = runs = Runs(config.option, given)
    config.stash[EXAMINER] = Examiner(config.stash[TAPE])
    if given and given.machine:
        config.stash[MACHINE] = given.machine
    if worker is None:
        config.stash[RECORDER] = Recorder(runs, given.listener if given else None)
        config.pluginmanager.register(config.stash[RECORDER], "labwright-recorder")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a malformed target before tests are collected."""
    for target in session.config.stash[RUNS].targets:
        try:
            open_machine(target).close()
        except LabwrightError as problem:
            raise pytest.UsageError(str(problem)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the seed to a worker of pytest-xdist."""
    node.workerinput["labwright-seed"] = node.config.option.seed


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the steps of a lab on a target together on one worker of pytest-xdist."""
    if config.option.dist != "load" or not _runs_a_lab(config.args):
        return None
    from labwright.plugin.scheduler import LabScheduler

    return LabScheduler(config, log, config.stash[RUNS].targets)


def _runs_a_lab(arguments: list[str]) -> bool:
    places = [Path(argument.partition("::")[0]) for argument in arguments]
    return any(
        (p / "lab.toml").exists() or (p.parent / "lab.toml").exists() or any(p.glob("*/lab.toml"))
        for p in places
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports, whatever the outcomes; the exit status follows the scores."""
    recorder = session.config.stash.get(RECORDER, None)
    if recorder is None or session.config.option.collectonly:
        return
    scores = recorder.finish()
    if session.config.option.report:
        recorder.write(Path(session.config.option.report))
    passed = all(s.count(Outcome.PASSED) == len(s.steps) for s in scores)
    if session.exitstatus == pytest.ExitCode.OK and (recorder.problem or not passed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End pytest's own output with the checklist of each score."""
    recorder = terminalreporter.config.stash.get(RECORDER, None)
    if recorder is None or terminalreporter.config.option.collectonly:
        return
    for score in recorder.finish():
        terminalreporter.ensure_newline()
        render(score, Console(file=terminalreporter._tw._file))
    if recorder.problem:
        terminalreporter.write_line(f"labwright: {visible(recorder.problem)}", red=True)


class LabModule(pytest.Module):
    """The tests of a lab without its own Python tests: one for each step."""

    def _getobj(self) -> ModuleType:
        module = ModuleType(f"labwright_lab_{self.path.parent.name.replace('-', '_')}")
        module.test_step = _test_step  # type: ignore[attr-defined]
        return module


def _test_step(examine_step: Callable[[], None]) -> None:
    """The step's check passes on the target."""
    examine_step()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a lab that has no ``test_*.py``."""
    if file_path.name != "lab.toml" or any(file_path.parent.glob("test_*.py")):
        return None
    return LabModule.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each step of the lab in the module's folder, for each target."""
    if "examine_step" not in metafunc.fixturenames:
        return
    try:
        runs = metafunc.config.stash[RUNS].of(metafunc.definition.path.parent)
    except LabwrightError as problem:
        raise pytest.Collector.CollectError(str(problem)) from None
    if len(runs) > 1:
        targets = [run.target for run in runs]
        metafunc.parametrize("lab_target", targets, ids=targets, indirect=True, scope="module")
    steps = runs[0].steps
    metafunc.parametrize("step", [pytest.param(step, id=step.id) for step in steps])


@pytest.fixture(scope="module")
def lab_target(request: pytest.FixtureRequest) -> str:
    """The target; tests run for each given target."""
    given = getattr(request, "param", None)
    return str(given or request.config.stash[RUNS].of(request.path.parent)[0].target)


@pytest.fixture(scope="module")
def lab_run(lab_target: str, request: pytest.FixtureRequest) -> Run:
    """The run: lab, target, steps and options."""
    return request.config.stash[RUNS].on(request.path.parent, lab_target)


@pytest.fixture(scope="module")
def lab(lab_run: Run) -> Lab:
    """The lab in the folder of the test module."""
    return lab_run.lab


@pytest.fixture(scope="module")
def lab_values(lab_run: Run) -> dict[str, Any]:
    """The lab's values, with the changes by ``--set``."""
    return dict(lab_run.values)


@pytest.fixture(scope="module")
def lab_seed(lab_run: Run) -> int:
    """The seed of all random choices."""
    return lab_run.seed


@pytest.fixture
def examine_step(
    step: Step,
    lab_run: Run,
    deployment: None,  # noqa: ARG001  what is examined must stand before
    request: pytest.FixtureRequest,
) -> Callable[[], None]:
    """A function that runs the step's check with the witnesses that it needs."""
    examiner = request.config.stash[EXAMINER]

    def examine() -> None:
        __tracebackhide__ = True
        examiner.examine(lab_run, step, request)
        examiner.raise_for(lab_run, step)

    return examine


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a step that needs a step which did not pass, before its fixtures are set up."""
    step = _step(item)
    if step is None:
        return
    run = item.stash[RUN] = _run(item)
    reason = item.config.stash[EXAMINER].blocked_by(run, step)
    if reason:
        raise Blocked(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a step's result from the end of a phase, and set pytest's own result to match."""
    report = yield
    step = _step(item)
    if step is None or RUN not in item.stash:
        return report
    run, examiner = item.stash[RUN], item.config.stash[EXAMINER]
    problem = call.excinfo.value if call.excinfo else None
    blocked = isinstance(problem, Blocked)
    if call.when == "call" or (call.when == "setup" and problem is not None):
        if problem is not None and not blocked and not examiner.raised_by_check(run, step, problem):
            examiner.mark_broken(run, step, problem)
        elif problem is None and not examiner.knows(run, step):
            examiner.mark_broken(run, step, NotChecked())
        result = examiner.shown(run, step)
        _keep_in_step(report, item, result, problem)
        if getattr(item.config.option, "allure_report_dir", None):
            from labwright.reports import allure

            allure.record(result, run.lab.title)
    if call.when == "teardown":
        told = packed(run, step.id, examiner.new_results(run, step))
        report.user_properties.append((PROPERTY, told))
    return report


def _keep_in_step(
    report: pytest.TestReport, item: pytest.Item, result: StepResult, problem: BaseException | None
) -> None:
    """Set pytest's own result to the step's, whatever the test did with the check's result."""
    if result.outcome is Outcome.PASSED:
        return
    reason = visible(result.reason)
    if result.outcome is Outcome.BLOCKED:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, reason)
        return
    report.outcome = "failed"
    if result.outcome is Outcome.FAILED:
        report.longrepr = reason
        return
    ours = isinstance(problem, LabwrightError) or not report.longrepr
    report.longrepr = reason if ours else visible(report.longreprtext)
    if report.when == "call":
        report.when = "setup"  # pytest counts this as an error, not as a failure


def _step(item: pytest.Item) -> Step | None:
    callspec = getattr(item, "callspec", None)
    step = callspec.params.get("step") if callspec else None
    # Other tests can have a parameter with this name, too.
    wanted = "examine_step" in getattr(item, "fixturenames", ())
    return step if wanted and isinstance(step, Step) else None


def _run(item: pytest.Item) -> Run:
    callspec: Any = getattr(item, "callspec", None)
    runs = item.config.stash[RUNS]
    target = callspec.params.get("lab_target") or runs.of(item.path.parent)[0].target
    return runs.on(item.path.parent, target)
