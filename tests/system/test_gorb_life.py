"""The daemon in Docker on a lab machine: how it starts, stops and is killed."""

from __future__ import annotations

import pytest
from tests.system.gorb_in_guest import DEVICE, READY, RUN, backend, remove, start

from labwright.checks.kernel import Destination

pytestmark = [pytest.mark.system, pytest.mark.thorough, pytest.mark.usefixtures("image")]


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
    assert sorted(start(machine, "-i enp0s3 -adopt")) == sorted(adopted)
    assert machine.run("sudo ipvsadm -Sn").stdout == before
    assert gorb.statuses(("PATCH", f"/service/x/{adopted[0]}-172.17.0.2-4444", {"weight": 9})) == [
        200
    ]
    destinations = gorb.table()["tcp", DEVICE, 4444].destinations
    assert Destination("172.17.0.2", 4444, "Route", 9) in destinations
    (shown,) = gorb.ask(("GET", f"/service/{adopted[0]}"))
    assert len(shown.json()["backends"]) == len(destinations)
    remove(machine, "stop")
    left = machine.run("sudo ipvsadm -Sn").stdout
    assert "-A -f 1" in left
    assert "4444" not in left
    assert start(machine, "-f -i enp0s3") == []


def test_with_vipi_an_address_is_there_as_long_as_a_service_is_on_it(gorb):
    machine = gorb.machine
    before = "192.0.2.9/32"
    more = f"ip link add vips type dummy && ip link set vips up && ip address add {before} dev vips"
    assert machine.run("sudo sh -c %s", more).ok

    def addresses():
        shown = machine.run("ip -oneline address show dev vips scope global").stdout
        return {line.split()[3] for line in shown.splitlines()}

    remove(machine, "stop")
    assert start(machine, "-f -i enp0s3 -vipi vips") == []
    assert gorb.statuses(
        ("PUT", "/service/0", {"host": "192.0.2.10", "port": 80}),
        ("PUT", "/service/1", {"host": "192.0.2.10", "port": 81}),
        ("PUT", "/service/2", {"host": "192.0.2.10", "port": 81}),
        ("PUT", "/service/3", {"host": "192.0.2.11", "port": 80, "method": "nonsense"}),
        ("PUT", "/service/6", {"host": "2001:db8::6", "port": 80}),
        ("PUT", "/service/9", {"host": "192.0.2.9", "port": 80}),
    ) == [200, 200, 500, 500, 200, 200]
    assert addresses() == {before, "192.0.2.10/32", "2001:db8::6/128"}
    gorb.ask(("DELETE", "/service/0"), ("DELETE", "/service/6"), ("DELETE", "/service/9"))
    assert addresses() == {before, "192.0.2.10/32"}
    gorb.ask(("DELETE", "/service/1"))
    assert addresses() == {before}
    gorb.ask(("PUT", "/service/0", {"host": "192.0.2.10", "port": 80}))
    remove(machine, "stop")
    assert addresses() == {before}
    assert machine.run("sudo ip link delete vips").ok
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


@pytest.mark.parametrize(
    ("rights", "says"),
    [("", "--privileged"), ("--privileged --user 1000", "takes root")],
)
def test_a_container_without_rights_says_what_it_needs(gorb, rights, says):
    command = f"docker run --rm --net=host {rights} -t kobolog/gorb -f -i enp0s3 -l :4673"
    ended = gorb.machine.run(command, timeout=60)
    assert ended.exit_status == 1
    assert says in ended.stdout.strip().splitlines()[-1]


WITHOUT_IP_VS = """
echo install ip_vs /bin/false > /etc/modprobe.d/no-ip-vs.conf
modprobe --remove --remove-holders ip_vs
docker run --rm --net=host --privileged kobolog/gorb -f -i enp0s3 2>&1
rm /etc/modprobe.d/no-ip-vs.conf
modprobe ip_vs
"""


def test_without_ip_vs_it_says_how_to_load_it(gorb):
    remove(gorb.machine, "stop")
    said = gorb.machine.run("sudo sh -c %s", WITHOUT_IP_VS, timeout=120).stdout
    assert start(gorb.machine, "-f -i enp0s3") == []
    assert "gorb: ip_vs is not loaded: run `sudo modprobe ip_vs`" in said
