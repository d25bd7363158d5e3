"""`-vipi` adds the addresses of services to an interface, and removes only what it added."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import textwrap

import pytest
from tests.unit.test_gorb_registry import Watched, service_on

from labwright.components.gorb.ipvs import IpvsError
from labwright.components.gorb.ipvs_memory import MemoryIpvs
from labwright.components.gorb.problems import IpvsFailed, StartError
from labwright.components.gorb.registry import Registry
from labwright.components.gorb.vip import InterfaceVips

NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]
needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux"
    or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="this system lets nobody make a network namespace",
)
BEGIN = """
    import json, subprocess
    from labwright.components.gorb.vip import InterfaceVips
    def addresses():
        shown = subprocess.run(["ip", "-j", "address", "show", "dev", "lo"], capture_output=True)
        found = json.loads(shown.stdout)[0]["addr_info"]
        return sorted(f"{one['local']}/{one['prefixlen']}" for one in found)
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"], check=True)
    vips = InterfaceVips("lo")
    seen = []
    def see(): seen.append(addresses())
"""


def in_namespace(script):
    """Run a script in a network of its own; return what it saw."""
    whole = textwrap.dedent(BEGIN) + textwrap.dedent(script) + "\nprint(json.dumps(seen))"
    command = [*NAMESPACE, sys.executable, "-c", whole]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_namespaces
def test_an_address_is_there_as_long_as_a_service_is_on_it():
    seen = in_namespace("""
        vips.hold("192.0.2.7"); see()
        vips.hold("192.0.2.7"); vips.release("192.0.2.7"); see()
        vips.release("192.0.2.7"); see()
    """)
    assert seen == [["192.0.2.1/32", "192.0.2.7/32"]] * 2 + [["192.0.2.1/32"]]


@needs_namespaces
def test_an_address_that_was_there_before_stays():
    assert in_namespace('vips.hold("192.0.2.1"); vips.release("192.0.2.1"); see()') == [
        ["192.0.2.1/32"]
    ]


@needs_namespaces
def test_an_address_that_somebody_else_removed_is_no_failure():
    assert in_namespace("""
        vips.hold("192.0.2.7")
        subprocess.run(["ip", "address", "del", "192.0.2.7/32", "dev", "lo"], check=True)
        vips.release("192.0.2.7"); see()
    """) == [["192.0.2.1/32"]]


@needs_namespaces
def test_ipv6_is_added_as_one_address():
    first, after = in_namespace(
        'vips.hold("2001:db8::7"); see(); vips.release("2001:db8::7"); see()'
    )
    assert "2001:db8::7/128" in first
    assert "2001:db8::7/128" not in after


def test_an_interface_that_there_is_not_is_told_in_a_sentence():
    with pytest.raises(StartError, match="name one with -vipi"):
        InterfaceVips("nope7")


class Told:
    """Addresses that are held, which can refuse one."""

    def __init__(self):
        self.held = []
        self.refuses = False

    def hold(self, address):
        if self.refuses:
            raise IpvsError(errno.EPERM, "no")
        self.held.append(address)

    def release(self, address):
        self.held.remove(address)


def test_an_address_goes_with_its_service_and_with_a_service_that_is_refused():
    ipvs, vips = MemoryIpvs(), Told()
    registry = Registry(ipvs, Watched().watch, vips)
    registry.create_service("0", service_on(80))
    with pytest.raises(IpvsFailed):
        registry.create_service("1", service_on(81, "odd"))
    assert vips.held == ["10.0.2.15"]
    registry.remove_service("0")
    assert vips.held == []


def test_a_service_whose_address_is_refused_is_not_made():
    ipvs, vips = MemoryIpvs(), Told()
    vips.refuses = True
    with pytest.raises(IpvsFailed):
        Registry(ipvs, Watched().watch, vips).create_service("0", service_on(80))
    assert ipvs.services == {}
