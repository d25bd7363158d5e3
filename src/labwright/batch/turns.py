"""Spreads students over processes of this computer: a plugin of pytest, with pytest-xdist.

An item is a *turn*: when it begins, it takes the next student that nobody has taken. Were
an item a student, each worker would hold back the one that pytest-xdist queues behind the
running one, and a slow machine would hold up another student. There are as many turns as
students, and one more for each worker, which is how many a slow worker can hold back.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from labwright.batch.examination import Examiners, broken
from labwright.batch.stop import Stop
from labwright.batch.task import Examined, Task
from labwright.errors import LabwrightError
from labwright.host.temporary import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROPERTY = "labwright-examined"
TURNS = "turns.labwright"
EXAMINERS = pytest.StashKey[Examiners]()


class Listener(Protocol):
    """Who is told what becomes of the students while it does."""

    def started(self, id: str) -> None:
        """A student's machine is being examined."""

    def ended(self, examined: Examined) -> None:
        """A student's machine was examined, for better or worse."""


def spread(
    tasks: Sequence[Sequence[Task]], workers: int, stop: Stop, lock: Path, listener: Listener
) -> None:
    """Examine machines, so many at once; a group of tasks is one after another.

    :param lock: a file on which each worker holds a shared lock as long as it lives.
    """
    with Scratch() as folder:
        plan = {
            "groups": [[task.to_json() for task in group] for group in tasks],
            "turns": len(tasks) + workers,
            "stop": str(stop.folder),
            "lock": str(lock),
        }
        (folder / TURNS).write_text(json.dumps(plan))
        run = _Run(listener, stop, {task.id: task for group in tasks for task in group})
        before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        # What else is installed for pytest has no business here, and costs each worker time.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        try:
            pytest.main(
                [
                    *(str(folder / TURNS), f"--rootdir={folder}", f"-c{os.devnull}"),
                    *("-pxdist.plugin", "-plabwright.batch.turns", "-pno:terminal"),
                    *("-pno:cacheprovider", "--capture=no", "--dist=load", "--maxschedchunk=1"),
                    *(f"-n{workers}", f"--max-worker-restart={len(tasks) + workers}"),
                ],
                plugins=[run],
            )
        finally:
            if before is None:
                del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
            else:
                os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = before
        if run.failure:
            raise run.failure
        if not stop.finishing:
            run.lose_all(f"labwright itself failed: {run.internal or 'no worker took it'}")


class _Run:
    """In the leading process: hears of turns, and passes on what they tell of students."""

    def __init__(self, listener: Listener, stop: Stop, tasks: dict[str, Task]) -> None:
        self._listener = listener
        self._stop = stop
        self._left = tasks
        self._at: dict[str, str] = {}
        self.internal = ""
        self.failure: LabwrightError | None = None

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """A turn tells which student it took in place of where its test stands."""
        if location[2] in self._left:
            self._at[nodeid] = location[2]
            self._listener.started(location[2])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A turn is over, or its worker."""
        told = [value for name, value in report.user_properties if name == PROPERTY]
        for value in told if report.when == "call" else ():
            self._end(Examined.from_json(str(value)))
        if report.failed and report.nodeid in self._at:
            self._lose(self._at[report.nodeid], f"labwright itself failed: {report.longrepr}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A worker could not read the plan."""
        if report.failed:
            self.internal = (str(report.longrepr).strip().splitlines() or ["pytest"])[-1]

    def pytest_internalerror(self, excrepr: object) -> None:
        """pytest itself failed: nothing more will come."""
        self.internal = (str(excrepr).strip().splitlines() or ["pytest"])[-1]

    def lose_all(self, reason: str) -> None:
        """Nothing will become of those that are left."""
        for id in list(self._left):
            self._lose(id, reason)

    def _lose(self, id: str, reason: str) -> None:
        if id in self._left:
            self._end(broken(self._left[id], reason[:300]))

    def _end(self, examined: Examined) -> None:
        if self._left.pop(examined.id, None) and not self.failure:
            try:
                self._listener.ended(examined)
            except LabwrightError as problem:  # it cannot be kept: no room, say
                self.failure = problem
                self._stop.abandon(str(problem))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the turns of a plan."""
    return Turns.from_parent(parent, path=file_path) if file_path.name == TURNS else None


def pytest_configure(config: pytest.Config) -> None:
    """Make a worker deaf to Ctrl-C, which its leader hears and answers."""
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the examiners that stand ready."""
    if examiners := config.stash.get(EXAMINERS, None):
        examiners.close()


class Turns(pytest.File):
    """A plan: groups of tasks, and as many turns as it takes."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the turns."""
        plan = json.loads(self.path.read_text())
        # Held until this process and its examiners end: whoever resumes waits for it.
        lock = os.open(plan["lock"], os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_SH)
        self.config.stash[EXAMINERS] = Examiners(inherited=(lock,))
        for number in range(plan["turns"]):
            yield Turn.from_parent(self, name=f"turn-{number + 1}", plan=plan)


class Turn(pytest.Item):
    """Takes the next group of tasks that is left, if there is one."""

    def __init__(self, *, plan: dict[str, Any], **rest: Any) -> None:
        super().__init__(**rest)
        self._groups: list[list[str]] = plan["groups"]
        self._stop = Stop(Path(plan["stop"]))
        self._leader = os.getppid()

    def runtest(self) -> None:
        """Examine the machines of a group, one after another."""
        for text in self._next():
            if self._stop.finishing:
                return
            task = Task.from_json(text)
            place = (self.nodeid, 0, task.id)
            self.config.hook.pytest_runtest_logstart(nodeid=self.nodeid, location=place)
            examined = self.config.stash[EXAMINERS].examine(task, self._abandoned)
            if examined:
                self.user_properties.append((PROPERTY, examined.to_json()))
        if os.getppid() != self._leader:
            os._exit(1)

    def teardown(self) -> None:
        """Forget what has been told: the report of this phase would carry it again."""
        self.user_properties.clear()

    def _next(self) -> list[str]:
        """Claim a group: the file's name can be made only once."""
        for number, group in enumerate(self._groups):
            try:
                self.path.with_name(f"taken-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            except FileNotFoundError:  # the leader has gone, and the plan with it
                return []
            return group
        return []

    def _abandoned(self) -> bool:
        return self._stop.abandoned or os.getppid() != self._leader

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where it stands."""
        return self.path, None, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """Return a mistake of ours on one line."""
        return f"{excinfo.typename}: {excinfo.value}"
