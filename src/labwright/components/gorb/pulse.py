"""Pulses: how a backend is asked whether it is well, and when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
import socket
import time
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.health import HealthRecord
from labwright.components.gorb.problems import Invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from labwright.components.gorb.health import Health
    from labwright.components.gorb.options import BackendOptions
    from labwright.components.gorb.registry import Backend

log = logging.getLogger("gorb")

TIMEOUT_S = 5.0
REDIRECTS = (301, 302, 303, 307, 308)
METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Pulses:
    """Watches backends on the running event loop."""

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self._sleep = sleep
        self._fraction = fraction

    def watch(self, backend: Backend, report: Callable[[Health], None]) -> Callable[[], object]:
        """Begin to watch a backend, and return what ends it."""
        log.debug("starting pulse for [%s/%s]", backend.service.id, backend.id)
        task = asyncio.get_running_loop().create_task(self._watch(backend.options, report))

        def stop() -> None:
            log.debug("stopping pulse for [%s/%s]", backend.service.id, backend.id)
            task.cancel()

        return stop

    async def _watch(self, options: BackendOptions, report: Callable[[Health], None]) -> None:
        check = check_of(options)
        record = HealthRecord(time.monotonic())
        interval = options.pulse.interval_s
        # Backends that were registered together are not all asked at the same time.
        await self._sleep(interval * self._fraction())
        while True:
            report(record.add(await _is_well(check), time.monotonic()))
            await self._sleep(interval)


async def _is_well(check: Callable[[], Awaitable[bool]]) -> bool:
    """Check; what nobody foresaw is a failed pulse, and does not end the watch."""
    try:
        return await check()
    except Exception:
        log.exception("a pulse failed in an unforeseen way")
        return False


def check_of(options: BackendOptions) -> Callable[[], Awaitable[bool]]:
    """Return the check that a backend's pulse asks for.

    :raises Invalid: an http pulse asks for a method that is none.
    """
    if options.pulse.type == "none":
        return _always_up
    if options.pulse.type == "tcp":
        return lambda: _tcp(options.address, options.port)
    return _http_check(options)


async def _always_up() -> bool:
    return True


async def _tcp(address: str, port: int) -> bool:
    """Return whether a connection can be opened in time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
        except OSError as problem:  # a time-out is one, too
            log.error("unable to connect to %s:%d: %s", address, port, _reason(problem))
            return False
    return True


def _reason(problem: Exception) -> str:
    """Say why without asyncio's additions: "Connection refused", "timed out"."""
    if isinstance(problem, TimeoutError) and not problem.errno:
        return "timed out"
    number = problem.errno if isinstance(problem, OSError) else None
    return os.strerror(number) if number else str(problem)


def _http_check(options: BackendOptions) -> Callable[[], Awaitable[bool]]:
    args = options.pulse.args or {}
    host = _text(args, "host", options.address)
    port = _integer(args, "port", options.port)
    method = _text(args, "method", "GET") or "GET"
    expect = _integer(args, "expect", 200)
    if not METHOD.fullmatch(method):
        raise Invalid(f'net/http: invalid method "{method}"')
    target = _target(_text(args, "path", "/"))

    async def check() -> bool:
        where = f"http://{host}:{port}{target}"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await _http_status(host, port, method, target)
        except (OSError, OverflowError, ValueError) as problem:  # 70000 is no port
            log.error("error while communicating with %s: %s", where, _reason(problem))
            return False
        if status in REDIRECTS:
            log.error("redirects are not supported for pulse requests: %s", where)
            return False
        if status != expect:
            log.error("received non-%d status code from %s: %d", expect, where, status)
        return status == expect

    return check


def _text(args: Mapping[str, Any], key: str, default: str) -> str:
    value = args.get(key, default)
    return value if isinstance(value, str) else default


def _integer(args: Mapping[str, Any], key: str, default: int) -> int:
    """Return an argument given as a number or as digits."""
    value = args.get(key, default)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else default
    return int(value) if isinstance(value, int | float) else default


def _target(path: str) -> str:
    from urllib.parse import quote

    return quote(path if path.startswith("/") else f"/{path}", safe="/:@!$&'()*+,;=~")


async def _http_status(host: str, port: int, method: str, target: str) -> int:
    """Make one request and return its status.

    :raises OSError: there was no answer.
    :raises ValueError: the answer was not HTTP.
    """
    import h11

    reader, writer = await asyncio.open_connection(host, port)
    try:
        client = h11.Connection(h11.CLIENT)
        name = f"[{host}]" if ":" in host else host
        headers = [("Host", f"{name}:{port}"), ("Connection", "close")]
        head = client.send(h11.Request(method=method, target=target, headers=headers))
        writer.write((head or b"") + (client.send(h11.EndOfMessage()) or b""))
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(1 << 14))
            elif isinstance(event, h11.Response):
                return event.status_code
            elif not isinstance(event, h11.InformationalResponse):
                raise ConnectionResetError("the connection was closed without an answer")
    except h11.ProtocolError as problem:
        raise ValueError(str(problem)) from problem
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
