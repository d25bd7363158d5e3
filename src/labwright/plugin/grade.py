"""Grades in this process: runs pytest without any output of its own."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from labwright.errors import LabwrightError
from labwright.plugin.runs import Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.grading.run import Run
    from labwright.machines.machine import Machine
    from labwright.plugin.recorder import Recorder
    from labwright.plugin.runs import Listener
    from labwright.score import Score, StepResult

IN_THREAD = ("-s", "-pno:faulthandler", "-pno:threadexception", "-pno:unraisableexception")
"""Options for a thread: pytest must not change the process's streams and signal handlers."""


class NullListener:
    """A listener that does nothing."""

    def step(self, result: StepResult) -> None:
        """Do nothing."""


def grade(
    run: Run,
    listener: Listener | None = None,
    machine: Machine | None = None,
    *,
    in_thread: bool = False,
) -> Score:
    """Run a lab's steps, and return the score.

    :param machine: the target, if it is already open; it is left open.
    :param in_thread: whether this is not the process's main thread.
    :raises LabwrightError: pytest could not run the steps at all.
    """
    given = Given(run, listener or NullListener(), machine)
    watcher = _Watcher()
    folder = run.lab.folder
    fixed = [
        *(f"--rootdir={folder}", f"--confcutdir={folder}", f"-c{os.devnull}"),
        *("--import-mode=importlib", "-pno:terminal", "-pno:cacheprovider"),
        # Other installed plugins must not influence a grade: some reorder tests, and some
        # take seconds to import.
        *("--disable-plugin-autoload", "--assert=plain"),
    ]
    if run.alluredir:
        fixed += ["-pallure_pytest.plugin", f"--alluredir={run.alluredir}"]
    if in_thread:
        fixed += IN_THREAD
    modules = [str(m) for m in sorted(folder.glob("test_*.py")) or [folder / "lab.toml"]]
    plugins = [sys.modules["labwright.plugin"], watcher]
    with _without_settings():
        status = pytest.main([*modules, *fixed], plugins=[_Registers(given), *plugins])
    if status == pytest.ExitCode.INTERRUPTED and not watcher.problem:
        raise KeyboardInterrupt
    if watcher.recorder is None or (watcher.problem and not watcher.recorder.heard):
        raise LabwrightError(f"{folder}: no step was checked: {watcher.problem or status}")
    (score,) = watcher.recorder.finish()
    return score


@contextmanager
def _without_settings() -> Iterator[None]:
    """Ignore the user's settings of pytest during a grading."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name in SETTINGS}
    try:
        yield
    finally:
        os.environ.update(kept)


SETTINGS = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")


class _Registers:
    """Registers the given run under its name, before the plugin looks for it."""

    def __init__(self, given: Given) -> None:
        self._given = given

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._given, Given.NAME)


class _Watcher:
    """Keeps the recorder of a pytest run, and errors before its tests."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.problem = ""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        self.recorder = config.pluginmanager.get_plugin("labwright-recorder")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problem = str(report.longrepr)
