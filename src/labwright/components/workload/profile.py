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
RAMP_WINDOW_S = 0.25
MOST_RATE = 100_000.0
"""Requests a second; far more than one client can send."""


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


def constant_windows(rate: float) -> Iterator[tuple[float, float]]:
    """Yield windows without end, of one rate (requests a second)."""
    while True:
        yield 1000 / rate, WINDOW_S


def step_windows(rates: Iterable[float], each_s: float) -> Iterator[tuple[float, float]]:
    """Yield a window for each rate."""
    for rate in rates:
        yield 1000 / rate, each_s


def ramp_windows(first: float, last: float, total_s: float) -> Iterator[tuple[float, float]]:
    """Yield short windows whose rates lead from one to another along a line."""
    count = max(1, round(total_s / RAMP_WINDOW_S))
    for number in range(count):
        rate = first + (last - first) * (number + 0.5) / count
        yield 1000 / rate, total_s / count


def file_windows(text: str) -> list[tuple[float, float]]:
    """Return the windows of a file: ``RATE SECONDS`` a line; blank lines and # do not count.

    :raises ValueError: a line is something else; the message begins with its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            rate, seconds = map(float, words)
        except ValueError:
            raise ValueError(f"{number}: not RATE SECONDS, as in `20 5`: {line.strip()}") from None
        if not (0 < rate <= MOST_RATE and 0 < seconds < float("inf")):
            raise ValueError(f"{number}: a rate is more than 0 and at most {MOST_RATE:g} a second")
        found.append((1000 / rate, seconds))
    if not found:
        raise ValueError("1: there is no line with RATE SECONDS, as in `20 5`")
    return found


def named_windows(name: str, seed: int) -> Iterable[tuple[float, float]]:
    """Return the profile of a name, as it is written on a command line.

    :raises ValueError: there is no such profile; the message says what there is.
    """
    kind, _, rest = name.partition(":")
    try:
        if kind == "random" and not rest:
            return random_windows(seed)
        if kind == "list" and not rest:
            return list_windows()
        if kind == "constant":
            return constant_windows(_rate(rest))
        if kind == "step":
            rates, _, each = rest.partition(":")
            return step_windows([_rate(one) for one in rates.split(",")], _seconds(each))
        if kind == "ramp":
            ends, _, total = rest.partition(":")
            first, last = map(_rate, ends.split(","))
            return ramp_windows(first, last, _seconds(total))
    except ValueError:
        pass
    raise ValueError(
        f"{name} is no profile: choose random, list, constant:RATE, step:RATE,RATE,...:SECONDS, "
        f"ramp:FROM,TO:SECONDS or file:PATH; rates are requests a second, at most {MOST_RATE:g}"
    )


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= MOST_RATE:
        raise ValueError(text)
    return rate


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


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
