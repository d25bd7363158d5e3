"""Says what slow work is being done, and about how long it takes."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labwright.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_depth = 0


def say(text: str) -> None:
    """Print a line for the person who waits; standard output is kept for results."""
    sys.stderr.write(f"labwright: {visible(text)}\n")
    sys.stderr.flush()


def expected(estimate_s: float, last_s: float | None = None) -> str:
    """Say how long something takes: as long as the last time, or about as long as elsewhere.

    A range, since a computer can be busy, or have a processor that guests run on directly.
    """
    if last_s is not None:
        return f"{_time(last_s)} the last time"
    return f"{_time(estimate_s / 2)} to {_time(4 * estimate_s)}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def step(what: str, estimate_s: float, last_s: float | None = None) -> Iterator[None]:
    """Announce a piece of slow work with how long it may take, and how long it took in the end.

    :param last_s: how long it took here before, if it did.
    """
    global _depth
    indent = "  " * _depth
    say(f"{indent}{what} ({expected(estimate_s, last_s)})")
    start = time.monotonic()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    say(f"{indent}{what}: {time.monotonic() - start:.1f} s")
