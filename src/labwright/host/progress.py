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


@contextmanager
def step(what: str, estimate_s: float) -> Iterator[None]:
    """Announce a piece of slow work with its estimate, and how long it took in the end."""
    global _depth
    indent = "  " * _depth
    say(f"{indent}{what} (about {estimate_s:.0f} s)")
    start = time.monotonic()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    say(f"{indent}{what}: {time.monotonic() - start:.1f} s")
