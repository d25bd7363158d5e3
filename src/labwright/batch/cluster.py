"""Spreads students over a Dask cluster: beyond one computer, an engine that exists.

Dask hands a lost worker's students to another one, and gives a student up that has cost
too many workers. Needs ``distributed`` here and labwright on the workers.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from labwright.batch.examination import broken, examine
from labwright.batch.task import Examined, Task
from labwright.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labwright.batch.stop import Stop
    from labwright.batch.turns import Listener

TOPIC = "labwright-started"
CONNECT_S = 20
TICK_S = 0.5


def examine_group(texts: list[str]) -> list[str]:
    """Examine the machines of a group, on a worker of the cluster; text in, text out."""
    import contextlib

    found = []
    for text in texts:
        task = Task.from_json(text)
        with contextlib.suppress(ValueError):  # outside of a cluster: in a test
            from distributed import get_worker

            get_worker().log_event(TOPIC, {"id": task.id})
        examined = examine(task)
        if examined:
            found.append(examined.to_json())
    return found


def spread(tasks: Sequence[Sequence[Task]], address: str, stop: Stop, listener: Listener) -> None:
    """Examine machines on a cluster.

    :param address: of its scheduler: ``tcp://host:8786``.
    :raises SetupError: Dask is not installed.
    :raises UsageError: there is no cluster at the address.
    """
    try:
        import distributed
    except ImportError:
        raise SetupError("--dask needs Dask: pip install 'labwright[dask]'") from None
    try:
        dask: Any = distributed  # it has no types of its own
        client = dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as problem:
        raise UsageError(f"no Dask cluster at {address}: {problem}") from None
    with client:
        client.subscribe_topic(TOPIC, lambda event: listener.started(event[1]["id"]))
        _await(dask, client, tasks, stop, listener)


def _await(
    dask: Any, client: Any, tasks: Sequence[Sequence[Task]], stop: Stop, listener: Listener
) -> None:
    futures = {
        # Not pure: what is asked of a machine again may be answered otherwise.
        client.submit(examine_group, [task.to_json() for task in group], pure=False): group
        for group in tasks
    }
    left = set(futures)
    cancelled = False
    while left and not stop.abandoned:
        if stop.finishing and not cancelled:
            cancelled = True
            running = {key for keys in client.processing().values() for key in keys}
            client.cancel([future for future in left if future.key not in running])
        try:
            done = dask.wait(left, timeout=TICK_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        for future in done:
            left.discard(future)
            _tell(future, futures[future], listener)
    client.cancel(list(left))


def _tell(future: Any, group: Sequence[Task], listener: Listener) -> None:
    try:
        for text in future.result():
            listener.ended(Examined.from_json(text))
    except CancelledError:
        return
    except Exception as problem:  # noqa: BLE001  whatever a cluster may meet
        for task in group:
            listener.ended(broken(task, f"the Dask cluster lost it: {problem}"[:300]))
