"""Pulses ask a backend whether it is well, when and how its options say."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

import labwright.components.gorb.pulse
from labwright.components.gorb.health import Status
from labwright.components.gorb.options import BackendOptions, PulseOptions
from labwright.components.gorb.pulse import Pulses, check_of
from labwright.components.gorb.registry import Backend, Service


def backend(port, kind="tcp", args=None, interval_s=60, address="127.0.0.1"):
    pulse = PulseOptions(kind, f"{interval_s}s", args, interval_s)
    return BackendOptions(address, port, 100, "nat", pulse, "", address)


def unused_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@asynccontextmanager
async def answering(answer, requests=None):
    async def serve(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        if requests is not None:
            requests.append(request.decode())
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def is_well(options):
    return asyncio.run(check_of(options)())


def asked(answer, args, requests=None):
    async def ask():
        async with answering(answer, requests) as port:
            return await check_of(backend(1, "http", {"port": port, **args}))()

    return asyncio.run(ask())


def test_a_tcp_pulse_is_well_when_it_can_connect():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert is_well(backend(server.getsockname()[1]))
    assert not is_well(backend(unused_port()))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_tcp_pulse_reaches_ipv6():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert is_well(backend(server.getsockname()[1], address="::1"))


def test_no_pulse_is_always_well():
    assert is_well(backend(unused_port(), "none"))


async def watched_until(count, sleep):
    """Watch a backend until there are so many reports, and return them."""
    reports = []
    enough = asyncio.Event()

    def report(health):
        reports.append(health)
        if len(reports) == count:
            enough.set()

    watched = Backend("a", Service("0", None), backend(1, "none"), 100)
    stop = Pulses(sleep, lambda: 0.25).watch(watched, report)
    await enough.wait()
    stop()
    return reports


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def test_an_http_pulse_expects_200_of_the_root():
    requests = []
    assert asked(OK, {}, requests)
    assert requests[0].startswith("GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("expect", [204, "204", 204.0])
def test_an_http_pulse_asks_what_its_arguments_say(expect):
    requests = []
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    args = {"method": "HEAD", "path": "beat now", "expect": expect}
    assert asked(answer, args, requests)
    assert requests[0].startswith("HEAD /beat%20now HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "args"),
    [
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", {}),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n", {"expect": 302}),
        (b"", {}),
        (b"SSH-2.0-OpenSSH\r\n", {}),
    ],
)
def test_any_other_answer_is_a_failure(answer, args):
    assert not asked(answer, args)


def test_the_log_says_in_plain_words_why_a_pulse_failed(caplog):
    port = unused_port()
    is_well(backend(port))
    assert caplog.messages == [f"unable to connect to 127.0.0.1:{port}: Connection refused"]


def test_a_pulse_that_is_not_answered_in_time_is_a_failure(monkeypatch, caplog):
    monkeypatch.setattr(labwright.components.gorb.pulse, "TIMEOUT_S", 0.01)

    async def keep_silent(reader, writer):
        await reader.read()  # until whoever asks has gone
        writer.close()

    async def ask():
        async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as silent:
            port = silent.sockets[0].getsockname()[1]
            return await check_of(backend(port, "http"))()

    assert not asyncio.run(ask())
    assert caplog.messages[-1].endswith("timed out")


def test_an_http_pulse_is_not_well_when_nothing_listens():
    assert not is_well(backend(unused_port(), "http"))


def test_a_port_that_is_none_is_not_well():
    assert not is_well(backend(1, "http", {"port": 70000}))


def test_a_pulse_that_fails_in_an_unforeseen_way_is_a_failure_and_is_repeated(monkeypatch):
    async def broken():
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(labwright.components.gorb.pulse, "check_of", lambda _: broken)
    reports = asyncio.run(watched_until(2, lambda _: asyncio.sleep(0)))
    assert [report.status for report in reports] == [Status.DOWN, Status.DOWN]


def test_the_first_pulse_comes_after_a_part_of_the_interval_then_every_interval():
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 4:
            await asyncio.Event().wait()

    reports = asyncio.run(watched_until(3, sleep))
    assert slept[:3] == [15.0, 60, 60]
    assert [report.health for report in reports] == [1.0, 1.0, 1.0]
