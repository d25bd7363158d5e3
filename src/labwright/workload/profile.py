"""How the client's load varies: windows of time, in each a request every so many milliseconds.

A window is ``(gap_ms, window_s)``. The document's client draws the gap afresh every five
seconds, uniform in 0..998 ms; its deterministic variant walks a fixed list. Everything here
is a pure function of its arguments, the seed among them.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WINDOW_S = 5.0
"""Seconds for which the document's client keeps a gap."""
GAPS = 999
"""The random gap is uniform in 0 .. GAPS - 1 milliseconds."""
LEAST_GAP_MS = 1.0
"""What a gap of 0 becomes, which the document's client takes as "as fast as it can"."""
LIST_MS = (800.0, 800.0, 100.0, 500.0, 100.0, 200.0, 50.0)
"""The gaps of the deterministic variant."""
OVERLOAD = (1.5, 2.2)
"""The load of :func:`overload`, as multiples of what the servers can answer."""
MOST_DRAWS = 10_000


def random_windows(seed: int, window_s: float = WINDOW_S) -> Iterator[tuple[float, float]]:
    """Yield windows without end: each gap drawn afresh, as the document's client does."""
    # Of all of Random's methods, only random() promises the same numbers for ever.
    source = random.Random(seed)  # noqa: S311  a load, not a secret
    while True:
        yield max(LEAST_GAP_MS, float(int(source.random() * GAPS))), window_s


def list_windows() -> Iterator[tuple[float, float]]:
    """Yield the windows of the document's deterministic variant."""
    for gap in LIST_MS:
        yield gap, WINDOW_S


def windows(seed: int, total_s: float, window_s: float = WINDOW_S) -> list[tuple[float, float]]:
    """Return the seed's first windows, as many as fill a time; the last is cut to fit.

    Shorter windows than the document's compress it: the same gaps, for less time each.
    """
    return list(cut(random_windows(seed, window_s), total_s))


def cut(profile: Iterable[tuple[float, float]], total_s: float) -> Iterator[tuple[float, float]]:
    """Yield a profile's windows until a time (seconds) is filled."""
    left = total_s
    for gap, window in profile:
        if left <= 1e-9:  # what rounding leaves over is no window
            return
        yield gap, min(window, left)
        left -= window


def intended(profile: Iterable[tuple[float, float]]) -> Iterator[float]:
    """Yield when each request is due, in seconds from the first, which is due at once.

    The next is due after the gap of the window in which the last was: so does a loop that
    sends and sleeps, while someone else changes for how long. A window does not begin
    anew, or short windows of long gaps would offer far more than their gaps say.
    """
    due_ms = end_ms = 0.0  # milliseconds: sums of whole ones are exact
    for gap, window in profile:
        end_ms += window * 1000
        while due_ms < end_ms:
            yield due_ms / 1000
            due_ms += gap


def offered(profile: Iterable[tuple[float, float]]) -> int:
    """Return how many requests a profile that ends consists of."""
    return sum(1 for _ in intended(profile))


def overload(
    seed: int, total_s: float, capacity_per_s: float, window_s: float = 1.0
) -> list[list[float]]:
    """Return windows that offer more than servers can answer, drawn as the client draws.

    This is conditional sampling: of the windows that the seed yields, one ``total_s`` after
    the other, the first that offer 1.5 to 2.2 times the capacity. A quarter of the client's
    windows exceed two servers, but a check that lasts a few seconds must not depend on luck;
    nor should it leave the servers a backlog of minutes.

    :param total_s: seconds of load.
    :param capacity_per_s: requests a second that all servers together can answer.
    :raises ValueError: no such load can be drawn: its gaps are 1 to 998 ms.
    """
    low, high = (factor * capacity_per_s * total_s for factor in OVERLOAD)
    source = random_windows(seed, window_s)
    for _ in range(MOST_DRAWS):
        drawn = list(cut(source, total_s))
        # One more than the most is enough to know that there are too many.
        if low <= sum(1 for _ in itertools.islice(intended(drawn), int(high) + 1)) <= high:
            return [list(window) for window in drawn]
    raise ValueError(
        f"a client with gaps of 1 to 998 ms cannot offer {low:g} to {high:g} requests in "
        f"{total_s:g} s: the servers' capacity of {capacity_per_s:g} a second is too small or large"
    )
