"""What the orchestrator lab's checks need beside what labwright brings: Gorb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from labwright.checks.gorb import Gorb
from labwright.checks.kernel import TABLE

if TYPE_CHECKING:
    from labwright.checks.visit import Visit


@pytest.fixture(scope="module")
def visit(visit: Visit, lab_values: dict[str, Any]) -> Visit:
    """What one visit to the machine sees; what the lab's checks will ask is planned for it."""
    visit.plan(files=[TABLE], interfaces=[lab_values["interface"]])
    gorb = Gorb(visit, lab_values["gorb_port"])
    visit.plan(urls=map(gorb.url, ["/service", f"/service/{lab_values['service']}"]))
    return visit


@pytest.fixture(scope="module")
def gorb(visit: Visit, lab_values: dict[str, Any]) -> Gorb:
    """Gorb's REST interface on the machine."""
    return Gorb(visit, lab_values["gorb_port"])
