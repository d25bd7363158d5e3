"""Grades a class on a Dask cluster, for classes that are too large for one computer.

If a worker is lost, Dask gives its students to another worker; it gives up a student
whose task has killed too many workers. This computer needs ``distributed``, and the workers
need labwright.
"""

from __future__ import annotations

import functools
import logging
import queue
import time
import uuid
from typing import TYPE_CHECKING, Any

from labwright.batch.pool import ForkServer, broken, examine
from labwright.batch.task import Examined, Task
from labwright.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.batch.pool import Listener
    from labwright.batch.stop import Stop

CONNECT_S = 20
TICK_S = 0.5
WORKERLESS_S = 30
"""Seconds between checks that the cluster still has workers."""
GATHER_S = 10
CANCELLED = ("cancelled", "released", "forgotten")
"""What a worker calls a task that is no longer wanted."""


def examine_group(texts: list[str], topic: str) -> list[str]:
    """Grade a group of students, on a worker of the cluster.

    :param texts: the tasks as JSON; the results are JSON, too.
    :param topic: the Dask topic on which the start of each student is announced.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    abandoned = _abandonment(worker)
    found = []
    for text in texts:
        task = Task.from_json(text)
        worker.log_event(topic, {"id": task.id})
        examined = examine(_server(), task, abandoned)
        if examined is None:
            break
        found.append(examined.to_json())
    return found


@functools.cache
def _server() -> ForkServer:
    """Return this worker's fork server: its threads share it, and it ends with the worker."""
    return ForkServer()


def _abandonment(worker: Any) -> Callable[[], bool]:
    """Return a function that tells whether this task was cancelled or its client has gone."""
    key = worker.get_current_task()

    def abandoned() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in CANCELLED

    return abandoned


def spread(tasks: Sequence[Sequence[Task]], address: str, stop: Stop, listener: Listener) -> None:
    """Grade groups of students on a cluster.

    :param address: of the cluster's scheduler: ``tcp://host:8786``.
    :raises SetupError: Dask is not installed.
    :raises UsageError: there is no cluster at the address.
    """
    try:
        import distributed
    except ImportError:
        raise SetupError("--dask needs Dask: pip install 'labwright[dask]'") from None
    try:
        dask: Any = distributed  # it has no types of its own
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we say what is lost
        client = dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as problem:
        raise UsageError(f"no Dask cluster at {address}: {problem}") from None
    with client:
        if not _workers(client):
            raise UsageError(
                f"the Dask cluster at {address} has no workers, so nobody would be graded: start "
                f"a worker: dask worker {address} --nthreads 16"
            )
        _Run(client, tasks, stop, listener).wait()


def _workers(client: Any) -> int:
    """Return the number of workers of a cluster."""
    return len(client.ncores())


class _Run:
    """The students on a cluster, and the events about them; all in one thread."""

    def __init__(
        self, client: Any, tasks: Sequence[Sequence[Task]], stop: Stop, listener: Listener
    ) -> None:
        self._client = client
        self._stop = stop
        self._listener = listener
        self._begun: set[str] = set()
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        topic = f"labwright-{uuid.uuid4().hex}"  # others may grade on the same cluster
        client.subscribe_topic(topic, lambda event: self._heard.put(event[1]["id"]))
        self._left: dict[Any, Sequence[Task]] = {}
        for group in tasks:
            texts = [task.to_json() for task in group]
            # Not pure: the same machine can give another answer the next time.
            self._left[client.submit(examine_group, texts, topic, pure=False)] = group
        for future in self._left:
            future.add_done_callback(self._heard.put)

    def wait(self) -> None:
        """Wait until all students are graded, or the grading is abandoned."""
        cancelled = False
        looked = time.monotonic()
        while self._left and not self._stop.abandoned:
            if time.monotonic() - looked > WORKERLESS_S:
                looked = time.monotonic()
                if not _workers(self._client):
                    self._lose_all("the Dask cluster has no workers any more")
                    break
            if self._stop.finishing and not cancelled:
                cancelled = True
                self._cancel_those_not_begun()
            try:
                told = self._heard.get(timeout=TICK_S)
            except queue.Empty:
                continue
            if isinstance(told, str):
                self._begun.add(told)
                self._listener.started(told)
            elif told in self._left:
                self._tell(told, self._left.pop(told))
        self._client.cancel(list(self._left))

    def _lose_all(self, reason: str) -> None:
        for group in self._left.values():
            for task in group:
                self._listener.ended(broken(task, reason))

    def _cancel_those_not_begun(self) -> None:
        waiting = [
            future
            for future, group in self._left.items()
            if not any(task.id in self._begun for task in group)
        ]
        for future in waiting:
            del self._left[future]
        self._client.cancel(waiting)

    def _tell(self, future: Any, group: Sequence[Task]) -> None:
        try:
            found = [Examined.from_json(text) for text in future.result(timeout=GATHER_S)]
        except TimeoutError:  # the worker was lost with the result; Dask gives it to another one
            self._left[future] = group
            self._heard.put(future)
            return
        except Exception as problem:  # noqa: BLE001  a cluster can fail in any way
            reason = f"the Dask cluster lost this student's task: {problem}"[:300]
            found = [broken(task, reason) for task in group]
        for examined in found:
            self._listener.ended(examined)
