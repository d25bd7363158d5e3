"""The split is judged by the sequence, by what the kernel scheduled, and by three witnesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labwright.checks.attribution import CONNECTIONS, COUNTERS, Request, Traffic, attribute
from labwright.checks.distribution import about_half, round_robin
from labwright.checks.kernel import TABLE, Connection, Destination, Service
from labwright.checks.traffic import load_exceeds_capacity, requests_succeed
from labwright.errors import CheckFailed, Disturbed
from labwright.machines.engine import Container
from labwright.outcome import Evidence, Notice

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
    return replace(Traffic(URL, BOTH, requests, consoles=consoles), **changes)


class Sent:
    """What a sender has sent: the rounds of requests to come, and the load."""

    def __init__(self, *rounds: Traffic) -> None:
        self.servers = tuple(rounds[0].consoles)
        self._left = list(rounds)
        self.rounds: list[Traffic] = []
        self.requests = self.load = self.another_round()

    def another_round(self) -> Traffic:
        self.rounds.append(self._left.pop(0))
        return self.rounds[-1]


def passes(check, *arguments, **values) -> list[Evidence]:
    seen = [piece for piece in check(*arguments, **values) if isinstance(piece, Evidence)]
    assert seen
    return seen


def notices(check, *arguments, **values) -> list[str]:
    return [piece.text for piece in check(*arguments, **values) if isinstance(piece, Notice)]


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


@pytest.mark.parametrize("order", ["12" * 6 + "1", "2121212", "1" + "21" * 7])
def test_an_odd_number_of_requests_in_perfect_turn_passes(order):
    passes(round_robin, Sent(traffic(order), traffic(order)), **TURNS)


def test_a_console_that_is_short_is_a_notice_where_kernel_and_answers_agree():
    short = Sent(traffic("121212121212", consoles={"server1": 6, "server2": 2}))
    assert "2 of the 6 requests" in notices(round_robin, short, **TURNS)[0]


def test_a_console_that_cannot_be_read_is_a_notice():
    unread = Sent(traffic("121212121212", consoles={"server1": 6, "server2": None}))
    assert "`docker logs server2` cannot be read" in notices(round_robin, unread, **TURNS)[0]


def test_a_console_that_tells_of_more_is_someone_elses_request_past_the_balancer():
    more = Sent(traffic("12" * 6, consoles={"server1": 9, "server2": 6}))
    assert notices(round_robin, more, **TURNS) == []


def others(first: int, second: int = 0) -> dict:
    """Return what traffic is beside connections of others, handed to server1 and server2."""
    return {
        "beside": {"server1": first, "server2": second},
        "foreign": tuple(
            Connection(
                "tcp", ("10.0.2.99", 4000 + n), ("10.0.2.15", 4444), ("172.17.0.2", 4444), "NONE"
            )
            for n in range(first + second)
        ),
    }


def test_a_connection_of_somebody_else_takes_a_turn_and_asks_for_more_requests():
    first = traffic("121212212121", **others(1, 0))
    seen = passes(round_robin, Sent(first, traffic("212121212121")), **TURNS)
    assert "connections of others (10.0.2.99)" in seen[0].saw


def test_a_turn_that_was_handed_to_another_server_than_the_one_left_out_explains_nothing():
    # Between request 6 and 7, which both went to server2, one must have gone to server1.
    first = traffic("121212212121", **others(0, 1))
    assert "request 7 went to server2" in fails(round_robin, Sent(first), **TURNS)


def test_more_requests_out_of_turn_than_others_came_between_are_not_explained():
    first = traffic("122122121212", **others(1))
    message = fails(round_robin, Sent(first), **TURNS)
    assert "beside 1 connections of others" in message


def test_traffic_that_drowns_ours_is_named_and_neither_passes_nor_fails():
    rounds = [traffic("122112211221", **others(6, 6)) for _ in range(4)]
    with pytest.raises(Disturbed, match="stop what sends requests"):
        list(round_robin(Sent(*rounds), **TURNS))


def test_connections_that_left_no_entry_may_have_taken_turns():
    first = traffic("121212212121", unseen=1)
    seen = passes(round_robin, Sent(first, traffic("121212121212")), **TURNS)
    assert "no longer lists" in seen[0].saw


def test_a_request_whose_entry_is_gone_but_which_was_counted_is_no_failure():
    gone = traffic("1212121212?2", unseen=1)
    with pytest.raises(Disturbed, match="forgot them"):
        list(round_robin(Sent(gone), **TURNS))


def test_servers_that_changed_meanwhile_are_asked_once_more():
    changed = traffic("111111212121", steady=False)
    passes(round_robin, Sent(changed, traffic("121212121212")), **TURNS)
    with pytest.raises(Disturbed, match="changed while requests were sent"):
        list(round_robin(Sent(*[changed] * 4), **TURNS))


def test_more_requests_are_sent_until_the_limit_is_kept_and_too_few_are_no_verdict():
    rounds = [traffic("121212121212") for _ in range(4)]
    sent = Sent(*rounds)
    passes(round_robin, sent, tolerance=0.0, false_pass_limit=1e-10)
    assert len(sent.rounds) == 4
    with pytest.raises(Disturbed, match="raise the lab's value `requests`"):
        list(round_robin(Sent(*rounds), tolerance=0.0, false_pass_limit=1e-20))


HALF = {"container": "server1", "tolerance": 0.1, "false_pass_limit": 0.001}


@pytest.mark.parametrize(
    ("order", "holds"),
    [("12" * 10, True), ("12" * 9 + "1", True), ("12" * 7 + "111111", False), ("2" * 20, False)],
)
def test_about_half_is_within_the_stated_tolerance(order, holds):
    if holds:
        passes(about_half, Sent(traffic(order)), **HALF)
    else:
        assert "server1 to be given 50%" in fails(about_half, Sent(traffic(order)), **HALF)


def test_all_of_the_load_to_one_server_is_no_half_whatever_others_send():
    # What an inflated tolerance let pass: 12 connections of strangers, shared evenly.
    load = traffic("1" * 12, **others(6, 6))
    message = fails(about_half, Sent(load), **HALF)
    assert "18 of 24 connections" in message
    assert "of ours 12" in message


def test_all_of_the_load_to_one_server_and_all_of_the_others_to_the_other_is_no_verdict():
    load = traffic("1" * 12, **others(0, 12))
    with pytest.raises(Disturbed, match="too many to know"):
        list(about_half(Sent(load), **HALF))


def test_half_of_the_load_out_of_turn_is_not_round_robin():
    assert "out of turn" in fails(about_half, Sent(traffic("12" * 8 + "1122")), **HALF)


class Table:
    """A kernel that has one service, with the servers behind it and perhaps a stranger."""

    def __init__(self, *endpoints: str, weight: int = 100) -> None:
        behind = []
        for endpoint in endpoints:
            address, _, port = endpoint.partition(":")
            behind.append(Destination(address, int(port or 4444), "Masq", weight))
            behind[:-1] = [replace(each, weight=100) for each in behind[:-1]]
        self._service = Service("tcp", "10.0.2.15", 4444, "rr", "", tuple(behind))

    def service_on(self, _interface, _port):
        return self._service, Evidence("the table", "cat", "rr")


class Docker:
    """An Engine in which server1 and server2 run."""

    def container(self, name):
        return Container(name, "running", addresses=(f"172.17.0.{int(name[-1]) + 1}",))


SUCCEED = {
    "interface": "enp0s3",
    "service_port": 4444,
    "server_port": 4444,
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


def test_a_second_backend_at_a_servers_address_is_a_third_one():
    three = Table("172.17.0.2:9999", "172.17.0.2", "172.17.0.3")
    message = fails(requests_succeed, three, Docker(), None, **SUCCEED)
    assert "172.17.0.2:9999" in message


def test_a_third_backend_that_gets_no_requests_is_a_notice():
    idle = Table("172.17.0.2", "172.17.0.3", "172.17.0.9", weight=0)
    sent = Sent(traffic("121212121212"))
    assert "172.17.0.9:4444" in notices(requests_succeed, idle, Docker(), sent, **SUCCEED)[0]


def test_a_connection_that_needed_a_second_packet_is_a_notice():
    sent = traffic("121212121212")
    late = replace(sent.requests[4], connect_s=1.03)
    slow = replace(sent, requests=(*sent.requests[:4], late, *sent.requests[5:]))
    said = notices(requests_succeed, SERVERS, Docker(), Sent(slow), **SUCCEED)
    assert "request 5 was connected only after 1.0 s" in said[0]


def test_requests_that_time_out_beside_those_of_others_are_not_the_students_fault():
    sent = traffic("121212121212", **others(20, 20))
    lost = replace(sent.requests[11], status=None, error="timeout", body="")
    drowned = replace(sent, requests=(*sent.requests[:11], lost))
    with pytest.raises(Disturbed, match="1 of 12 requests got no answer in time"):
        list(requests_succeed(SERVERS, Docker(), Sent(drowned), **SUCCEED))
    alone = replace(drowned, foreign=(), beside={})
    assert "request 12: timeout" in fails(
        requests_succeed, SERVERS, Docker(), Sent(alone), **SUCCEED
    )


def load(served_per_s: float) -> Sent:
    """Return 40 requests in 5 s, answered at this rate."""
    requests = tuple(
        Request(n, n / 8, n / served_per_s + 0.5, 200, ANSWER, "", f"server{n % 2 + 1}")
        for n in range(1, 41)
    )
    return Sent(Traffic(URL, BOTH, requests, consoles={"server1": 20, "server2": 20}))


WORK = {"server_rate": 2.0, "work_answer": ANSWER}


def test_servers_that_fall_behind_cannot_handle_the_load():
    passes(load_exceeds_capacity, load(4.0), **WORK)


@pytest.mark.parametrize("served_per_s", [6.0, 50.0])
def test_servers_that_answer_more_than_two_can_are_not_those_of_the_document(served_per_s):
    assert "to fall behind" in fails(load_exceeds_capacity, load(served_per_s), **WORK)


HEAD = "IP Virtual Server version 1.2.1 (size=4096)"
SERVICE = "TCP  0A00020F:115C rr"
FIRST, SECOND = (f"  -> AC11000{n}:115C      Masq    100    0          0" for n in (2, 3))
RULES = "\n".join([HEAD, SERVICE, FIRST, SECOND])


def counters(connections: int) -> str:
    """Return the kernel's counters of a machine with two processors, one of which is idle."""
    return (
        "       Total Incoming Outgoing         Incoming         Outgoing\n"
        "CPU    Conns  Packets  Packets            Bytes            Bytes\n"
        f"  0 {connections:8X}        0        0                0                0\n"
        "  1        0        0        0                0                0\n"
        "  ~       FF        0        0                0                0\n\n"
        "     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n"
        "           0        0        0                0                0\n"
    )


def answer(
    rows: list[tuple[int, str]],
    before: str = "",
    extra: str = "",
    tables: tuple[str, str] = (RULES, RULES),
    counted: int | None = None,
) -> dict:
    """Return a probe's answer: requests from these ports, handed to these addresses."""
    entries = [
        f"TCP 0A00020F {port:04X} 0A00020F 115C {to} 115C TIME_WAIT 110" for port, to in rows
    ]
    known = {} if counted is None else {COUNTERS: counters(0x10)}
    more = {} if counted is None else {COUNTERS: counters(0x10 + counted)}
    return {
        "started_at": 0.0,
        "before": {CONNECTIONS: before, TABLE: tables[0], **known},
        "after": {CONNECTIONS: "\n".join([*entries, extra]), TABLE: tables[1], **more},
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


ADDRESSES = {"172.17.0.2": "server1", "172.18.0.9": "server1", "172.17.0.3": "server2"}
TWO = [(40000, "AC110002"), (40001, "AC110003")]
OTHER = "TCP 0A000263 9C40 0A00020F 115C AC110002 115C ESTABLISHED 899"


def test_requests_are_attributed_by_their_local_port():
    seen = attribute(URL, answer(TWO), ADDRESSES)
    assert [request.server for request in seen.requests] == ["server1", "server2"]
    assert (seen.servers, seen.foreign, seen.unseen, seen.steady) == (BOTH, (), 0, True)


def test_a_request_that_the_kernel_did_not_see_is_attributed_to_nobody():
    body = answer([(40000, "AC110002")])
    body["requests"][0]["local_port"] = 50000
    assert attribute(URL, body, ADDRESSES).requests[0].server is None


def test_a_destination_that_is_no_server_of_ours_has_its_address_for_a_name():
    seen = attribute(URL, answer([(40000, "AC110009")]), ADDRESSES)
    assert seen.requests[0].server == "172.17.0.9:4444"


def test_of_two_destinations_with_one_address_the_one_at_the_services_port_is_the_server():
    other = FIRST.replace("115C", "270F")
    table = "\n".join([HEAD, SERVICE, other, FIRST, SECOND])
    seen = attribute(URL, answer(TWO, tables=(table, table)), ADDRESSES)
    assert seen.servers == ("172.17.0.2:9999", "server1", "server2")
    assert seen.requests[0].server == "server1"


def test_a_server_is_known_by_its_address_on_any_network():
    table = RULES.replace("AC110002", "AC120009")
    seen = attribute(URL, answer([(40000, "AC120009")], tables=(table, table)), ADDRESSES)
    assert seen.requests[0].server == "server1"


def test_a_server_of_weight_0_has_no_place_among_those_that_take_turns():
    idle = RULES.replace(SECOND, SECOND.replace("100", "0  "))
    seen = attribute(URL, answer(TWO[:1], tables=(idle, RULES)), ADDRESSES)
    assert seen.servers == BOTH
    assert not seen.steady
    assert attribute(URL, answer(TWO[:1], tables=(idle, idle)), ADDRESSES).servers == ("server1",)


def test_connections_that_appeared_meanwhile_and_are_not_ours_are_foreign():
    seen = attribute(URL, answer(TWO, extra=OTHER), ADDRESSES)
    assert seen.foreign[0].client[0] == "10.0.2.99"
    assert seen.beside == {"server1": 1}
    assert attribute(URL, answer(TWO, before=OTHER, extra=OTHER), ADDRESSES).foreign == ()


def test_a_port_that_somebody_used_again_is_a_new_connection():
    again = OTHER.replace("AC110002", "AC110003")
    assert attribute(URL, answer(TWO, before=OTHER, extra=again), ADDRESSES).beside == {
        "server2": 1
    }


@pytest.mark.parametrize(("counted", "unseen"), [(3, 0), (5, 2), (2, 0), (None, 0)])
def test_what_the_kernel_counted_and_no_longer_lists_is_unseen(counted, unseen):
    seen = attribute(URL, answer(TWO, extra=OTHER, counted=counted), ADDRESSES)
    assert seen.unseen == unseen
