"""The registry keeps what it says and what IPVS has together, and weighs backends by health."""

from __future__ import annotations

import contextlib
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labwright.components.gorb.health import HealthRecord, Status
from labwright.components.gorb.ipvs_memory import MemoryIpvs
from labwright.components.gorb.options import BackendOptions, PulseOptions, ServiceOptions
from labwright.components.gorb.problems import GorbError, IpvsFailed
from labwright.components.gorb.registry import Registry

PULSE = PulseOptions("tcp", "1m", None, 60)


def service_on(port: int, method: str = "rr") -> ServiceOptions:
    return ServiceOptions("", port, "tcp", method, "", False, "10.0.2.15")


def backend_at(last: int, weight: int = 100) -> BackendOptions:
    address = f"172.17.0.{last}"
    return BackendOptions(address, 4444, weight, "nat", PULSE, "", address)


class Watched:
    """Takes the place of the pulses: the test says how each backend is."""

    def __init__(self):
        self.reports = {}
        self.records = {}
        self.stopped = []

    def watch(self, backend, report):
        self.reports[backend.id] = report
        self.records[backend.id] = HealthRecord(0.0)
        return lambda: self.stopped.append(backend.id)

    def pulse(self, backend_id, up, now_s=0.0):
        self.reports[backend_id](self.records[backend_id].add(up, now_s))


@pytest.fixture
def ipvs():
    return MemoryIpvs()


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
def registry(ipvs, watched):
    one = Registry(ipvs, watched.watch)
    one.create_service("0", service_on(4444))
    one.create_backend("0", "a", backend_at(2))
    return one


def weight_in(ipvs: MemoryIpvs) -> int:
    (service,) = ipvs.services.values()
    (destination,) = service.destinations.values()
    return destination.weight


def test_a_failed_pulse_takes_the_weight_to_0(registry, ipvs, watched):
    watched.pulse("a", up=False)
    assert weight_in(ipvs) == registry.backend("a").weight == 0
    assert registry.backend("a").health.status is Status.DOWN


def test_a_recovery_gives_back_the_weights_share_of_health(registry, ipvs, watched):
    watched.pulse("a", up=False)
    watched.pulse("a", up=False)
    watched.pulse("a", up=True)
    assert weight_in(ipvs) == 33
    watched.pulse("a", up=True)
    assert weight_in(ipvs) == 50


def test_the_whole_weight_is_back_when_the_failures_are_forgotten(registry, ipvs, watched):
    watched.pulse("a", up=False)
    for _ in range(99):
        watched.pulse("a", up=True)
    assert weight_in(ipvs) == 99
    watched.pulse("a", up=True)
    assert weight_in(ipvs) == 100
    assert registry.backend("a").weight_when_well is None


def test_good_pulses_leave_a_weight_alone_that_was_set_by_hand(registry, ipvs, watched):
    registry.set_weight("a", 0)
    watched.pulse("a", up=True)
    assert weight_in(ipvs) == 0


def test_a_weight_that_is_set_while_a_backend_is_down_is_the_one_it_returns_to(
    registry, ipvs, watched
):
    watched.pulse("a", up=False)
    registry.set_weight("a", 10)
    watched.pulse("a", up=True)
    assert weight_in(ipvs) == 5


def test_a_kernel_that_refuses_a_weight_is_asked_again_at_the_next_pulse(registry, ipvs, watched):
    ipvs.failures.append(errno.ENOMEM)
    watched.pulse("a", up=False)
    assert weight_in(ipvs) == registry.backend("a").weight == 100
    watched.pulse("a", up=False)
    assert weight_in(ipvs) == registry.backend("a").weight == 0


def test_health_is_the_mean_over_a_services_backends(registry, watched):
    registry.create_backend("0", "b", backend_at(3))
    watched.pulse("a", up=True)
    assert registry.service("0").health == 0.5
    watched.pulse("b", up=True)
    assert registry.service("0").health == 1.0


def test_uptime_is_counted_from_the_last_pulse_that_failed():
    record = HealthRecord(100.0)
    assert record.add(True, 110.5).uptime_s == 10
    assert record.add(True, 121.0).uptime_s == 21
    assert record.add(False, 130.0).uptime_s == 0
    assert record.add(True, 133.0).uptime_s == 3


def test_the_watch_ends_with_the_backend_and_with_its_service(registry, watched):
    registry.create_backend("0", "b", backend_at(3))
    registry.remove_backend("a")
    assert watched.stopped == ["a"]
    registry.remove_service("0")
    assert watched.stopped == ["a", "b"]


def test_closing_removes_what_was_registered_and_nothing_else(registry, ipvs):
    foreign = service_on(80).virtual
    ipvs.add_service(foreign, "rr", 0)
    registry.create_service("1", service_on(5555))
    registry.close()
    assert set(ipvs.services) == {foreign}


def test_closing_goes_on_when_the_kernel_refuses_to_remove_something(registry, ipvs):
    registry.create_service("1", service_on(5555))
    ipvs.failures.append(errno.ENOMEM)
    registry.close()
    assert set(ipvs.services) == {service_on(4444).virtual}


def test_a_failure_to_delete_keeps_the_service_and_its_watch(registry, ipvs, watched):
    ipvs.failures.append(errno.ENOMEM)
    with pytest.raises(IpvsFailed):
        registry.remove_service("0")
    assert registry.service("0").backends.keys() == {"a"}
    assert watched.stopped == []


IDS = st.sampled_from("abc")
OPERATIONS = st.one_of(
    st.tuples(
        st.just("create_service"),
        IDS,
        st.builds(service_on, st.integers(1, 3), st.sampled_from(["rr", "wrr", "odd"])),
    ),
    st.tuples(st.just("create_backend"), IDS, IDS, st.builds(backend_at, st.integers(2, 4))),
    st.tuples(st.just("set_weight"), IDS, st.integers(-2, 200)),
    st.tuples(st.just("remove_backend"), IDS),
    st.tuples(st.just("remove_service"), IDS),
    st.tuples(st.just("pulse"), IDS, st.booleans()),
    st.tuples(st.just("fail"), st.sampled_from([errno.ENOMEM, errno.EEXIST, errno.EPERM])),
)


def perform(operation, registry, ipvs, watched):
    name, *arguments = operation
    if name == "fail":
        ipvs.failures[:] = arguments
    elif name == "pulse":
        if arguments[0] in {one for each in registry.services for one in each.backends}:
            watched.pulse(*arguments)
    else:
        with contextlib.suppress(GorbError):
            getattr(registry, name)(*arguments)
    if name != "fail":
        ipvs.failures.clear()


@given(st.lists(OPERATIONS, max_size=25))
def test_whatever_is_asked_registry_and_ipvs_agree(operations):
    ipvs, watched = MemoryIpvs(), Watched()
    registry = Registry(ipvs, watched.watch)
    for operation in operations:
        perform(operation, registry, ipvs, watched)
        claimed = {
            service.options.virtual: (
                service.options.method,
                {one.options.server: one.weight for one in service.backends.values()},
            )
            for service in registry.services
        }
        held = {
            virtual: (
                service.scheduler,
                {server: one.weight for server, one in service.destinations.items()},
            )
            for virtual, service in ipvs.services.items()
        }
        assert claimed == held
