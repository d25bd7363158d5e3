"""The kernel's tables are read as the kernel writes them."""

from __future__ import annotations

import pytest

from labwright.checks.kernel import Connection, Destination, parse_connections, parse_table

TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A00020F:115C rr
  -> AC110003:115C      Masq    100    0          8
  -> AC110002:115C      Masq    0      1          7
UDP  7F000001:0035 wlc persistent 300 FFFFFFFF
TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0050 sh (sh-port)
  -> [2001:0db8:0000:0000:0000:0000:0000:0002]:1F90      Route   1      0          0
"""
CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A00020F D4B2 0A00020F 115C AC110002 115C TIME_WAIT       117
TCP 0A00020F D4B4 0A00020F 115C AC110003 115C ESTABLISHED     899
"""


def test_services_and_their_destinations_are_read():
    first, second, third = parse_table(TABLE)
    assert (first.protocol, first.address, first.port) == ("tcp", "10.0.2.15", 4444)
    assert (first.scheduler, first.options) == ("rr", "")
    assert first.destinations == (
        Destination("172.17.0.3", 4444, "Masq", 100),
        Destination("172.17.0.2", 4444, "Masq", 0),
    )
    assert (second.protocol, second.options) == ("udp", "persistent 300 FFFFFFFF")
    assert (third.address, third.scheduler) == ("2001:db8::1", "sh")
    assert third.destinations[0].forward == "Route"


def test_a_table_without_services_is_empty():
    assert parse_table("\n".join(TABLE.splitlines()[:3])) == []


def test_connections_tell_whom_a_client_was_handed_to():
    assert parse_connections(CONNECTIONS)[0] == Connection(
        "tcp", ("10.0.2.15", 54450), ("10.0.2.15", 4444), ("172.17.0.2", 4444), "TIME_WAIT"
    )


@pytest.mark.parametrize("text", ["TCP nonsense rr", "TCP 0A00020F:zz rr"])
def test_a_table_that_no_kernel_writes_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_table(text)
