"""Pulses: what a daemon finds out about its backends. These cases take a few seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from labwright.components.conform.cases import Group
from labwright.components.conform.gorb import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.components.conform.gorb import Gorb

pulses = Group("pulses")

LIMIT_S = 8.0
"""How long a pulse of one second may take to show."""
CLOSED = 1
"""A port on which nothing listens."""


def _watched(gorb: Gorb, pulse: dict[str, Any], port: int | None = None) -> str:
    service = gorb.with_service()
    given = {"interval": "1s"} | pulse
    return gorb.with_backend(service, host="127.0.0.1", port=port or gorb.own_port, pulse=given)


def _until(gorb: Gorb, path: str, expected: str, holds: Callable[[Any], bool]) -> None:
    """Wait until a backend is shown as it should be."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        reply = gorb.get(path)
        shown = reply.json()
        if holds(shown):
            return
        if time.monotonic() > deadline:
            seen = f"{shown['metrics']} and weight {shown['options']['weight']}"
            raise Difference(f"{reply.asked} after {LIMIT_S:g} s", expected, seen)
        time.sleep(0.1)


def _is_up(shown: Any) -> bool:
    metrics = shown["metrics"]
    return bool(metrics["status"] == 0 and metrics["health"] == 1 and metrics["uptime"] >= 1)


def _is_down(shown: Any) -> bool:
    metrics = shown["metrics"]
    return bool(metrics == {"status": 1, "health": 0, "uptime": 0})


@pulses.case
def a_tcp_pulse_finds_what_listens_and_counts_the_seconds(gorb: Gorb) -> None:
    path = _watched(gorb, {"type": "tcp"})
    _until(gorb, path, "status 0, health 1 and an uptime", _is_up)


@pulses.case
def a_failed_pulse_takes_the_weight_to_0(gorb: Gorb) -> None:
    path = _watched(gorb, {"type": "tcp"}, CLOSED)
    expected = "status 1, health 0 and weight 0"
    _until(gorb, path, expected, lambda s: _is_down(s) and s["options"]["weight"] == 0)


@pulses.case
def an_http_pulse_asks_for_a_path_and_expects_200(gorb: Gorb) -> None:
    path = _watched(gorb, {"type": "http", "args": {"path": "/service"}})
    _until(gorb, path, "status 0, health 1 and an uptime", _is_up)


@pulses.case
def an_http_pulse_that_is_answered_otherwise_has_failed(gorb: Gorb) -> None:
    path = _watched(gorb, {"type": "http", "args": {"path": "/"}})
    _until(gorb, path, "status 1 and health 0", _is_down)


@pulses.beyond("panics: its JSON has no whole numbers")
def an_http_pulse_takes_numbers_in_its_arguments(gorb: Gorb) -> None:
    args = {"path": "/", "port": gorb.own_port, "expect": 404}
    path = _watched(gorb, {"type": "http", "args": args}, CLOSED)
    _until(gorb, path, "status 0, health 1 and an uptime", _is_up)


@pulses.case
def no_pulse_is_always_up(gorb: Gorb) -> None:
    path = _watched(gorb, {"type": "none"}, CLOSED)
    _until(gorb, path, "status 0, health 1 and an uptime", _is_up)
