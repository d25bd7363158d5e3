"""What Gorb claims is compared with the kernel; what is unusual and right costs nothing."""

from __future__ import annotations

import pytest

from labwright.checks import gorb as gorb_checks
from labwright.checks import gorb_backend, gorb_service
from labwright.checks.gorb import Gorb
from labwright.checks.kernel import Kernel
from labwright.errors import CheckFailed, Disturbed
from labwright.machines.engine import Container
from labwright.machines.machine import Reply
from labwright.outcome import Evidence, Notice

HEAD = "IP Virtual Server version 1.2.1 (size=4096)"
MAIN, SECOND = "10.0.2.15", "10.0.2.77"
ADDRESSES = {"server1": ("172.17.0.2",), "server2": ("172.17.0.3",)}
SERVICE = {"host": MAIN, "port": 4444, "protocol": "tcp", "method": "rr", "persistent": False}
ASKED = {"interface": "enp0s3", "service": "0", "service_port": 4444, "scheduler": "rr"}
BACKEND = {
    **ASKED,
    "server_port": 4444,
    "servers": ["server1", "server2"],
    "container": "server2",
    "backend": "1",
    "weight": 100,
}


def endpoint(address: str, port: int = 4444) -> str:
    return f"{''.join(f'{int(part):02X}' for part in address.split('.'))}:{port:04X}"


def table(*destinations: tuple[str, int, int], service: str = MAIN, more: str = "") -> str:
    """Return the kernel's table of one service with such addresses, ports and weights."""
    rows = [f"  -> {endpoint(a, p)}      Masq    {w}    0    0" for a, p, w in destinations]
    return "\n".join([HEAD, f"TCP  {endpoint(service)} rr", *rows, more])


BOTH = (("172.17.0.2", 4444, 100), ("172.17.0.3", 4444, 100))


def described(host: str, weight: int = 100, status: int = 0, health: float = 1, **pulse) -> dict:
    options = {"host": host, "port": 4444, "weight": weight, "method": "nat"}
    options["pulse"] = {"type": "tcp", "interval": "1m", "args": None, **pulse}
    return {"options": options, "metrics": {"status": status, "health": health, "uptime": 9}}


class Machine:
    """A machine as one visit sees it; ``later`` maps seconds to what it is like from then on."""

    target = "there"

    def __init__(self, *destinations: tuple[str, int, int], **changes) -> None:
        state = {
            "table": table(*(destinations or BOTH)),
            "service": SERVICE,
            "backends": {"0": described("172.17.0.2"), "1": described("172.17.0.3")},
            "addresses": [MAIN],
        }
        self.later = changes.pop("later", {})
        self.state = {**state, **changes}
        self.waited = 0.0

    def plan(self, **_asked):
        pass

    def look_again(self, *_urls):
        for at, change in self.later.items():
            if self.waited >= at:
                self.state.update(change)

    def now(self):
        return self.waited

    def pause(self, seconds):
        self.waited += seconds

    def file(self, _path):
        return self.state["table"]

    def addresses(self, _interface):
        return self.state["addresses"]

    def reply(self, url):
        import json

        path = url.split(":4672", 1)[1]
        ids = list(self.state["backends"])
        answers = {
            "/service": ["0"],
            "/service/0": {"options": self.state["service"], "backends": ids, "health": 1},
            **{f"/service/0/{id}": body for id, body in self.state["backends"].items()},
        }
        body = answers.get(path)
        return Reply(404 if body is None else 200, {}, json.dumps(body), "", "")


class Docker:
    def __init__(self, **addresses: tuple[str, ...]) -> None:
        self.found = {**ADDRESSES, **addresses}

    def container(self, name):
        return Container(name, "running", addresses=self.found[name])

    def containers(self):
        return {}

    def image_id(self, name):
        return "sha256:gorb" if name == "kobolog/gorb" else None

    def is_rootless(self):
        return False


def created(machine: Machine) -> list:
    kernel = Kernel(machine, "there")
    return list(gorb_service.created(Gorb(machine, 4672), kernel, **ASKED))


def registered(machine: Machine, docker: Docker | None = None, **changes) -> list:
    kernel = Kernel(machine, "there")
    asked = {**BACKEND, **changes}
    return list(gorb_backend.registered(Gorb(machine, 4672), kernel, docker or Docker(), **asked))


def notices(seen: list) -> list[str]:
    assert any(isinstance(piece, Evidence) for piece in seen)
    return [piece.text for piece in seen if isinstance(piece, Notice)]


def refused(check, *arguments, **values) -> str:
    with pytest.raises(CheckFailed) as caught:
        check(*arguments, **values)
    return f"{caught.value} {caught.value.hint}"


def test_a_service_and_its_backends_as_the_document_says_need_no_notice():
    assert notices(created(Machine())) == []
    assert notices(registered(Machine())) == []
    assert notices(registered(Machine(), container="server1", backend="0")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"service": {**SERVICE, "host": ""}},
        {"service": {**SERVICE, "host": "lab.example"}},
        {"service": {**SERVICE, "protocol": "TCP"}},
        {
            "service": {**SERVICE, "host": SECOND},
            "addresses": [MAIN, SECOND],
            "table": table(*BOTH, service=SECOND),
        },
    ],
)
def test_a_service_that_is_right_in_another_way_passes(changes):
    assert notices(created(Machine(**changes))) == []


def test_a_practice_service_beside_the_right_one_is_a_notice():
    more = f"TCP  {endpoint(MAIN, 4445)} wlc"
    (said,) = notices(created(Machine(table=table(*BOTH, more=more))))
    assert "10.0.2.15:4445 (wlc), which the document does not ask for" in said


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"service": {**SERVICE, "host": "127.0.0.1"}}, "its host is 127.0.0.1"),
        ({"service": {**SERVICE, "host": "lab.example"}, "table": HEAD}, "the kernel has none"),
        ({"service": {**SERVICE, "method": "wrr"}}, "its method is wrr"),
        ({"table": table(*BOTH).replace(" rr", " rr persistent 300")}, "each client with one"),
    ],
)
def test_a_service_that_is_not_round_robin_on_the_interface_fails(changes, says):
    assert says in refused(created, Machine(**changes))


def test_of_two_destinations_at_one_address_the_one_at_the_right_port_is_looked_at():
    machine = Machine(("172.17.0.3", 9999, 100), *BOTH)
    assert notices(registered(machine)) == []


def test_a_server_can_be_registered_on_any_of_its_networks():
    docker = Docker(server2=("172.18.0.9", "172.17.0.3"))
    assert notices(registered(Machine(), docker)) == []


def test_a_server_can_be_registered_by_a_name_where_the_kernel_has_its_address():
    named = {"0": described("172.17.0.2"), "1": described("server2")}
    assert notices(registered(Machine(backends=named))) == []
    gone = Machine(BOTH[0], backends=named)
    assert "the kernel does not have it" in refused(registered, gone)
    taken = {"0": described("172.17.0.3"), "1": described("other")}
    assert "its host is other" in refused(registered, Machine(backends=taken))


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (described("172.17.0.3", weight=37, health=0.37), "little by little, by the health"),
        (described("172.17.0.3", weight=37, status=0, health=1), "the document asks for 100"),
    ],
)
def test_under_round_robin_any_weight_but_0_is_right(backend, says):
    machine = Machine(
        BOTH[0], ("172.17.0.3", 4444, 37), backends={"0": described("172.17.0.2"), "1": backend}
    )
    (said,) = notices(registered(machine))
    assert "server2 has weight 37" in said
    assert says in said


def test_under_a_weighted_scheduler_another_weight_is_wrong():
    machine = Machine(BOTH[0], ("172.17.0.3", 4444, 37))
    assert "the kernel has weight 37" in refused(registered, machine, scheduler="wrr")


IDLE = (BOTH[0], ("172.17.0.3", 4444, 0))


def down(**changes) -> dict:
    """Return the backends where Gorb has found server2 down."""
    changed = {"weight": 0, "status": 1, "health": 0.5, **changes}
    return {"0": described("172.17.0.2"), "1": described("172.17.0.3", **changed)}


def test_a_server_that_was_restarted_is_waited_for_until_its_next_pulse():
    back = {
        "table": table(BOTH[0], ("172.17.0.3", 4444, 50)),
        "backends": down(status=0, weight=50),
    }
    machine = Machine(*IDLE, backends=down(), later={48: back})
    seen = registered(machine)
    assert 48 <= machine.waited < 52
    assert "weight 50 after 48 s" in seen[-2].saw
    assert "little by little" in notices(seen)[0]


def test_a_server_that_gorb_still_finds_down_is_in_transition_and_no_zero():
    machine = Machine(*IDLE, backends=down())
    with pytest.raises(Disturbed, match=r"server2 is in transition.*every 60 s.*DELETE"):
        registered(machine)
    assert 70 <= machine.waited < 75


def test_a_pulse_that_comes_too_seldom_is_not_waited_for_to_the_end():
    machine = Machine(*IDLE, backends=down(interval="2h"))
    with pytest.raises(Disturbed, match="every 7200 s"):
        registered(machine)
    assert machine.waited <= gorb_backend.LONGEST_WAIT_S + 5


def test_a_pulse_of_ones_own_that_finds_the_server_down_is_the_students_doing():
    machine = Machine(*IDLE, backends=down(type="http", interval="10s"))
    assert "its http pulse finds it down" in refused(registered, machine)


@pytest.mark.parametrize(("health", "waits"), [(1, False), (0, False), (0.9, True)])
def test_a_weight_that_was_set_to_0_fails_and_what_the_hint_says_lasts(health, waits):
    machine = Machine(*IDLE, backends=down(status=0, health=health))
    said = refused(registered, machine)
    assert "the kernel has weight 0" in said
    assert "curl -X DELETE http://localhost:4672/service/0/1" in said
    assert "PATCH" not in said
    assert (machine.waited > 0) is waits


def test_servers_that_changed_places_are_charged_once():
    swapped = {"0": described("172.17.0.3"), "1": described("172.17.0.2")}
    causes = set()
    for container, backend in (("server1", "0"), ("server2", "1")):
        with pytest.raises(CheckFailed) as caught:
            registered(Machine(backends=swapped), container=container, backend=backend)
        causes.add(caught.value.cause)
    assert len(causes) == 1


GORB = {
    "name": "gorb",
    "status": "running",
    "image": "kobolog/gorb:latest",
    "network_mode": "host",
    "privileged": True,
    "arguments": ("-f", "-i", "enp0s3"),
}


def running(interface: str = "enp0s3", **changes) -> list:
    docker = Docker()
    docker.container = lambda _: Container(**{**GORB, **changes})
    asked = {"gorb_container": "gorb", "gorb_image": "kobolog/gorb", "interface": interface}
    return list(gorb_checks.running(Gorb(Machine(), 4672), docker, **asked))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image": "sha256:gorb", "image_id": "sha256:gorb"},
        {"arguments": ("-i=enp0s3",)},
        {"arguments": ("-f",), "interface": "eth0"},
    ],
)
def test_gorb_that_was_started_in_another_right_way_passes(changes):
    assert notices(running(**changes)) == []


def test_gorb_that_may_administer_the_network_needs_no_more():
    assert "NET_ADMIN" in notices(running(privileged=False, capabilities=("NET_ADMIN",)))[0]
    assert "without `--privileged`" in refused(running, privileged=False)


def test_gorb_from_another_image_fails():
    assert "runs mine" in refused(running, image="mine", image_id="sha256:other")
