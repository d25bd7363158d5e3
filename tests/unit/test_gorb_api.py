"""The daemon answers each request as Gorb does: status, headers, body."""

from __future__ import annotations

import errno
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.unit import gorb_daemon

from labwright.components.gorb.ipvs import RealServer, VirtualService

UNKNOWN = "unable to locate specified object"
EXISTS = "specified object already exists"
REFUSED = "error while calling into IPVS"
PORT = "Go struct field ServiceOptions.port of type uint16"
TCP = socket.IPPROTO_TCP
LAB = VirtualService("10.0.2.15", 4444, TCP)


@pytest.fixture(scope="module")
def daemon():
    with gorb_daemon.running() as one:
        yield one


@pytest.fixture
def gorb(daemon):
    yield daemon
    daemon.clear()


@pytest.fixture
def service(gorb):
    assert gorb.put("/service/0", host="10.0.2.15", port=4444, method="rr").status == 200
    return gorb


@pytest.fixture
def backend(service):
    assert service.put("/service/0/0", host="172.17.0.2", port=4444).status == 200
    return service


def test_without_services_the_list_is_empty(gorb):
    reply = gorb.get("/service")
    assert (reply.status, reply.body) == (200, b"[]")


def test_services_are_listed_by_id(service):
    service.put("/service/other", port=80)
    assert service.get("/service").body == b'[\n\t"0",\n\t"other"\n]'


def test_success_is_an_empty_200(gorb):
    replies = [
        gorb.put("/service/0", port=4444),
        gorb.put("/service/0/0", host="172.17.0.2", port=4444),
        gorb.ask("PATCH", "/service/0/0", {"weight": 7}),
        gorb.ask("DELETE", "/service/0/0"),
        gorb.ask("DELETE", "/service/0"),
    ]
    for reply in replies:
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["Content-Length"] == "0"
        assert "Content-Type" not in reply.headers


def test_the_daemon_does_not_say_what_it_is_made_of(gorb):
    assert "server" not in {name.lower() for name in gorb.get("/service").headers}


def test_a_service_is_shown_with_its_defaults_in_gos_form(gorb):
    gorb.put("/service/0", port=4444)
    reply = gorb.get("/service/0")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.body == (
        b'{\n\t"options": {\n\t\t"host": "",\n\t\t"port": 4444,\n\t\t"protocol": "tcp",\n'
        b'\t\t"method": "wrr",\n\t\t"flags": "",\n\t\t"persistent": false\n\t},\n'
        b'\t"health": 1,\n\t"backends": null\n}'
    )


def test_a_service_without_a_host_stands_on_the_devices_address(gorb):
    gorb.put("/service/0", port=4444)
    assert set(gorb.ipvs.services) == {LAB}


def test_persistent_is_stored_and_never_reaches_ipvs(gorb):
    gorb.put("/service/0", port=4444, method="rr", persistent=True)
    assert gorb.get("/service/0").json()["options"]["persistent"] is True
    assert gorb.ipvs.services[LAB].flags == 0
    assert gorb.ipvs.services[LAB].scheduler == "rr"


def test_scheduler_flags_reach_ipvs(gorb):
    gorb.put("/service/0", port=4444, method="sh", flags="sh-port|sh-fallback")
    assert gorb.ipvs.services[LAB].flags == 0x18


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "endpoint information is missing"),
        ({"port": 0}, "endpoint information is missing"),
        (None, "endpoint information is missing"),
        ({"host": "$IP_ADDR", "port": 4444}, "lookup $IP_ADDR: no such host"),
        ({"host": "10.0.2", "port": 4444}, "lookup 10.0.2: no such host"),
        ({"host": "0x7f.1", "port": 4444}, "lookup 0x7f.1: no such host"),
        ({"port": 4444, "protocol": "sctp"}, "specified protocol is unknown"),
        ({"port": 4444, "flags": "sh-port|"}, "specified flag is unknown"),
        ({"port": 4444, "flags": "sh-port|odd"}, "specified flag is unknown"),
        # Of several mistakes, the one is named that Gorb looks for first.
        ({"host": "$X", "port": 1, "protocol": "odd"}, "lookup $X: no such host"),
        ({"port": 1, "protocol": "odd", "flags": "odd"}, "specified protocol is unknown"),
    ],
)
def test_a_service_that_cannot_be_is_refused(gorb, options, error):
    body = b"null" if options is None else options
    reply = gorb.ask("PUT", "/service/0", body)
    assert (reply.status, reply.error) == (400, error)
    assert gorb.get("/service").json() == []
    assert gorb.ipvs.services == {}


def test_an_error_is_json_indented_by_tabs(gorb):
    reply = gorb.get("/service/nope")
    assert reply.body == b'{\n\t"error": "unable to locate specified object"\n}'


def test_protocols_are_known_in_any_case(gorb):
    gorb.put("/service/0", port=53, protocol="UDP")
    assert gorb.get("/service/0").json()["options"]["protocol"] == "udp"
    assert set(gorb.ipvs.services) == {VirtualService("10.0.2.15", 53, socket.IPPROTO_UDP)}


def test_an_id_that_exists_is_refused_whatever_the_options(service):
    reply = service.put("/service/0", port=5555)
    assert (reply.status, reply.error) == (409, EXISTS)


def test_an_address_that_ipvs_has_is_refused_by_ipvs(service):
    reply = service.put("/service/1", host="10.0.2.15", port=4444)
    assert (reply.status, reply.error) == (500, REFUSED)
    assert service.get("/service").json() == ["0"]


def test_an_unknown_scheduler_is_refused_by_ipvs(gorb):
    reply = gorb.put("/service/0", port=4444, method="round-robin")
    assert (reply.status, reply.error) == (500, REFUSED)
    assert gorb.get("/service").json() == []


def test_a_backend_is_shown_with_its_defaults(service):
    service.put("/service/0/0", host="172.17.0.2", port=4444)
    assert service.get("/service/0/0").json() == {
        "options": {
            "host": "172.17.0.2",
            "port": 4444,
            "weight": 100,
            "method": "nat",
            "pulse": {"type": "tcp", "interval": "1m", "args": None},
        },
        "metrics": {"status": 0, "health": 0, "uptime": 0},
    }


def test_a_backend_reaches_ipvs(backend):
    destinations = backend.ipvs.services[LAB].destinations
    assert destinations == {RealServer("172.17.0.2", 4444): (0, 100)}


@pytest.mark.parametrize(
    ("method", "forward"), [("nat", 0), ("NAT", 0), ("ipip", 2), ("tunnel", 2), ("dr", 3)]
)
def test_forwarding_methods_reach_ipvs(service, method, forward):
    service.put("/service/0/0", host="172.17.0.2", port=4444, method=method)
    (destination,) = service.ipvs.services[LAB].destinations.values()
    assert destination.forward == forward
    assert service.get("/service/0/0").json()["options"]["method"] == method.lower()


@pytest.mark.parametrize("weight", [0, -1, None])
def test_a_weight_that_is_not_positive_is_the_default(service, weight):
    service.put("/service/0/0", host="172.17.0.2", port=4444, weight=weight)
    assert service.get("/service/0/0").json()["options"]["weight"] == 100


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"port": 4444}, "endpoint information is missing"),
        ({"host": "172.17.0.2"}, "endpoint information is missing"),
        ({"method": "masq"}, "specified forwarding method is unknown"),
        ({"host": "2001:db8::2"}, "incompatible address families"),
        ({"pulse": {"type": "icmp"}}, "specified pulse type is unknown"),
        ({"pulse": {"interval": "often"}}, "invalid interval format"),
        ({"pulse": {"interval": "1.5s"}}, "invalid interval format"),
        ({"pulse": {"interval": "5\u017f"}}, "invalid interval format"),
        ({"pulse": {"interval": "0s"}}, "pulse interval must be positive"),
        ({"pulse": {"interval": "-1m"}}, "pulse interval must be positive"),
        (
            {"pulse": {"type": "http", "args": {"method": "G T"}}},
            'net/http: invalid method "G T"',
        ),
    ],
)
def test_a_backend_that_cannot_be_is_refused(service, options, error):
    whole = {"host": "172.17.0.2", "port": 4444} if "port" not in options else {}
    if options == {"host": "172.17.0.2"}:
        whole = {}
    reply = service.put("/service/0/0", **{**whole, **options})
    assert (reply.status, reply.error) == (400, error)
    assert service.get("/service/0/0").status == 404
    assert service.ipvs.services[LAB].destinations == {}


def test_an_http_pulse_takes_numbers(service):
    pulse = {"type": "HTTP", "interval": "5 S".replace(" ", ""), "args": {"port": 80, "path": "/x"}}
    assert service.put("/service/0/0", host="172.17.0.2", port=1, pulse=pulse).status == 200
    shown = service.get("/service/0/0").json()["options"]["pulse"]
    assert shown == {"type": "http", "interval": "5S", "args": {"path": "/x", "port": 80}}


def test_vsid_is_shown_only_if_given(service):
    service.put("/service/0/0", host="172.17.0.2", port=4444, vsid="0")
    assert list(service.get("/service/0/0").json()["options"])[-1] == "vsid"


def test_backend_ids_are_global(backend):
    backend.put("/service/1", port=80)
    reply = backend.put("/service/1/0", host="172.17.0.3", port=80)
    assert (reply.status, reply.error) == (409, EXISTS)


def test_the_service_in_a_backends_path_is_ignored_once_it_exists(backend):
    assert backend.get("/service/nonsense/0").status == 200
    assert backend.ask("PATCH", "/service/nonsense/0", {"weight": 5}).status == 200
    assert backend.ask("DELETE", "/service/nonsense/0").status == 200


def test_a_backend_needs_its_service(gorb):
    reply = gorb.put("/service/0/0", host="172.17.0.2", port=4444)
    assert (reply.status, reply.error) == (404, UNKNOWN)


def test_one_address_twice_in_a_service_is_refused_by_ipvs(backend):
    reply = backend.put("/service/0/1", host="172.17.0.2", port=4444)
    assert (reply.status, reply.error) == (500, REFUSED)
    assert backend.get("/service/0").json()["backends"] == ["0"]


@pytest.mark.parametrize("weight", [0, 1, 250])
def test_patch_sets_the_weight(backend, weight):
    assert backend.ask("PATCH", "/service/0/0", {"weight": weight}).status == 200
    assert backend.get("/service/0/0").json()["options"]["weight"] == weight
    (destination,) = backend.ipvs.services[LAB].destinations.values()
    assert destination.weight == weight


def test_a_negative_weight_is_refused_by_ipvs_and_changes_nothing(backend):
    reply = backend.ask("PATCH", "/service/0/0", {"weight": -1})
    assert (reply.status, reply.error) == (500, REFUSED)
    assert backend.get("/service/0/0").json()["options"]["weight"] == 100


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/service/x"),
        ("DELETE", "/service/x"),
        ("GET", "/service/x/y"),
        ("PATCH", "/service/x/y"),
        ("DELETE", "/service/x/y"),
    ],
)
def test_what_is_unknown_is_not_found(gorb, method, path):
    reply = gorb.ask(method, path, {"weight": 1} if method == "PATCH" else None)
    assert (reply.status, reply.error) == (404, UNKNOWN)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/service/0"),
        ("POST", "/service/0"),
        ("POST", "/service/0/0"),
        ("PUT", "/service"),
        ("HEAD", "/service"),
        ("POST", "/metrics"),
    ],
)
def test_other_methods_are_not_allowed(gorb, method, path):
    reply = gorb.ask(method, path)
    assert (reply.status, reply.body) == (405, b"")


@pytest.mark.parametrize("path", ["/", "/service/", "/service/0/", "/service/0/0/0", "/odd"])
def test_other_paths_are_gos_404_page(gorb, path):
    reply = gorb.get(path)
    assert (reply.status, reply.body) == (404, b"404 page not found\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//service", "/service"),
        ("/service//0", "/service/0"),
        ("/x/../service/0?q=1", "/service/0?q=1"),
        ("/service/./caf%C3%A9/", "/service/caf%C3%A9/"),
    ],
)
def test_a_path_that_is_not_clean_is_redirected(gorb, path, location):
    reply = gorb.get(path)
    assert (reply.status, reply.headers["Location"]) == (301, location)


def test_an_id_may_begin_with_a_dot(gorb):
    assert gorb.put("/service/.x", port=4444).status == 200


def test_headers_are_spelt_and_ordered_as_go_does(gorb):
    assert list(gorb.get("/service").headers) == ["Content-Type", "Date", "Content-Length"]


def test_a_service_takes_its_backends_with_it(backend):
    assert backend.ask("DELETE", "/service/0").status == 200
    assert backend.get("/service/0/0").status == 404
    assert backend.put("/service/0", port=4444).status == 200
    assert backend.put("/service/0/0", host="172.17.0.2", port=4444).status == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "EOF"),
        (b'{"port": 44', "unexpected EOF"),
        (
            b'{"port": "4444"}',
            f"json: cannot unmarshal string into {PORT}",
        ),
        (
            b'{"port": 70000}',
            f"json: cannot unmarshal number 70000 into {PORT}",
        ),
        (b"[]", "json: cannot unmarshal array into Go value of type core.ServiceOptions"),
    ],
)
def test_a_body_that_is_not_right_is_refused_in_gos_words(gorb, body, error):
    reply = gorb.ask("PUT", "/service/0", body)
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize(
    "body", [b'{"port": 4444, "odd": 1}', b'{"PORT": 4444}', b'{"port": 4444} and more']
)
def test_what_go_overlooks_is_accepted(gorb, body):
    assert gorb.ask("PUT", "/service/0", body).status == 200
    assert gorb.get("/service/0").json()["options"]["port"] == 4444


def test_a_body_without_end_is_not_kept_in_memory(gorb):
    assert gorb.ask("PUT", "/service/0", b" " * (2 << 20)).status == 413


def test_ids_may_be_anything_that_a_path_can_say(gorb):
    assert gorb.put("/service/caf%C3%A9%20%3C1%3E", port=4444).status == 200
    body = gorb.get("/service").body
    assert body == '[\n\t"café \\u003c1\\u003e"\n]'.encode()
    assert gorb.ask("DELETE", "/service/caf%C3%A9%20%3C1%3E").status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/service/1", {"port": 80}),
        ("PUT", "/service/0/1", {"host": "172.17.0.3", "port": 4444}),
        ("PATCH", "/service/0/0", {"weight": 1}),
        ("DELETE", "/service/0/0", None),
        ("DELETE", "/service/0", None),
    ],
)
def test_what_the_kernel_refuses_leaves_everything_as_it_was(backend, method, path, body):
    paths = ("/service", "/service/0", "/service/0/0")
    before = [backend.get(one).body for one in paths]
    backend.ipvs.failures.append(errno.ENOMEM)
    reply = backend.ask(method, path, body)
    assert (reply.status, reply.error) == (500, REFUSED)
    assert [backend.get(one).body for one in paths] == before


@pytest.mark.parametrize("path", ["/service/0/0", "/service/0"])
def test_what_somebody_else_removed_from_ipvs_can_be_deleted(backend, path):
    backend.ipvs.services.clear()
    assert backend.ask("DELETE", path).status == 200
    assert backend.get(path).status == 404


def test_of_many_requests_with_one_id_exactly_one_wins(gorb):
    def put(number):
        return gorb.put("/service/one", host="localhost", port=1000 + number).status

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(put, range(48)))
    assert statuses == [200] + [409] * 47
    assert len(gorb.ipvs.services) == 1


def test_of_many_requests_for_one_address_exactly_one_wins(gorb):
    def put(number):
        return gorb.put(f"/service/{number}", port=4444).status

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(put, range(48)))
    assert statuses == [200] + [500] * 47
    assert len(gorb.get("/service").json()) == 1


def test_metrics_are_prometheus(backend):
    reply = backend.get("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    service = 'host="10.0.2.15",name="0",port="4444",protocol="tcp"'
    server = 'host="172.17.0.2",name="0",port="4444",service_name="0"'
    assert f"gorb_service_backends{{{service}}} 1.0" in lines
    assert f"gorb_service_health{{{service}}} 0.0" in lines
    for name, value in (("weight", 100), ("health", 0), ("status", 0), ("uptime_seconds", 0)):
        assert f"gorb_service_backend_{name}{{{server}}} {value:.1f}" in lines


def test_a_connection_serves_many_requests(gorb):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", gorb.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/service")
        assert json.loads(connection.getresponse().read()) == []
    connection.close()
