"""A scheduler for pytest-xdist that keeps a lab's steps on one target with one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class LabScheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives one worker all steps of a lab on a target, in their order.

    The score does not depend on it; it avoids that workers check needed steps again.
    """

    def __init__(self, config: pytest.Config, log: Any, targets: Sequence[str]) -> None:
        super().__init__(config, log)
        self._targets = sorted(targets, key=len, reverse=True)

    def _split_scope(self, nodeid: str) -> str:
        """Return a test's group: its module, and the target at the beginning of its id."""
        module, _, test = nodeid.partition("::")
        target = next((target for target in self._targets if f"[{target}-" in test), "")
        return f"{module}::{target}"

    def remove_node(self, node: Any) -> str | None:
        """Give the remaining tests of a lost worker to others, except the test that ended it.

        pytest-xdist would repeat that test until no worker is left.
        """
        units = self.assigned_work[node].values()
        left = [(unit, test) for unit in units for test, done in unit.items() if not done]
        if left:
            unit, test = left[0]
            unit[test] = True
        super().remove_node(node)
        return left[0][1] if left else None
