"""How pytest-xdist gives out a lab's steps: those on one target stay with one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class LabScheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker all steps of a lab on a target, in their order.

    The score does not depend on it; it saves workers from examining needs again.
    """

    def __init__(self, config: pytest.Config, log: Any, targets: Sequence[str]) -> None:
        super().__init__(config, log)
        self._targets = sorted(targets, key=len, reverse=True)

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test belongs to: its module, and the target that its id begins with."""
        module, _, test = nodeid.partition("::")
        target = next((target for target in self._targets if f"[{target}-" in test), "")
        return f"{module}::{target}"

    def remove_node(self, node: Any) -> str | None:
        """Give the rest of a lost worker's tests to others, except the one that ended it.

        pytest-xdist would give that one out again, until no worker is left.
        """
        units = self.assigned_work[node].values()
        left = [(unit, test) for unit in units for test, done in unit.items() if not done]
        if left:
            unit, test = left[0]
            unit[test] = True
        super().remove_node(node)
        return left[0][1] if left else None
