"""The daemon does what its OpenAPI description says, whatever is sent to it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.repeated import repeated
from tests.unit import gorb_daemon

from labwright.components.gorb import addresses
from labwright.components.gorb.openapi import description

load_all_checks()
CONFORMS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def daemon():
    with pytest.MonkeyPatch.context() as patch, gorb_daemon.running() as one:
        # Nobody is to be asked for the names that the fuzzer makes up.
        patch.setattr(addresses, "_may_be_a_name", lambda _: False)
        yield one


OPERATIONS = [
    one.ok() for one in schemathesis.openapi.from_dict(description()).get_all_operations()
]


@pytest.fixture
def registered(daemon):
    """Something to ask for."""
    daemon.put("/service/0", host="10.0.2.15", port=4444, method="rr")
    daemon.put("/service/0/0", host="172.17.0.2", port=4444)
    yield
    daemon.clear()


# Schemathesis's own: it draws from the module, which Hypothesis seeds for each example.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")
@repeated(10, 500)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_whatever_is_sent_the_answer_is_one_that_is_described(operation, daemon, registered, times):
    @settings(max_examples=times)
    @given(operation.as_strategy(), st.booleans())
    def fuzz(case, of_something_registered):
        if of_something_registered:
            case.path_parameters |= dict.fromkeys(case.path_parameters, "0")
        case.call_and_validate(f"http://127.0.0.1:{daemon.port}", checks=CONFORMS)

    fuzz()


def test_the_description_is_one_that_others_can_read(daemon):
    described = daemon.get("/openapi.json").json()
    assert described["openapi"].startswith("3.0")
    assert set(described["paths"]["/service/{vsID}/{rsID}"]) == {
        "parameters",
        "get",
        "put",
        "patch",
        "delete",
    }
