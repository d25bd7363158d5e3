"""The daemon does what its OpenAPI description says, whatever is sent to it."""

from __future__ import annotations

import socket
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repeated import repeated
from tests.unit import gorb_daemon

from labwright.components.gorb.openapi import description

ask_for_address = socket.getaddrinfo


def of_a_number(host, port, family=0, type=0, proto=0, flags=0):
    """Find the address of what is one already."""
    return ask_for_address(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)


@pytest.fixture(scope="module")
def daemon():
    with pytest.MonkeyPatch.context() as patch, gorb_daemon.running() as one:
        # Nobody is to be asked for the names that the fuzzer makes up.
        patch.setattr(socket, "getaddrinfo", of_a_number)
        yield one


@contextmanager
def registered(daemon):
    """Have something to ask for."""
    daemon.put("/service/0", host="10.0.2.15", port=4444, method="rr")
    daemon.put("/service/0/0", host="172.17.0.2", port=4444)
    yield
    daemon.clear()


# Schemathesis's own: it draws from the module, which Hypothesis seeds for each example.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies")
@repeated(10, 500)
def test_whatever_is_sent_the_answer_is_one_that_is_described(daemon, times):
    # Here, and all operations in one test: to import it takes two seconds of each process.
    import schemathesis

    conforms = gorb_daemon.checks_of_conformance()

    def fuzz(operation):
        @settings(max_examples=times)
        @given(operation.as_strategy(), st.booleans())
        def conforming(case, of_something_registered):
            if of_something_registered:
                case.path_parameters |= dict.fromkeys(case.path_parameters, "0")
            case.call_and_validate(f"http://127.0.0.1:{daemon.port}", checks=conforms)

        with registered(daemon):
            conforming()

    operations = [
        one.ok() for one in schemathesis.openapi.from_dict(description()).get_all_operations()
    ]
    described = [method for path in description()["paths"].values() for method in path]
    assert len(operations) == len([method for method in described if method != "parameters"])
    for operation in operations:
        fuzz(operation)


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
