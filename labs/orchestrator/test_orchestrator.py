"""The orchestrator lab as tests: one for each step of lab.toml, with the step's id."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_step(examine_step: Callable[[], None]) -> None:
    """The step's check holds on the target."""
    examine_step()
