"""A class that is graded in this process: forking for each student is tried in test_pool."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from labwright.batch.grade_one import Teller, grade_one

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labwright.batch.pool import Listener
    from labwright.batch.stop import Stop
    from labwright.batch.task import Task


def spread(
    groups: Sequence[Sequence[Task]], workers: int, stop: Stop, lock: Path, listener: Listener
) -> None:
    """Grade one student after another, in the place of ``labwright.batch.pool.spread``."""
    for task in (task for group in groups for task in group):
        listener.ended(grade_one(task, Teller(io.StringIO())))
