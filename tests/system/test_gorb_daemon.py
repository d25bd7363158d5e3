"""The daemon in Docker on a lab machine: what REST says and what the kernel holds are one."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import time

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.system.gorb_in_guest import DEVICE, NO_PULSE, backend
from tests.unit.gorb_daemon import checks_of_conformance

from labwright.checks.kernel import Destination

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("image")]

LIMIT_S = 60
"""How long what is certain to come may take, on a busy computer."""


def test_the_kernel_gets_every_field_of_the_lab_s_service_and_no_persistence(gorb):
    options = {"host": DEVICE, "port": 4444, "protocol": "tcp", "method": "rr", "persistent": True}
    assert (
        gorb.statuses(
            ("PUT", "/service/0", options),
            ("PUT", "/service/0/0", backend("172.17.0.2", method="nat", weight=100)),
            ("PUT", "/service/0/1", backend("172.17.0.3", method="dr", weight=1)),
            ("PUT", "/service/0/2", backend("172.17.0.4", method="tunnel")),
            ("PUT", "/service/0/3", backend("172.17.0.5", method="ipip", port=80, weight=65535)),
        )
        == [200] * 5
    )
    service = gorb.table()["tcp", DEVICE, 4444]
    assert (service.scheduler, service.options) == ("rr", "")
    assert set(service.destinations) == {
        Destination("172.17.0.2", 4444, "Masq", 100),
        Destination("172.17.0.3", 4444, "Route", 1),
        Destination("172.17.0.4", 4444, "Tunnel", 100),
        Destination("172.17.0.5", 80, "Tunnel", 65535),
    }


def test_every_scheduler_of_the_kernel_and_only_those_can_be_had(gorb):
    known = ("rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq")
    wanted = [*known, "nonsense", "x" * 40]
    replies = gorb.ask(
        *(
            ("PUT", f"/service/{name[:9]}", {"port": 5000 + at, "method": name})
            for at, name in enumerate(wanted)
        )
    )
    assert [reply.status for reply in replies] == [200] * len(known) + [500] * 2
    assert replies[-1].json() == {"error": "error while calling into IPVS"}
    assert {one.scheduler for one in gorb.table().values()} == set(known)


def test_flags_ipv6_and_udp_reach_the_kernel(gorb):
    assert gorb.statuses(
        ("PUT", "/service/p", {"port": 53, "protocol": "UDP", "method": "sh", "flags": "sh-port"}),
        ("PUT", "/service/f", {"port": 54, "method": "sh", "flags": "sh-port|sh-fallback"}),
        ("PUT", "/service/6", {"host": "::1", "port": 55, "method": "rr"}),
        ("PUT", "/service/6/6", backend("2001:db8::2", method="dr")),
        ("PUT", "/service/6/4", backend("172.17.0.2")),
    ) == [200, 200, 200, 200, 400]
    listing = gorb.machine.run("sudo ipvsadm -ln").stdout
    assert re.search(rf"UDP +{re.escape(DEVICE)}:53 sh \(sh-port\)", listing)
    assert re.search(rf"TCP +{re.escape(DEVICE)}:54 sh \(sh-fallback,sh-port\)", listing)
    (destination,) = gorb.table()["tcp", "::1", 55].destinations
    assert destination == Destination("2001:db8::2", 4444, "Route", 100)


def test_what_the_kernel_refuses_changes_neither(gorb):
    gorb.ask(
        ("PUT", "/service/0", {"port": 4444, "method": "rr"}),
        ("PUT", "/service/0/0", backend("172.17.0.2")),
    )
    before = gorb.table()
    assert gorb.statuses(
        ("PUT", "/service/1", {"port": 4444, "method": "wrr"}),
        ("PUT", "/service/0/1", backend("172.17.0.2")),
        ("PATCH", "/service/0/0", {"weight": -1}),
        ("GET", "/service/1"),
        ("GET", "/service/0/1"),
    ) == [500, 500, 500, 404, 404]
    assert gorb.table() == before


def test_what_somebody_else_removed_from_the_kernel_can_be_deleted(gorb):
    gorb.ask(
        ("PUT", "/service/0", {"port": 4444, "method": "rr"}),
        ("PUT", "/service/0/0", backend("172.17.0.2")),
    )
    assert gorb.machine.run("sudo ipvsadm --clear").ok
    assert gorb.statuses(
        ("PATCH", "/service/0/0", {"weight": 1}),
        ("DELETE", "/service/0/0"),
        ("DELETE", "/service/0"),
        ("GET", "/service"),
    ) == [500, 200, 200, 200]


def wait_until(holds):
    """Wait for what will be so sooner or later, and return what it said then."""
    deadline = time.monotonic() + LIMIT_S
    while not (said := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return said


def test_a_failed_pulse_takes_the_weight_in_the_kernel_to_0_and_a_good_one_brings_it_back(gorb):
    machine = gorb.machine
    # It listens a moment after its container runs, and a pulse before that would fail.
    serve = (
        "docker run --detach --rm --name well --net=host server --port 4480 && curl --silent "
        "--fail --retry 60 --retry-delay 1 --retry-connrefused http://127.0.0.1:4480/heartbeat"
    )
    at_server = {"host": "127.0.0.1", "port": 4480, "path": "/heartbeat"}
    asked = {"tcp": 80, "http": 60, "none": 40}
    assert machine.run(serve, timeout=60).ok
    pulses = (
        backend("127.0.0.1", port=4480, pulse={"type": "tcp", "interval": "1s"}),
        backend("127.0.0.2", pulse={"type": "http", "interval": "1s", "args": at_server}),
        backend("127.0.0.3", pulse={"type": "none", "interval": "1s"}),
    )
    gorb.ask(("PUT", "/service/0", {"port": 7000}))
    for (name, weight), one in zip(asked.items(), pulses, strict=True):
        assert gorb.statuses(("PUT", f"/service/0/{name}", one | {"weight": weight})) == [200]

    def weights():
        (service,) = gorb.table().values()
        by_address = {one.address: one.weight for one in service.destinations}
        return [by_address[f"127.0.0.{last}"] for last in (1, 2, 3)]

    def shown():
        return [reply.json() for reply in gorb.ask(*(("GET", f"/service/0/{i}") for i in asked))]

    # Not the whole weights: on a busy machine a pulse of these may have failed already.
    wait_until(lambda: all(one["metrics"]["uptime"] for one in shown()) and all(weights()))
    assert machine.run("docker stop well", timeout=60).ok
    wait_until(lambda: weights() == [0, 0, 40])
    assert [one["metrics"]["status"] for one in shown()] == [1, 1, 0]
    assert machine.run(serve, timeout=60).ok
    tcp, http, none = wait_until(lambda: all(weights()) and weights())
    assert (tcp < 80, http < 60, none) == (True, True, 40)
    for one, weight in zip(shown(), asked.values(), strict=True):
        assert one["options"]["weight"] == int(weight * one["metrics"]["health"])
    assert machine.run("docker stop well", timeout=60).ok


def random_request(choice: random.Random) -> tuple:
    service, one = choice.randrange(4), choice.randrange(8)
    path = f"/service/{service}"
    method = choice.choice(("nat", "dr"))
    # Services 0 and 3 want one address, and so do backends 0 and 4: some are refused.
    requests = (
        ("PUT", path, {"port": 6000 + service % 3, "method": choice.choice(("rr", "sh"))}),
        ("PUT", f"{path}/{one}", backend(f"172.17.1.{one % 4 + 1}", method=method)),
        ("PATCH", f"{path}/{one}", {"weight": choice.choice((-1, 0, 1, 77))}),
        ("DELETE", f"{path}/{one}"),
        ("DELETE", path),
    )
    (request,) = choice.choices(requests, (4, 6, 3, 2, 1))
    return request


FORWARD = {"nat": "Masq", "dr": "Route", "tunnel": "Tunnel", "ipip": "Tunnel"}


def claimed(gorb) -> dict:
    """Return the table as REST tells it."""
    (listed,) = gorb.ask(("GET", "/service"))
    ids = listed.json()
    table = {}
    for i, reply in zip(ids, gorb.ask(*(("GET", f"/service/{i}") for i in ids)), strict=True):
        service, options = reply.json(), reply.json()["options"]
        names = service["backends"] or ()
        shown = gorb.ask(*(("GET", f"/service/{i}/{name}") for name in names))
        backends = {
            Destination(one["host"], one["port"], FORWARD[one["method"].lower()], one["weight"])
            for one in (reply.json()["options"] for reply in shown)
        }
        address = options["host"] or DEVICE
        table[options["protocol"], address, options["port"]] = (options["method"], backends)
    return table


def held(gorb) -> dict:
    """Return the table as the kernel tells it."""
    return {i: (one.scheduler, set(one.destinations)) for i, one in gorb.table().items()}


@pytest.mark.parametrize("seed", range(2))
def test_after_any_requests_rest_and_kernel_say_the_same(gorb, seed):
    choice = random.Random(seed)
    replies = gorb.ask(*(random_request(choice) for _ in range(120)))
    assert {reply.status for reply in replies} == {200, 404, 409, 500}
    assert claimed(gorb) == held(gorb)
    assert any(backends for _, backends in held(gorb).values())


@pytest.fixture(scope="module")
def url(gorb_machine):
    """Where the daemon in the machine can be reached from here."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    forward = ["ssh", f"-oControlPath={gorb_machine.control}", "-Oforward"]
    forward += [f"-L{port}:127.0.0.1:4672", "--", gorb_machine.destination.host]
    subprocess.run(forward, check=True)
    return f"http://127.0.0.1:{port}"


def test_after_any_requests_that_the_description_allows_rest_and_kernel_say_the_same(gorb, url):
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [one.ok() for one in described.get_all_operations()]
    # So that there is more than is removed again.
    puts = [one for one in operations if one.method == "put"]
    cases = st.one_of(*(one.as_strategy() for one in operations + 3 * puts))
    few = st.sampled_from("01")
    places = st.sampled_from([("172.17.1.1", 80), ("172.17.1.1", 81), ("2001:db8::1", 80)])
    statuses, tables, conforms = [], [], checks_of_conformance()

    @settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(cases, few, few, places)
    def fuzz(case, service, backend, place):
        # Few ids and addresses, so that requests meet; no name that somebody would be asked
        # for; and no pulse, which would change weights between two questions.
        few_ids = {"vsID": service, "rsID": backend}
        case.path_parameters |= {name: few_ids[name] for name in case.path_parameters}
        fixed = {"host": place[0], "port": place[1], "pulse": NO_PULSE}
        if isinstance(case.body, dict):
            case.body |= {name: value for name, value in fixed.items() if name in case.body}
        statuses.append(case.call_and_validate(url, checks=conforms).status_code)
        if len(statuses) % 25 == 0:
            tables.append(held(gorb))
            assert claimed(gorb) == tables[-1]

    fuzz()
    assert set(statuses) >= {200, 404, 409}
    assert len(tables) >= 3
    assert any(tables)


HAMMER = """
import http.client, threading
def ask(method, path, body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", 4672, timeout=120)
    connection.request(method, path, body)
    return connection.getresponse().status
statuses = []
def create(number):
    body = b'{"host": "172.17.2.%d", "port": 4444, "pulse": {"type": "none"}}' % (number % 250 + 1)
    statuses.append(ask("PUT", "/service/0/same", body))
threads = [threading.Thread(target=create, args=(number,)) for number in range(200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(statuses.count(200), statuses.count(409))
"""


def test_of_hundreds_of_requests_at_once_for_one_id_exactly_one_wins(gorb):
    gorb.ask(("PUT", "/service/0", {"port": 4444, "method": "rr"}))
    done = gorb.machine.run("docker exec -i gorb python3 -", stdin=HAMMER.encode(), timeout=120)
    assert done.stdout.split() == ["1", "199"], done.stderr
    (service,) = gorb.table().values()
    assert len(service.destinations) == 1
