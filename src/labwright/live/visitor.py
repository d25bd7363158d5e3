"""Checks the machines of a class repeatedly: ``python -m labwright.live.visitor``.

The first line on standard input is JSON with the lab and the machines. Changes are written to
standard output as lines of JSON. The process ends when standard input is closed. A machine on
which nothing changes is visited less and less often.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NoReturn

from labwright.batch import reach
from labwright.batch.grade_one import run_of
from labwright.batch.task import Task
from labwright.errors import LabwrightError
from labwright.grading.watch import Examined, Examining, MachineBack, MachineGone, StepChanged
from labwright.host.temporary import Scratch
from labwright.live.following import watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from labwright.grading.watch import Event, Watch

SOON_S, LATE_S = 5.0, 60.0
"""Seconds until the next visit: after a change, and at most."""


class Visited:
    """One student's machine."""

    def __init__(self, task: Task, folder: Path, tell: Callable[..., None]) -> None:
        self._pause = SOON_S
        self._moved = False
        self._id, self._tell = task.id, tell
        folder.mkdir()
        self._watch: Watch = watch(
            run_of(task),
            self._handle,
            lambda: reach.connection(task, folder),
            traffic=False,
        )

    def visit(self) -> float:
        """Visit the machine, and return the seconds until the next visit."""
        self._moved = False
        start = time.process_time()
        try:
            self._watch.visit()
        except LabwrightError as problem:
            self._tell(self._id, "gone", str(problem))
        self._tell(self._id, "visited", round(time.process_time() - start, 4))
        self._pause = SOON_S if self._moved else min(1.5 * self._pause, LATE_S)
        return self._pause

    def close(self) -> None:
        """Close the connection."""
        self._watch.stop()

    def _handle(self, event: Event) -> None:
        if isinstance(event, StepChanged):
            self._moved = True
            # The record is not needed here, and would be most of the data.
            told = replace(event.result, observations=(), evidence=())
            self._tell(self._id, "step", [asdict(told), event.unsettled, event.changing])
        elif isinstance(event, MachineGone):
            self._tell(self._id, "gone", event.reason)
        elif isinstance(event, MachineBack):
            self._moved = True
            self._tell(self._id, "back", None)
        elif not isinstance(event, Examining | Examined):
            raise TypeError(f"not an event: {event!r}")


def main() -> int:
    """Visit until standard input is closed."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)  # other output must not get between the JSON lines
    tasks = [Task.from_json(text) for text in json.loads(sys.stdin.readline())]
    threading.Thread(target=_end_with_input, daemon=True).start()
    with Scratch() as folder:
        visit_all(tasks, folder, told)
    return 0


def visit_all(tasks: list[Task], folder: Path, told: TextIO) -> NoReturn:
    """Visit each machine when it is due."""

    def tell(id: str, what: str, body: Any) -> None:
        told.write(json.dumps([id, what, body]) + "\n")
        told.flush()

    visited = [Visited(task, folder / str(n), tell) for n, task in enumerate(tasks)]
    due = [(0.0, n) for n in range(len(visited))]
    while True:
        when, n = heapq.heappop(due)
        time.sleep(max(0.0, when - time.monotonic()))
        pause = visited[n].visit() * random.uniform(0.9, 1.1)  # noqa: S311  not all at once
        heapq.heappush(due, (time.monotonic() + pause, n))


def _end_with_input() -> None:
    """End this process when standard input is closed; its connections then end, too."""
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
