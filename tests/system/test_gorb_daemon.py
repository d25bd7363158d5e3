"""The daemon in Docker on a lab machine: what REST says and what the kernel holds are one."""

from __future__ import annotations

import json
import random
import re

import pytest

from labwright.checks.kernel import TABLE, Destination, parse_table
from labwright.definition import load_lab
from labwright.lab import find_lab
from labwright.lab_machine import ephemeral
from labwright.machines.target import guest_machine

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("image")]

DEVICE = "10.0.2.15"
RUN = "docker run {more} --privileged --net=host -t kobolog/gorb {flags}"
URL = "http://127.0.0.1:4672"
READY = f"curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused {URL}/service"
BATCH = 64
NO_PULSE = {"type": "none", "interval": "10h"}


@pytest.fixture(scope="module")
def machine():
    with ephemeral(load_lab(find_lab("gorb")), "docker") as guest:
        one = guest_machine(guest)
        assert one.run("sudo modprobe ip_vs && docker pull kobolog/gorb", timeout=120).ok
        yield one
        one.close()


class Gorb:
    """The daemon, asked from the machine itself, and the kernel's table beside it."""

    def __init__(self, machine):
        self.machine = machine

    def ask(self, *requests):
        """Make requests in order; each is (method, path) or (method, path, body)."""
        tasks = [
            {"method": method, "url": URL + path, "body": json.dumps(body[0]) if body else ""}
            for method, path, *body in requests
        ]
        # The probe takes a bounded number at a time.
        batches = (tasks[at : at + BATCH] for at in range(0, len(tasks), BATCH))
        return [reply for batch in batches for reply in self.machine.http(batch)]

    def statuses(self, *requests):
        return [reply.status for reply in self.ask(*requests)]

    def table(self):
        """Return the kernel's services by protocol, address and port."""
        services = parse_table(self.machine.read(TABLE))
        return {(one.protocol, one.address, one.port): one for one in services}


@pytest.fixture(scope="module")
def daemon(machine):
    command = RUN.format(more="--detach --name gorb", flags="-f -i enp0s3")
    started = machine.run(command, timeout=60)
    assert started.ok, started.stderr
    assert machine.run(READY, timeout=90).stdout == "[]"
    yield Gorb(machine)
    machine.run("docker rm --force gorb", timeout=60)


@pytest.fixture
def gorb(daemon):
    yield daemon
    (listed,) = daemon.ask(("GET", "/service"))
    ids = listed.json()
    daemon.ask(*(("DELETE", f"/service/{service}") for service in ids))
    assert daemon.table() == {}


def backend(host: str, **options) -> dict:
    return {"host": host, "port": 4444, "pulse": NO_PULSE} | options


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


def claimed(gorb) -> dict:
    """Return the table as REST tells it."""
    (listed,) = gorb.ask(("GET", "/service"))
    ids = listed.json()
    services = [reply.json() for reply in gorb.ask(*(("GET", f"/service/{i}") for i in ids))]
    names = [
        (i, name) for i, one in zip(ids, services, strict=True) for name in one["backends"] or ()
    ]
    replies = gorb.ask(*(("GET", f"/service/{i}/{name}") for i, name in names))
    table = {
        i: (one["options"]["port"], one["options"]["method"], set())
        for i, one in zip(ids, services, strict=True)
    }
    for (i, _), reply in zip(names, replies, strict=True):
        options = reply.json()["options"]
        forward = {"nat": "Masq", "dr": "Route"}[options["method"]]
        table[i][2].add(Destination(options["host"], options["port"], forward, options["weight"]))
    return {port: (method, backends) for port, method, backends in table.values()}


@pytest.mark.parametrize("seed", range(2))
def test_after_any_requests_rest_and_kernel_say_the_same(gorb, seed):
    choice = random.Random(seed)
    replies = gorb.ask(*(random_request(choice) for _ in range(120)))
    assert {reply.status for reply in replies} == {200, 404, 409, 500}
    held = {
        port: (one.scheduler, set(one.destinations)) for (_, _, port), one in gorb.table().items()
    }
    assert claimed(gorb) == held
    assert any(backends for _, backends in held.values())


def test_a_stop_removes_its_services_and_leaves_others_and_a_start_with_f_removes_all(gorb):
    machine = gorb.machine
    gorb.ask(("PUT", "/service/0", {"port": 4444, "method": "rr"}))
    assert machine.run("sudo ipvsadm -A -t %s:9999 -s rr", DEVICE).ok
    assert machine.run("docker stop gorb && docker rm gorb", timeout=60).ok
    assert [port for _, _, port in gorb.table()] == [9999]
    again = RUN.format(more="--detach --name gorb", flags="-f -i enp0s3")
    assert machine.run(again, timeout=60).ok
    assert machine.run(READY, timeout=90).stdout == "[]"
    assert gorb.table() == {}


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


def start(machine, flags):
    assert machine.run(RUN.format(more="--detach --name gorb", flags=flags), timeout=60).ok
    return json.loads(machine.run(READY, timeout=90).stdout)


def remove(machine, how):
    assert machine.run(f"docker {how} gorb && docker rm gorb", timeout=60).ok


FIRST_PORT = 1000
UNDER_WAY = """
import socket
answered = 0
try:
    while answered < 60000:
        body = '{"host": "172.17.3.1", "port": %d, "pulse": {"type": "none"}}' % (1000 + answered)
        head = "PUT /service/0/n%d HTTP/1.1\\r\\nHost: gorb\\r\\nContent-Length: %d\\r\\n\\r\\n"
        with socket.create_connection(("127.0.0.1", 4672)) as one:
            one.sendall((head % (answered, len(body)) + body).encode())
            if not one.recv(4096).startswith(b"HTTP/1.1 200"):
                break
        answered += 1
        open("begun", "w").close()
except OSError:
    pass
print(answered)
"""
KILL = """
python3 under_way.py &
until [ -e begun ]; do sleep 0.1; done
docker kill --signal KILL gorb > /dev/null
wait
"""


def test_what_a_killed_daemon_leaves_is_known_to_the_next_only_if_it_is_told(gorb):
    machine = gorb.machine
    gorb.ask(
        ("PUT", "/service/0", {"port": 4444, "method": "sh", "flags": "sh-port"}),
        ("PUT", "/service/0/0", backend("172.17.0.2", method="dr", weight=7)),
        ("PUT", "/service/6", {"host": "2001:db8::1", "port": 80, "method": "rr"}),
        ("PUT", "/service/6/6", backend("2001:db8::2", method="tunnel")),
    )
    assert machine.run("sudo ipvsadm -A -f 1 -s rr").ok
    assert machine.run("cat > under_way.py", stdin=UNDER_WAY.encode()).ok
    answered = int(machine.run(KILL, timeout=60).stdout)
    destinations = gorb.table()["tcp", DEVICE, 4444].destinations
    ports = {one.port for one in destinations if one.address == "172.17.3.1"}
    # What was answered is there; the request that was under way is, or is not.
    done = set(range(FIRST_PORT, FIRST_PORT + answered))
    assert done
    assert done <= ports <= done | {FIRST_PORT + answered}
    before = machine.run("sudo ipvsadm -Sn").stdout
    assert machine.run("docker rm gorb", timeout=60).ok
    assert start(machine, "-i enp0s3") == []
    assert gorb.statuses(("PUT", "/service/0", {"port": 4444, "method": "rr"})) == [500]
    remove(machine, "kill --signal KILL")
    adopted = [f"tcp-{DEVICE}-4444", "tcp-2001:db8::1-80"]
    assert sorted(start(machine, "-i enp0s3 -adopt -vipi lo")) == sorted(adopted)
    assert machine.run("sudo ipvsadm -Sn").stdout == before
    assert gorb.statuses(("PATCH", f"/service/x/{adopted[0]}-172.17.0.2-4444", {"weight": 9})) == [
        200
    ]
    destinations = gorb.table()["tcp", DEVICE, 4444].destinations
    assert Destination("172.17.0.2", 4444, "Route", 9) in destinations
    (shown,) = gorb.ask(("GET", f"/service/{adopted[0]}"))
    assert len(shown.json()["backends"]) == len(destinations)
    # -vipi: an address is there as long as its service.
    vip = "192.0.2.77"
    assert gorb.statuses(("PUT", "/service/vip", {"host": vip, "port": 80})) == [200]
    assert f"{vip}/32" in machine.run("ip address show dev lo").stdout
    remove(machine, "stop")
    left = machine.run("ip address show dev lo; sudo ipvsadm -Sn").stdout
    assert vip not in left
    assert "-A -f 1" in left
    assert "4444" not in left
    assert start(machine, "-f -i enp0s3") == []


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("-f -i enp0s3", "port 4672 is taken"),
        ("-i enp9s9 -l :4673", "there is no network device enp9s9"),
        ("-i enp0s3 -l 4673", "-l 4673 is not [HOST]:PORT"),
        ("-i enp0s3 -l :4673 -vipi nope", "there is no network device nope"),
        ("-i enp0s3 -l :4673 -store consul://127.0.0.1/x", "-store consul:// needs a package"),
        ("-i enp0s3 -l :4673 -f -adopt", "-adopt takes over what -f removes"),
    ],
)
def test_what_cannot_start_says_why_in_one_sentence_and_touches_nothing(gorb, flags, sentence):
    gorb.ask(("PUT", "/service/0", {"port": 4444, "method": "rr"}))
    before = gorb.table()
    ended = gorb.machine.run(RUN.format(more="--rm", flags=flags), timeout=60)
    last = ended.stdout.strip().splitlines()[-1]
    assert (ended.exit_status, last.startswith(f"gorb: {sentence}")) == (1, True), ended.stdout
    assert gorb.table() == before


def test_a_container_without_rights_says_what_it_needs(gorb):
    command = "docker run --rm --net=host -t kobolog/gorb -f -i enp0s3 -l :4673"
    ended = gorb.machine.run(command, timeout=60)
    assert ended.exit_status == 1
    assert "--privileged" in ended.stdout.strip().splitlines()[-1]
