"""What the kernel is sent, byte for byte as pyroute2 0.9.7 writes it."""

from __future__ import annotations

import sys

import pytest

from labwright.components.gorb import ipvs_kernel
from labwright.components.gorb.ipvs import FORWARD_TUNNEL, RealServer, VirtualService
from labwright.components.gorb.ipvs_kernel import Command
from labwright.components.gorb.netlink import attributes

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the bytes are of such a machine")

FOUR = VirtualService("192.0.2.1", 4444, 6)
SIX = VirtualService("2001:db8::1", 53, 17)


def test_a_service_is_spelt_as_the_kernel_reads_it():
    four = ipvs_kernel._message(
        Command.NEW_SERVICE, ipvs_kernel._whole_service(FOUR, "sh", 0x18)
    ).hex()
    assert four == (
        "010100004800010006000100020000000600020006000000"
        "08000300c000020106000400115c000007000600736800000c00070018000000ffffffff"
        "080008000000000008000900ffffffff"
    )


def test_a_destination_is_spelt_as_the_kernel_reads_it_with_a_weight_that_it_refuses():
    server = RealServer("2001:db8::2", 1)
    six = ipvs_kernel._message(
        Command.NEW_DEST,
        ipvs_kernel._identity(SIX),
        ipvs_kernel._destination(server, FORWARD_TUNNEL, -1),
    ).hex()
    assert six == (
        "0501000030000100060001000a000000060002001100000014000300"
        "20010db8000000000000000000000001060004000035000048000200"
        "06000b000a0000001400010020010db80000000000000000000000020600020000010000"
        "080003000200000008000400ffffffff08000500000000000800060000000000"
    )


def test_attributes_that_are_cut_off_end_the_reading():
    assert attributes(b"\x05\0\x01\0x\0\0\0\x00\0") == {1: b"x"}
    assert attributes(b"\x05\0\x01\0x\0\0\0\x01\0\x02\0yyyy") == {1: b"x", 2: b""}
