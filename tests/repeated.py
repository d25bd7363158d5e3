"""How often a test that draws its cases is repeated: a little here, and a lot by tox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def repeated(few: int, many: int) -> Callable:
    """Give a test its number of ``times``: few, and many in ``tox -e simulation``."""
    more = pytest.param(many, marks=pytest.mark.simulation)
    return pytest.mark.parametrize("times", [few, more])
