"""What the kernel is sent, byte for byte as pyroute2 0.9.7 writes it."""

from __future__ import annotations

import sys

import pytest

from labwright.components.gorb import ipvs_kernel
from labwright.components.gorb.ipvs import FORWARD_TUNNEL, RealServer, VirtualService
from labwright.components.gorb.ipvs_kernel import NETLINK_GENERIC
from labwright.components.gorb.netlink import ACKNOWLEDGE, attribute, attributes

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the bytes are of such a machine")

FOUR = VirtualService("192.0.2.1", 4444, 6)
SIX = VirtualService("2001:db8::1", 53, 17)


@pytest.fixture
def sent(monkeypatch):
    """What the kernel is sent; it answers as one does that has IPVS, and acknowledges."""
    messages = []

    class Kernel:
        def __init__(self, family):
            assert family == NETLINK_GENERIC

        def ask(self, message, message_type, flags=ACKNOWLEDGE):
            messages.append(message)
            number = attribute(ipvs_kernel.FAMILY_ID, b"\x21\0")
            return [bytes(ipvs_kernel.HEADERS) + number] if len(messages) == 1 else []

    monkeypatch.setattr(ipvs_kernel, "NetlinkSocket", Kernel)
    return messages


def test_a_service_is_spelt_as_the_kernel_reads_it(sent):
    ipvs_kernel.KernelIpvs().add_service(FOUR, "sh", 0x18)
    assert sent[-1].hex() == (
        "010100004800010006000100020000000600020006000000"
        "08000300c000020106000400115c000007000600736800000c00070018000000ffffffff"
        "080008000000000008000900ffffffff"
    )


def test_a_destination_is_spelt_as_the_kernel_reads_it_with_a_weight_that_it_refuses(sent):
    server = RealServer("2001:db8::2", 1)
    ipvs_kernel.KernelIpvs().add_destination(SIX, server, FORWARD_TUNNEL, -1)
    assert sent[-1].hex() == (
        "0501000030000100060001000a000000060002001100000014000300"
        "20010db8000000000000000000000001060004000035000048000200"
        "06000b000a0000001400010020010db80000000000000000000000020600020000010000"
        "080003000200000008000400ffffffff08000500000000000800060000000000"
    )


def test_attributes_that_are_cut_off_end_the_reading():
    assert attributes(b"\x05\0\x01\0x\0\0\0\x00\0") == {1: b"x"}
    assert attributes(b"\x05\0\x01\0x\0\0\0\x01\0\x02\0yyyy") == {1: b"x", 2: b""}
