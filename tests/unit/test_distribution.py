"""The split is judged by the sequence, by what the kernel scheduled, and by three witnesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labwright.checks.distribution import about_half, round_robin
from labwright.checks.kernel import Connection, Destination, Service
from labwright.checks.traffic import (
    CONNECTIONS,
    Request,
    Traffic,
    attribute,
    load_exceeds_capacity,
    requests_succeed,
)
from labwright.errors import CheckFailed, Disturbed
from labwright.machines.engine import Container
from labwright.outcome import Evidence

BOTH = ("server1", "server2")
URL = "http://10.0.2.15:4444/doWork"
ANSWER = "Response sent after 500 ms\n"


def traffic(order: str, **changes) -> Traffic:
    """Return traffic whose n-th request went to server ``order[n]``; ``?`` is nobody known."""
    requests = tuple(
        Request(
            n=n,
            intended_s=n * 0.1,
            end_s=n * 0.5,
            status=200,
            body=ANSWER,
            error="",
            server=None if digit == "?" else f"server{digit}",
        )
        for n, digit in enumerate(order, 1)
    )
    consoles = {server: order.count(server[-1]) for server in BOTH}
    return replace(Traffic(URL, BOTH, requests, (), consoles), **changes)


class Sent:
    """What a sender has sent: the rounds of requests to come, and the load."""

    def __init__(self, *rounds: Traffic) -> None:
        self._left = list(rounds)
        self.rounds: list[Traffic] = []
        self.requests = self.load = self.another_round()

    def another_round(self) -> Traffic:
        self.rounds.append(self._left.pop(0))
        return self.rounds[-1]


def passes(check, *arguments, **values) -> list[Evidence]:
    seen = list(check(*arguments, **values))
    assert seen
    return seen


def fails(check, *arguments, **values) -> str:
    with pytest.raises(CheckFailed) as caught:
        list(check(*arguments, **values))
    return str(caught.value)


TURNS = {"tolerance": 0.0, "false_pass_limit": 0.001}


@pytest.mark.parametrize("order", ["121212121212", "212121212121"])
def test_strict_alternation_is_round_robin(order):
    passes(round_robin, Sent(traffic(order)), **TURNS)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("112121212121", "request 2"),
        ("121212121221", "request 11"),
        ("111111222222", "out of turn"),
        ("111111111111", "all went to server1"),
        ("1212121212?2", "did not"),
    ],
)
def test_equal_counts_do_not_make_round_robin(order, says):
    assert says in fails(round_robin, Sent(traffic(order)), **TURNS)


def test_three_servers_take_turns_in_the_kernels_order():
    three = {
        "servers": ("server3", "server1", "server2"),
        "consoles": dict.fromkeys(("server1", "server2", "server3"), 4),
    }
    passes(round_robin, Sent(traffic("312312312312", **three)), **TURNS)
    assert "out of turn" in fails(round_robin, Sent(traffic("321321321321", **three)), **TURNS)


def test_a_console_that_disagrees_with_the_kernel_is_a_finding():
    lying = traffic("121212121212", consoles={"server1": 6, "server2": 0})
    assert "its console says 0" in fails(round_robin, Sent(lying), **TURNS)


def test_a_console_that_tells_of_more_is_someone_elses_request_past_the_balancer():
    passes(round_robin, Sent(traffic("12" * 6, consoles={"server1": 9, "server2": 6})), **TURNS)


def others(count: int) -> tuple[Connection, ...]:
    return tuple(
        Connection(
            *("tcp", ("10.0.2.99", 4000 + n), ("10.0.2.15", 4444), ("172.17.0.2", 4444)), "NONE"
        )
        for n in range(count)
    )


def test_a_connection_of_somebody_else_excuses_a_turn_and_asks_for_more_requests():
    first = traffic("121212212121", foreign=others(1))
    seen = passes(round_robin, Sent(first, traffic("212121212121")), **TURNS)
    assert "connections of others: 10.0.2.99" in seen[0].saw


def test_more_requests_out_of_turn_than_others_came_between_are_not_excused():
    first = traffic("122122121212", foreign=others(1))
    message = fails(round_robin, Sent(first), **TURNS)
    assert "beside 1 connections of others" in message


def test_traffic_that_drowns_ours_is_named_and_neither_passes_nor_fails():
    rounds = [traffic("122112211221", foreign=others(12)) for _ in range(4)]
    with pytest.raises(Disturbed, match="stop what sends requests"):
        list(round_robin(Sent(*rounds), **TURNS))


@pytest.mark.parametrize(
    ("order", "holds"),
    [("12" * 10, True), ("12" * 7 + "111111", False), ("2" * 20, False)],
)
def test_about_half_is_within_the_stated_tolerance(order, holds):
    asked = {"container": "server1", "tolerance": 0.1}
    if holds:
        passes(about_half, Sent(traffic(order)), **asked)
    else:
        assert "server1 to be given 50%" in fails(about_half, Sent(traffic(order)), **asked)


def test_half_of_the_load_out_of_turn_is_not_round_robin():
    asked = {"container": "server1", "tolerance": 0.1}
    assert "out of turn" in fails(about_half, Sent(traffic("12" * 8 + "1122")), **asked)


class Table:
    """A kernel that has one service, with the servers behind it and perhaps a stranger."""

    def __init__(self, *addresses: str) -> None:
        behind = tuple(Destination(address, 4444, "Masq", 100) for address in addresses)
        self._service = Service("tcp", "10.0.2.15", 4444, "rr", "", behind)

    def address_of(self, _interface):
        return "10.0.2.15"

    def service(self, _address, _port):
        return self._service, Evidence("the table", "cat", "rr")


class Docker:
    """An Engine in which server1 and server2 run."""

    def container(self, name):
        return Container(name, "running", addresses=(f"172.17.0.{int(name[-1]) + 1}",))


SUCCEED = {
    "interface": "enp0s3",
    "service_port": 4444,
    "servers": list(BOTH),
    "requests": 12,
    "work_answer": ANSWER,
}
SERVERS = Table("172.17.0.2", "172.17.0.3")


def test_one_failed_request_is_one_too_many():
    sent = traffic("121212121212")
    refused = replace(sent.requests[3], status=None, error="refused")
    lost = replace(sent, requests=(*sent.requests[:3], refused, *sent.requests[4:]))
    message = fails(requests_succeed, SERVERS, Docker(), Sent(lost), **SUCCEED)
    assert "request 4: refused" in message
    passes(requests_succeed, SERVERS, Docker(), Sent(sent), **SUCCEED)


def test_another_programs_answer_is_no_success():
    sent = traffic("121212121212")
    other = replace(sent.requests[0], body="It works!")
    changed = replace(sent, requests=(other, *sent.requests[1:]))
    message = fails(requests_succeed, SERVERS, Docker(), Sent(changed), **SUCCEED)
    assert "request 1: 200 It works!" in message


def test_a_third_backend_is_found_before_anything_is_sent():
    three = Table("172.17.0.2", "172.17.0.3", "172.17.0.9")
    message = fails(requests_succeed, three, Docker(), None, **SUCCEED)
    assert "172.17.0.9:4444" in message


def load(served_per_s: float) -> Sent:
    """Return 40 requests in 5 s, answered at this rate."""
    requests = tuple(
        Request(n, n / 8, n / served_per_s + 0.5, 200, ANSWER, "", f"server{n % 2 + 1}")
        for n in range(1, 41)
    )
    return Sent(Traffic(URL, BOTH, requests, (), {"server1": 20, "server2": 20}))


WORK = {"server_rate": 2.0, "work_answer": ANSWER}


def test_servers_that_fall_behind_cannot_handle_the_load():
    passes(load_exceeds_capacity, load(4.0), **WORK)


@pytest.mark.parametrize("served_per_s", [6.0, 50.0])
def test_servers_that_answer_more_than_two_can_are_not_those_of_the_document(served_per_s):
    assert "to fall behind" in fails(load_exceeds_capacity, load(served_per_s), **WORK)


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
    seen = attribute(URL, answer([(40000, "AC110002"), (40001, "AC110003")]), ADDRESSES)
    assert [request.server for request in seen.requests] == ["server1", "server2"]
    assert seen.foreign == ()


def test_a_request_that_the_kernel_did_not_see_is_attributed_to_nobody():
    body = answer([(40000, "AC110002")])
    body["requests"][0]["local_port"] = 50000
    assert attribute(URL, body, ADDRESSES).requests[0].server is None


def test_a_destination_that_is_no_server_of_ours_is_nobody():
    seen = attribute(URL, answer([(40000, "AC110009")]), ADDRESSES)
    assert seen.requests[0].server is None


def test_connections_that_appeared_meanwhile_and_are_not_ours_are_foreign():
    other = "TCP 0A000263 9C40 0A00020F 115C AC110002 115C ESTABLISHED 899"
    assert attribute(URL, answer([], extra=other), ADDRESSES).foreign[0].client[0] == "10.0.2.99"
    assert attribute(URL, answer([], before=other, extra=other), ADDRESSES).foreign == ()
