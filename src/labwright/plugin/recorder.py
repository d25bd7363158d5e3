"""Collects the results in the tests' reports, from this process or workers, into scores."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labwright.errors import LabwrightError
from labwright.grading.assemble import NO_RESULT, assemble
from labwright.score import now, step_from_dict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labwright.grading.run import Run
    from labwright.plugin.runs import Listener, Runs
    from labwright.score import Score, StepResult

PROPERTY = "labwright-results"
"""The name of the property with the results of steps in a test's report."""


def packed(run: Run, of: str, results: Iterable[StepResult]) -> str:
    """Return results as JSON: pytest-xdist transports neither enumerations nor half surrogates.

    :param of: the id of the step whose test reports them.
    """
    steps = [asdict(result) for result in results]
    where = {"folder": str(run.lab.folder), "target": run.target}
    return json.dumps({**where, "of": of, "steps": steps})


class Recorder:
    """A pytest plugin that receives each finished test, from this process or from a worker."""

    def __init__(self, runs: Runs, listener: Listener | None) -> None:
        self._runs = runs
        self._listener = listener
        self._results: dict[tuple[Path, str], list[StepResult]] = {}
        self._told: set[tuple[Path, str, str]] = set()
        self._scores: list[Score] | None = None
        self._started = now()
        self.problem = ""
        """Why the scores could not be written, or pytest failed."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the results from a report, if it has any."""
        for name, value in report.user_properties if report.when == "teardown" else ():
            if name != PROPERTY:
                continue
            told = json.loads(str(value))
            key = (Path(told["folder"]), told["target"])
            results = self._results.setdefault(key, [])
            results += [step_from_dict(step) for step in told["steps"]]
            if self._listener:
                ids = [told["of"], *(step["id"] for step in told["steps"])]
                self._tell(self._listener, key, ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str], node: Any) -> None:
        """Note the labs that the workers have collected; only workers collect tests."""
        root = Path(node.config.rootpath)
        for module in {id.partition("::")[0] for id in ids if id.endswith("]")}:
            folder = (root / module).parent
            if (folder / "lab.toml").is_file():
                ends = {f"{step.id}]" for run in self._runs_of(folder) for step in run.steps}
                if not any(id.endswith(end) for id in ids for end in ends):
                    self._runs.met.pop(folder, None)

    def _runs_of(self, folder: Path) -> tuple[Run, ...]:
        try:
            return self._runs.of(folder)
        except LabwrightError:  # the workers report it
            return ()

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep the error of pytest as the reason for the remaining steps."""
        self.problem = f"pytest itself failed: {excinfo.exconly()[:300]}"

    def _tell(self, listener: Listener, key: tuple[Path, str], ids: list[str]) -> None:
        """Report final results to a listener, in the lab's order, each once."""
        run = self._runs.on(*key)
        for step in assemble(run, self._results[key]).steps:
            if step.id in ids and (*key, step.id) not in self._told:
                self._told.add((*key, step.id))
                listener.step(step)

    @property
    def heard(self) -> bool:
        """Whether any result has arrived."""
        return any(self._results.values())

    def finish(self) -> list[Score]:
        """Return the scores: one for each lab and target."""
        if self._scores is None:
            finished = now()
            self._scores = [
                assemble(
                    run,
                    self._results.get((folder, run.target), ()),
                    started=self._started,
                    finished=finished,
                    missing=self.problem or NO_RESULT,
                )
                for folder, runs in self._runs.met.items()
                for run in runs
            ]
        return self._scores

    def write(self, folder: Path) -> None:
        """Write the scores; for several labs or targets, each into its own folder."""
        # Imported late: it is slow to import, and workers of pytest-xdist do not need it.
        from labwright.reports.write import write

        scores = self.finish()
        labs = {score.lab for score in scores}
        targets = {score.target for score in scores}
        taken: set[Path] = set()
        for score in scores:
            place = folder / score.lab if len(labs) > 1 else folder
            if len(targets) > 1:
                place /= re.sub(r"[^A-Za-z0-9._@-]+", "_", score.target).strip(".") or "_"
            while place in taken:
                place = place.with_name(f"{place.name}_")
            taken.add(place)
            try:
                write(score, place)
            except LabwrightError as problem:
                self.problem = str(problem)
