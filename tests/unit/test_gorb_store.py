"""A store and the daemon say the same, whatever fails; a catalogue is never in the way."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_gorb_registry import Watched, backend_at, service_on

from labwright.components.gorb.catalogue import Catalogue
from labwright.components.gorb.changes import Changes
from labwright.components.gorb.ipvs import Destination, RealServer
from labwright.components.gorb.ipvs_memory import MemoryIpvs
from labwright.components.gorb.problems import (
    GorbError,
    IpvsFailed,
    ObjectExists,
    StartError,
    StoreFailed,
)
from labwright.components.gorb.registry import Registry
from labwright.components.gorb.store import Store, Unavailable, open_store
from labwright.components.gorb.synchrony import Synchrony, take_over

SERVICE = {"host": "10.0.2.15", "port": 4444, "method": "rr"}


class MemoryKeys:
    """A server of a store, which can be told to fail."""

    def __init__(self):
        self.values = {}
        self.fails = iter(())

    def _fail_if_told(self):
        if next(self.fails, False):
            raise Unavailable("told to")

    def list(self, prefix):
        self._fail_if_told()
        return {key: value for key, value in self.values.items() if key.startswith(prefix)}

    def create(self, key, value):
        self._fail_if_told()
        return self.values.setdefault(key, value) is value

    def put(self, key, value):
        self._fail_if_told()
        self.values[key] = value

    def delete(self, key):
        self._fail_if_told()
        self.values.pop(key, None)


class Shared:
    """A daemon's parts, over a store in memory."""

    def __init__(self, keys=None, ipvs=None, catalogue=None):
        self.keys = keys or MemoryKeys()
        self.ipvs = ipvs or MemoryIpvs()
        self.registry = Registry(self.ipvs, Watched().watch)
        store = Store([self.keys], "services", "backends")
        self.changes = Changes(self.registry, store, catalogue)
        self.synchrony = Synchrony(self.registry, self.changes, store, "10.0.2.15")

    def do(self, change, *arguments):
        asyncio.run(getattr(self.changes, change)(*arguments))

    def synchronise(self):
        asyncio.run(self.synchrony.synchronise())

    def write(self, key, **options):
        self.keys.values[key] = json.dumps(options).encode()

    @property
    def held(self):
        """What is in the kernel: ports and the last numbers of addresses."""
        return {
            virtual.port: {server.address.rpartition(".")[2] for server in held.destinations}
            for virtual, held in self.ipvs.services.items()
        }


@pytest.fixture
def shared():
    one = Shared()
    one.do("create_service", "0", service_on(4444))
    one.do("create_backend", "0", "a", backend_at(2))
    return one


def test_what_is_registered_is_kept_in_the_original_s_layout(shared):
    assert {key: json.loads(value) for key, value in shared.keys.values.items()} == {
        "services/0": {
            "host": "",
            "port": 4444,
            "protocol": "tcp",
            "method": "rr",
            "flags": "",
            "persistent": False,
        },
        "backends/a": {
            "host": "172.17.0.2",
            "port": 4444,
            "weight": 100,
            "method": "nat",
            "pulse": {"type": "tcp", "interval": "1m", "args": None},
            "vsid": "0",
        },
    }


def test_what_is_removed_is_kept_no_longer(shared):
    shared.do("create_backend", "0", "b", backend_at(3))
    shared.do("remove_backend", "a")
    assert sorted(shared.keys.values) == ["backends/b", "services/0"]
    shared.do("remove_service", "0")
    assert shared.keys.values == {}


def test_a_weight_is_kept_as_it_was_first_asked_for(shared):
    shared.do("set_weight", "a", 7)
    assert json.loads(shared.keys.values["backends/a"])["weight"] == 100


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        ("create_service", ("1", service_on(80))),
        ("create_backend", ("0", "b", backend_at(3))),
        ("remove_backend", ("a",)),
        ("remove_service", ("0",)),
    ],
)
def test_what_the_store_does_not_do_is_not_done(shared, change, arguments):
    before = (dict(shared.keys.values), shared.held)
    # Only the first request to it: what is put back is put back.
    shared.keys.fails = iter((True,))
    with pytest.raises(StoreFailed):
        shared.do(change, *arguments)
    assert (shared.keys.values, shared.held) == before


@pytest.mark.parametrize(("change", "name"), [("remove_backend", "a"), ("remove_service", "0")])
def test_what_the_kernel_does_not_remove_is_kept(shared, change, name):
    before = dict(shared.keys.values)
    shared.ipvs.failures.append(errno.ENOMEM)
    with pytest.raises(IpvsFailed):
        shared.do(change, name)
    assert shared.keys.values == before


def test_an_id_that_another_daemon_has_taken_is_refused(shared):
    shared.write("services/1", port=80)
    with pytest.raises(ObjectExists):
        shared.do("create_service", "1", service_on(81))
    assert set(shared.held) == {4444}


def test_another_daemon_gets_what_the_store_has(shared):
    other = Shared(shared.keys)
    other.synchronise()
    assert other.held == shared.held
    shared.do("remove_backend", "a")
    other.synchronise()
    assert other.held == {4444: set()}


def test_what_differs_in_the_store_is_made_anew_all_at_once(shared):
    shared.do("create_service", "1", service_on(80))
    # They change places: neither can be made before both are gone.
    shared.write("services/0", port=80, method="rr")
    shared.write("services/1", port=4444, method="rr")
    shared.synchronise()
    assert {one.id: one.options.port for one in shared.registry.services} == {"0": 80, "1": 4444}
    assert shared.held == {80: {"2"}, 4444: set()}


def test_omitted_options_are_their_defaults_and_no_difference(shared):
    service = shared.registry.service("0")
    shared.write("services/0", port=4444, method="rr")
    shared.synchronise()
    assert shared.registry.service("0") is service


def test_a_store_that_does_not_answer_changes_nothing(shared):
    before = shared.held
    shared.keys.fails = iter((True,))
    shared.synchronise()
    assert shared.held == before


def test_an_entry_that_cannot_be_read_is_left_alone_and_named(shared, caplog):
    shared.keys.values["services/0"] = b"{"
    shared.keys.values["backends/x"] = b'{"host": "172.17.0.9", "port": 1}'
    shared.write("services/2", port=5555, method="rr")
    shared.synchronise()
    assert shared.held == {4444: {"2"}, 5555: set()}
    assert "the store's entry for [0] cannot be used: unexpected EOF" in caplog.text


def test_a_daemon_that_was_killed_finds_its_services_again(shared):
    shared.ipvs.services[service_on(4444).virtual].destinations[RealServer("172.17.0.9", 1)] = (
        Destination(0, 1)
    )
    again = Shared(shared.keys, shared.ipvs)
    again.synchronise()
    assert again.registry.service("0").backends.keys() == {"a"}
    assert again.held == {4444: {"2"}}


def test_the_first_server_that_answers_is_used():
    dead, alive = MemoryKeys(), MemoryKeys()
    dead.fails = iter([True])
    store = Store([dead, alive], "services", "backends")
    store.put_service("0", service_on(80))
    store.put_service("1", service_on(81))
    assert (dead.values, sorted(alive.values)) == ({}, ["services/0", "services/1"])


IDS = st.sampled_from("ab")
CHANGES = st.one_of(
    st.tuples(st.just("create_service"), IDS, st.builds(service_on, st.integers(1, 2))),
    st.tuples(st.just("create_backend"), IDS, IDS, st.builds(backend_at, st.integers(2, 3))),
    st.tuples(st.just("remove_backend"), IDS),
    st.tuples(st.just("remove_service"), IDS),
)


@settings(max_examples=40, deadline=None, print_blob=True)
@given(st.lists(st.tuples(CHANGES, st.booleans(), st.booleans()), max_size=12))
def test_whatever_fails_store_registry_and_kernel_agree(steps):
    shared = Shared()

    async def do_all():
        for (name, *arguments), store_fails, kernel_fails in steps:
            shared.keys.fails = iter((store_fails,))
            shared.ipvs.failures[:] = [errno.ENOMEM] if kernel_fails else []
            try:
                await getattr(shared.changes, name)(*arguments)
            except GorbError:
                pass
            finally:
                shared.keys.fails = iter(())
                shared.ipvs.failures.clear()
            registered = {f"services/{one.id}" for one in shared.registry.services} | {
                f"backends/{name}" for one in shared.registry.services for name in one.backends
            }
            assert set(shared.keys.values) == registered
            assert set(shared.ipvs.services) == {
                one.options.virtual for one in shared.registry.services
            }

    asyncio.run(do_all())


def test_what_the_kernel_has_is_taken_over_as_it_is():
    ipvs = MemoryIpvs()
    ipvs.add_service(service_on(80).virtual, "sh", 0x13)
    ipvs.add_destination(service_on(80).virtual, RealServer("172.17.0.2", 81), 3, 0)
    ipvs.add_service(service_on(80).virtual._replace(protocol=132), "rr", 0)
    before = {name: dict(held.destinations) for name, held in ipvs.services.items()}
    registry = Registry(ipvs, Watched().watch)
    take_over(registry.strangers(), registry)
    (service,) = registry.services
    assert service.id == "tcp-10.0.2.15-80"
    assert service.options.as_json() == {
        "host": "10.0.2.15",
        "port": 80,
        "protocol": "tcp",
        "method": "sh",
        "flags": "flag-2",
        "persistent": True,
    }
    (backend,) = service.backends.values()
    assert backend.id == "tcp-10.0.2.15-80-172.17.0.2-81"
    assert (backend.weight, backend.options.method, backend.options.pulse.type) == (0, "dr", "none")
    assert {name: dict(held.destinations) for name, held in ipvs.services.items()} == before


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        ("zookeeper://x", "is no store"),
        ("etcd://a/x,etcd://b/y", "the same scheme and path"),
        ("etcd://a,consul://a", "the same scheme and path"),
        ("etcd://a:x", "is no store"),
    ],
)
def test_a_store_that_is_none_is_refused_in_a_sentence(urls, says):
    with pytest.raises(StartError, match=says):
        open_store(urls, "services", "backends")


def test_a_catalogue_that_is_none_is_refused_in_a_sentence():
    with pytest.raises(StartError, match="is not a URL of Consul"):
        Catalogue("localhost:8500")


@pytest.mark.parametrize("package", ["etcd3gw", "consul"])
def test_a_package_that_is_missing_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    scheme = {"etcd3gw": "etcd", "consul": "consul"}[package]
    with pytest.raises(StartError, match=r"pip install 'labwright\[store\]'"):
        open_store(f"{scheme}://x", "services", "backends")


class FakeConsul(BaseHTTPRequestHandler):
    """As much of a Consul agent's HTTP interface as the daemon uses; on its own, so honest."""

    values: dict
    services: dict

    def do_GET(self):
        import base64

        prefix = unquote(urlsplit(self.path).path).removeprefix("/v1/kv/")
        found = [
            {"Key": key, "Value": base64.b64encode(value).decode()}
            for key, value in self.values.items()
            if key.startswith(prefix)
        ]
        self._answer(200 if found else 404, json.dumps(found).encode() if found else b"")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        done = b"true"
        if path.startswith("/v1/kv/"):
            key = path.removeprefix("/v1/kv/")
            if "cas" in parse_qs(parts.query) and key in self.values:
                done = b"false"
            else:
                self.values[key] = body
        elif path == "/v1/agent/service/register":
            service = json.loads(body)
            self.services[service["name"]] = (service["address"], service["port"])
        elif path.startswith("/v1/agent/service/deregister/"):
            self.services.pop(path.rpartition("/")[2], None)
        else:
            return self._answer(404, b"")
        return self._answer(200, done)

    def do_DELETE(self):
        self.values.pop(unquote(urlsplit(self.path).path).removeprefix("/v1/kv/"), None)
        self._answer(200, b"true")

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("X-Consul-Index", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def consul():
    handler = type("Consul", (FakeConsul,), {"values": {}, "services": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.port = server.server_address[1]
    yield handler
    server.shutdown()
    server.server_close()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def etcd(folder):
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = ["etcd", "--data-dir", str(folder), "--log-level", "error"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield client.removeprefix("http://")
        finally:
            server.kill()


def exercise(store):
    """Whatever server it is, a store does this."""
    store.create_service("é 1", service_on(80))
    store.create_backend("a", backend_at(2))
    with pytest.raises(ObjectExists):
        store.create_service("é 1", service_on(81))
    contents = store.contents()
    assert json.loads(contents.services["é 1"])["port"] == 80
    assert json.loads(contents.backends["a"])["host"] == "172.17.0.2"
    store.put_service("é 1", service_on(82))
    assert json.loads(store.contents().services["é 1"])["port"] == 82
    store.remove_service("é 1")
    store.remove_backend("a")
    store.remove_backend("a")
    assert store.contents() == ({}, {})


def test_consul_is_a_store(consul):
    store = open_store(f"consul://127.0.0.1:{consul.port}/lab/gorb", "services", "backends")
    store.create_service("0", service_on(80))
    assert set(consul.values) == {"lab/gorb/services/0"}
    store.remove_service("0")
    exercise(store)


@pytest.mark.skipif(not shutil.which("etcd"), reason="etcd is not installed (etcd-server)")
def test_etcd_is_a_store(tmp_path):
    with etcd(tmp_path) as server:
        dead = f"etcd://127.0.0.1:{free_port()}/lab"
        store = open_store(f"{dead},etcd://{server}/lab", "services", "backends")
        for _ in range(200):
            try:
                store.contents()
                break
            except StoreFailed:
                time.sleep(0.05)
        exercise(store)


@pytest.mark.parametrize("scheme", ["etcd", "consul"])
def test_a_server_that_is_not_there_fails_and_says_why(scheme, caplog):
    store = open_store(f"{scheme}://127.0.0.1:{free_port()}", "services", "backends")
    with pytest.raises(StoreFailed):
        store.contents()
    assert "refused" in caplog.text


def test_a_catalogue_knows_the_services_that_there_are(consul):
    shared = Shared(catalogue=Catalogue(f"http://127.0.0.1:{consul.port}"))
    shared.do("create_service", "0", service_on(4444))
    assert consul.services == {"0": ("10.0.2.15", 4444)}
    shared.write("services/1", port=80)
    shared.synchronise()
    assert set(consul.services) == {"0", "1"}
    del shared.keys.values["services/1"]
    shared.synchronise()
    shared.do("remove_service", "0")
    assert consul.services == {}


def test_a_catalogue_that_does_not_answer_stops_nothing(caplog):
    shared = Shared(catalogue=Catalogue(f"http://127.0.0.1:{free_port()}"))
    shared.do("create_service", "0", service_on(4444))
    assert set(shared.held) == {4444}
    assert "Consul did not expose service [0]" in caplog.text
