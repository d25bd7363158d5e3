"""The split is judged by the sequence, by what the kernel scheduled, and by three witnesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labwright.checks.distribution import about_half, round_robin
from labwright.checks.kernel import Connection
from labwright.checks.traffic import (
    CONNECTIONS,
    Request,
    Traffic,
    attribute,
    load_exceeds_capacity,
    requests_succeed,
)
from labwright.errors import CheckFailed

BOTH = ("server1", "server2")
URL = "http://10.0.2.15:4444/doWork"


def traffic(order: str, **changes) -> Traffic:
    """Return traffic whose n-th request went to server ``order[n]``; ``?`` is nobody known."""
    requests = tuple(
        Request(
            n=n,
            intended_s=n * 0.1,
            end_s=n * 0.5,
            status=200,
            body="Response sent after 500 ms\n",
            error="",
            server=None if digit == "?" else f"server{digit}",
        )
        for n, digit in enumerate(order, 1)
    )
    consoles = {server: order.count(server[-1]) for server in BOTH}
    return replace(Traffic(URL, BOTH, requests, (), consoles), **changes)


def fails(check, *arguments, **values) -> str:
    with pytest.raises(CheckFailed) as caught:
        list(check(*arguments, **values))
    return str(caught.value)


@pytest.mark.parametrize("order", ["121212121212", "212121212121"])
def test_strict_alternation_is_round_robin(order):
    assert len(list(round_robin(traffic(order), tolerance=0.0))) >= 3


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("112121212121", "request 3"),
        ("121212121221", "request 11"),
        ("111111222222", "out of turn"),
        ("111111111111", "all went to server1"),
        ("1212121212?2", "did not"),
    ],
)
def test_equal_counts_do_not_make_round_robin(order, says):
    assert says in fails(round_robin, traffic(order), tolerance=0.0)


def test_a_console_that_disagrees_with_the_kernel_is_a_finding():
    lying = traffic("121212121212", consoles={"server1": 6, "server2": 0})
    assert "its console says 0" in fails(round_robin, lying, tolerance=0.0)


def test_other_traffic_is_named_and_not_taken_for_imbalance():
    other = Connection(
        "tcp", ("10.0.2.99", 4000), ("10.0.2.15", 4444), ("172.17.0.2", 4444), "ESTABLISHED"
    )
    message = fails(round_robin, traffic("122112121212", foreign=(other,)), tolerance=0.0)
    assert "no other traffic" in message
    assert "10.0.2.99" in message


@pytest.mark.parametrize(
    ("order", "holds"),
    [("12" * 10, True), ("12" * 8 + "1111", True), ("12" * 7 + "111111", False), ("2" * 20, False)],
)
def test_about_half_is_within_the_stated_tolerance(order, holds):
    check = about_half(traffic(order), container="server1", tolerance=0.1)
    if holds:
        assert list(check)
    else:
        assert "server1 to be given 50%" in fails(
            about_half, traffic(order), container="server1", tolerance=0.1
        )


def test_one_failed_request_is_one_too_many():
    sent = traffic("121212121212")
    refused = replace(sent.requests[3], status=None, error="refused")
    broken = replace(sent, requests=(*sent.requests[:3], refused, *sent.requests[4:]))
    assert "request 4: refused" in fails(requests_succeed, broken, requests=12)
    assert list(requests_succeed(sent, requests=12))


def test_another_programs_answer_is_no_success():
    sent = traffic("121212121212")
    other = replace(sent.requests[0], body="It works!")
    changed = replace(sent, requests=(other, *sent.requests[1:]))
    assert "request 1: 200 It works!" in fails(requests_succeed, changed, requests=12)


def load(served_per_s: float) -> Traffic:
    """Return 40 requests in 5 s, answered at this rate."""
    requests = tuple(
        Request(n, n / 8, n / served_per_s + 0.5, 200, "Response sent", "", f"server{n % 2 + 1}")
        for n in range(1, 41)
    )
    return Traffic(URL, BOTH, requests, (), {"server1": 20, "server2": 20})


def test_servers_that_fall_behind_cannot_handle_the_load():
    assert list(load_exceeds_capacity(load(4.0), server_rate=2.0))


def test_servers_that_keep_up_are_not_those_of_the_document():
    assert "to fall behind" in fails(load_exceeds_capacity, load(50.0), server_rate=2.0)


def answer(rows: list[tuple[int, str]], before: str = "", extra: str = "") -> dict:
    """Return a probe's answer: requests from these ports, handed to these addresses."""
    entries = [
        f"TCP 0A00020F {port:04X} 0A00020F 115C {to} 115C TIME_WAIT 110" for port, to in rows
    ]
    return {
        "started_at": 0.0,
        "before": {CONNECTIONS: before},
        "after": {CONNECTIONS: "\n".join([*entries, extra])},
        "requests": [
            {
                "n": n,
                "local_address": "10.0.2.15",
                "local_port": port,
                "start_s": 0.0,
                "end_s": 1.0,
                "status": 200,
                "body": "Response sent after 500 ms\n",
                "error": "",
            }
            for n, (port, _) in enumerate(rows, 1)
        ],
    }


ADDRESSES = {"172.17.0.2": "server1", "172.17.0.3": "server2"}


def test_requests_are_attributed_by_their_local_port():
    seen = attribute(URL, answer([(40000, "AC110002"), (40001, "AC110003")]), ADDRESSES, {})
    assert [request.server for request in seen.requests] == ["server1", "server2"]
    assert seen.foreign == ()


def test_a_request_that_the_kernel_did_not_see_is_attributed_to_nobody():
    body = answer([(40000, "AC110002")])
    body["requests"][0]["local_port"] = 50000
    assert attribute(URL, body, ADDRESSES, {}).requests[0].server is None


def test_a_destination_that_is_no_server_of_ours_is_nobody():
    seen = attribute(URL, answer([(40000, "AC110009")]), ADDRESSES, {})
    assert seen.requests[0].server is None


def test_connections_that_appeared_meanwhile_and_are_not_ours_are_foreign():
    other = "TCP 0A000263 9C40 0A00020F 115C AC110002 115C ESTABLISHED 899"
    assert (
        attribute(URL, answer([], extra=other), ADDRESSES, {}).foreign[0].client[0] == "10.0.2.99"
    )
    assert attribute(URL, answer([], before=other, extra=other), ADDRESSES, {}).foreign == ()
