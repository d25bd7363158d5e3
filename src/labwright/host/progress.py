"""Reports slow work: its name, and about how long it takes."""

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
    """Print a line on standard error; standard output is only for results."""
    sys.stderr.write(f"labwright: {visible(text)}\n")
    sys.stderr.flush()


def expected(estimate_s: float, last_s: float | None = None) -> str:
    """Return how long something takes: the duration of the last time, or an estimate.

    The estimate is a range, since a computer can be busy, or fast because it has KVM.
    """
    if last_s is not None:
        return f"{rough(last_s)} the last time"
    return f"{rough(estimate_s / 2)} to {rough(4 * estimate_s)}"


def rough(seconds: float) -> str:
    """Return a duration in rounded words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@contextmanager
def step(what: str, estimate_s: float, last_s: float | None = None) -> Iterator[None]:
    """Report slow work at its start, with an estimate, and at its end, with the duration.

    :param last_s: the duration of the last time on this computer, in seconds.
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
