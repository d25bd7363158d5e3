"""An open-loop load: each request is sent at its intended time, whatever has come back.

One thread and one poll do it all, on the probe's connections, so that thousands may be in
flight and nobody waits for a scheduler.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from labwright.components.workload.probe import Answer, Exchange, Flight, Peer, ProbeFailed, message
from labwright.components.workload.profile import intended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LOOK_S = 0.1
"""How often it is counted what has come back."""
FOREVER = float("inf")


class Load:
    """Requests to one URL, and how many of them.

    Each is on a connection of its own, unless connections are kept: then one that is idle
    is used, and another opened where none is, so no request waits for an answer to another.
    The counts may be read from another thread at any time.

    :param answered: called with the seconds from the intended time of a request to its
        answer, for each that was served.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        keep_alive: bool = False,
        answered: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.requests = 0
        """Requests that became due, and were sent if this computer could."""
        self.responses = 0
        """Answers, whatever their status."""
        self.served = 0
        """Answers with status 200."""
        self.errors = 0
        """Requests that came to nothing, or to another status."""
        self.problems: Counter[str] = Counter()
        """Errors by what they are called."""
        self.last_error = ""
        self.request_rate = 0.0
        """Requests a second that are being offered: 1000 / gap."""
        self.latest_s = 0.0
        """By how much the latest request missed its intended time."""
        self._peer = peer
        self._message = message(peer, "GET", {}, "")
        self._idle: list[Any] | None = None
        if keep_alive:
            self._message = self._message.replace(b"Connection: close\r\n", b"")
            self._idle = []
        self._tell = answered
        self._flight = Flight()
        self._in_flight: dict[Exchange, None] = {}
        self._answered: deque[float] = deque()

    @property
    def in_flight(self) -> int:
        """How many requests have neither been answered nor failed."""
        return len(self._in_flight)

    def response_rate(self) -> int:
        """Return how many answers came within the last second."""
        since = time.monotonic() - 1
        return sum(ended > since for ended in tuple(self._answered))

    def run(
        self, profile: Iterable[tuple[float, float]], each_second: Callable[[int], object]
    ) -> None:
        """Send what the profile says until it ends.

        :param each_second: called once a second with the seconds since the beginning.
        """
        for_pace, for_requests = itertools.tee(profile)
        start = time.monotonic()
        pace = Pace(start, for_pace, each_second)
        try:
            for due in intended(for_requests):
                self._wait(start + due, pace)
                self._send(start + due)
            self._wait(FOREVER, pace)
        finally:  # also when it is interrupted
            self._count()
            self.request_rate = 0.0

    def drain(self, limit_s: float) -> None:
        """Wait for the answers that are still to come, but not longer than that."""
        until = time.monotonic() + limit_s
        while self._in_flight and time.monotonic() < until:
            self._turn(until)
            self._count()

    def _wait(self, until: float, pace: Pace) -> None:
        """Gather answers until then, or until the profile ends; at least those that are there."""
        while True:
            self._turn(min(until, pace.next_look))
            now = time.monotonic()
            if now >= pace.next_look:
                self._count()
                pace.look(now)
                self.request_rate = pace.rate
            if now >= until or pace.over:
                return

    def _turn(self, until: float) -> None:
        # A request for which this computer has nothing left has failed, and is counted so.
        with contextlib.suppress(ProbeFailed):
            self._flight.turn(until)

    def _send(self, due: float) -> None:
        if self._idle is None:
            exchange = Exchange(self._peer, self._message)
        else:
            exchange = KeptExchange(self._peer, self._message, self._idle)
        exchange.intended = due
        self.requests += 1
        self.latest_s = max(self.latest_s, time.monotonic() - due)
        try:
            # No time-out: the document's client has none, and what waits is what is to be seen.
            self._flight.launch(exchange, FOREVER)
        except ProbeFailed as problem:
            exchange.fail("exhausted", f"{problem}; {self.in_flight} are in flight: see ulimit -n")
        self._in_flight[exchange] = None

    def _count(self) -> None:
        """Count what is over."""
        for exchange in [each for each in self._in_flight if each.socket is None]:
            del self._in_flight[exchange]
            answer = exchange.answer
            if answer is not None and exchange.ended is not None:
                self.responses += 1
                self._answered.append(exchange.ended)
            if answer is not None and answer.status == 200:
                self.served += 1
                self._tell((exchange.ended or 0.0) - (exchange.intended or 0.0))
            else:
                self.errors += 1
                status = f"status {answer.status}" if answer else exchange.error
                self.problems[status] += 1
                self.last_error = f"{status}: {exchange.detail}" if exchange.detail else status
        while self._answered and self._answered[0] < time.monotonic() - 2:
            self._answered.popleft()


class KeptExchange(Exchange):
    """An exchange on a connection that is kept for others, where the server lets it."""

    def __init__(self, peer: Peer, sent: bytes, idle: list[Any]) -> None:
        super().__init__(peer, sent)
        self._whole = sent
        self._idle = idle
        self._reused = False

    def open(self) -> None:
        """Take an idle connection, or open one."""
        if not self._idle:
            super().open()
            return
        self.socket = self._idle.pop()
        self.started = self.connected = time.monotonic()
        self.local = self.socket.getsockname()[:2]
        self._reused = True

    def fail(self, error: str, detail: str) -> None:
        """End with an error; but a server may close an idle connection just then."""
        super().fail(error, detail)
        if self._reused and not self._raw and error in ("protocol", "reset"):
            self._reused = self._cut_off = False
            self._message, self.connected, self.error, self.detail = self._whole, None, "", ""
            super().open()

    def close(self) -> None:
        """Keep the connection if the whole answer came and the server says no other."""
        if self.socket is not None and self.answer is not None and _is_kept(self.answer):
            self._idle.append(self.socket)
            self.socket = None
        super().close()


def _is_kept(answer: Answer) -> bool:
    framed = {"content-length", "transfer-encoding"} & answer.headers.keys()
    kept = answer.headers.get("connection", "").lower() != "close"
    return bool(framed) and kept and not answer.detail


class Pace:
    """How far a profile has got, and when it is time to look up."""

    def __init__(
        self,
        start: float,
        profile: Iterable[tuple[float, float]],
        each_second: Callable[[int], object],
    ) -> None:
        self.rate = 0.0
        self.over = False
        self.next_look = start
        self._start = start
        self._profile: Iterator[tuple[float, float]] = iter(profile)
        self._window_end = start
        self._each_second = each_second
        self._seconds = 0

    def look(self, now: float) -> None:
        """Take note of the time: of the window that it is in, and of a second that is full."""
        while now >= self._window_end and not self.over:
            gap, window = next(self._profile, (FOREVER, 0.0))
            self.rate = 1000 / gap
            self.over = gap == FOREVER
            self._window_end += window
        if now - self._start >= self._seconds + 1:
            self._seconds = int(now - self._start)
            self._each_second(self._seconds)
        self.next_look = now + LOOK_S
        # Not a whole look late: what is counted in a second is also shown in it.
        for moment in (self._window_end, self._start + self._seconds + 1):
            if now < moment:
                self.next_look = min(self.next_look, moment)
