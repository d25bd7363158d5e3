"""What runs on the target: one file, sent to a ``python3 -I`` there, nothing installed.

A task is a JSON object on a line. One line of JSON is printed for it::

    {"probe": "labwright/probe/v1", "result": ...}

and, for a task that is not one of these, ``{"probe": ..., "error": "..."}``, exit status 2.
All times are seconds; a task is bounded in time and in memory and writes no file.

``{"task": "http", "requests": [{"url", "method", "headers", "body"}], "timeout": 5}``
    Requests in order, each on its own connection and within ``timeout``. The result is
    a list of ``{"status", "headers", "body", "error", "detail", "took_s"}``; either
    ``status`` is set or ``error`` is one of refused, timeout, unreachable, reset, protocol.

``{"task": "visit", "requests": [...], "files": [...], "interfaces": [...], "timeout": 5}``
    What one visit can see: the requests, as above but all at the same time, then files and
    the IPv4 addresses of interfaces, the first one first. The result is ``{"started_at":
    epoch, "replies": [...], "files": {path: text or null}, "addresses": {interface: [...]}}``.

``{"task": "look", "requests": [...], "files": [...], "interfaces": [...], "engine": [...],
"commands": [...], "timeout": 2}``
    A visit that somebody who watches makes again and again, and in which nothing that cannot
    be had fails: beside it what the Docker Engine's socket answers to GETs of these paths, and
    what shell commands print, within ``timeout`` each. The result is a visit's, with
    ``"engine": {path: [status, body]}``, ``"commands": {command: [exit status, output]}``
    (null: no answer in time) and ``"took_s"``.

``{"task": "traffic", "url": ..., "count": 12, "pipeline": true, "timeout": 20}``
    Fresh connections, strictly one after another: their order is the order in which the
    kernel scheduled them. With ``pipeline`` the next one is opened when this one is
    connected, else when it is answered; after ``gap_s``. ``timeout`` is for one request,
    ``connect_s`` (4) for its connection, ``limit_s`` (else ``timeout``) for all of them;
    what that leaves unsent is a timeout with no port. ``round`` means nothing here: it tells
    one round of the same requests from another in a record.

``{"task": "load", "url": ..., "gaps_ms": [[100, 5.0], ...], "drain_s": 20}``
    Open loop: each request is sent at its intended time, whatever has come back: every
    ``gap`` milliseconds for so many seconds, then the next pair. Ends when all have been
    answered, ``drain_s`` after the last was due, or when none of those that are left has
    ended for ``quiet_s`` (as long as ``drain_s``). The kernel's table forgets a connection two
    minutes after its end, so a longer load cannot be attributed.

    What is watched meanwhile, each only if it is asked for: ``sample_s``, how often the
    kernel's table of services is read (kept when it changed); ``statistics_port``, where the
    four numbers of the lab's client are served, one a line, as the client serves them;
    ``commands``, ``[{"after_s", "run"}]``, shell commands at times of their own. The result
    then holds ``"watch": {"samples": [[seconds, text]], "cut": bool, "unseen": [[from, to]],
    "asked": {path: count}, "commands": [{"after_s", "took_s", "status", "output"}]}``; ``cut``
    tells that there was more than is kept, ``unseen`` when a busy machine let half a second pass
    without a sample.

    The result of both is ``{"started_at": epoch, "requests": [{"n", "local_address",
    "local_port", "start_s", "connected_s", "end_s", "status", "bytes", "body", "error",
    "detail"[, "intended_s"]}], "before": {path: text}, "after": {...}}``, counted from
    the first connection; before and after hold the kernel's IPVS tables (null: absent).

``{"task": "run", "commands": ["id", ...], "timeout": 10}``
    Shell commands, one after another. The result is a list of ``{"status", "stdout",
    "stderr", "truncated", "took_s"}``; ``status`` is null for one that did not end within
    ``timeout``. What a command leaves running is ended with it.

``{"task": "clock"}``
    ``{"epoch", "monotonic", "boot_id", "machine"}``; the latter a hash of its id.

Python 3.8 and Debian's python3-minimal suffice, which has neither json nor http. Both,
and socket's own import, cost more than all the rest on an emulated processor.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # typeshed lacks it
import _socket as socket  # the public modules spend their time on enumerations
import errno
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PROBE = "labwright/probe/v1"
BODY_LIMIT = 4096
"""Bytes of a body that are read; the rest is left unread."""
HEAD_LIMIT = 16384
"""Bytes of a status line and headers."""
RAW_LIMIT = 1 << 16
"""Bytes of an answer with all that frames it."""
FILE_LIMIT = 1 << 20
"""Characters kept of one file."""
LOOK_LIMIT = 1 << 17
"""Bytes kept of one thing that a look sees."""
ENGINE = "/var/run/docker.sock"
BODIES_LIMIT = 1 << 18
"""Bytes kept of all bodies of a traffic or load task, in equal shares."""
OUTPUT_LIMIT = 1 << 17
"""Bytes kept of each of a command's two outputs, if it is alone; else they share sixteen
times as much."""
MOST_COMMANDS = 256
ENDING_S = 0.2
"""Seconds of silence after a command's end in which its output may still come."""
MOST_REQUESTS = 5000
MOST_HTTP_REQUESTS = 64
LONGEST_S = 600.0
MOST_ADDRESSES = 1000
"""Of all interfaces: more are not looked at."""
SAMPLES_LIMIT = 1 << 19
"""Characters kept of all samples of a watched load."""
LATE_S = 0.5
"""Seconds without a sample that are told."""
MOST_UNSEEN = 200
MOST_HAPPENINGS = 16
"""Commands at times of a watched load."""
COMMAND_S = 60.0
"""Seconds that a command of a watched load may take."""

CONNECTIONS = "/proc/net/ip_vs_conn"
COUNTERS = "/proc/net/ip_vs_stats_percpu"
SERVICES = "/proc/net/ip_vs"
WITNESSES = (
    SERVICES,
    CONNECTIONS,
    COUNTERS,
    "/proc/sys/net/ipv4/vs/conn_reuse_mode",
    "/proc/sys/net/ipv4/vs/expire_nodest_conn",
    "/proc/sys/net/ipv4/vs/conntrack",
)

ERRORS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
}
"""What an errno of a connection is called; any other is ``unreachable``."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRINUSE)
"""What this machine ran out of: says nothing about the server, so it is no result."""


class ProbeFailed(Exception):  # noqa: N818  a result, not a mistake in this program
    """There is no result: the task is none of ours, or this machine ran out of something."""


class NotHttp(Exception):  # noqa: N818
    """What came back is not HTTP."""


class Answer:
    """A server's answer, read out of the bytes that have come so far."""

    def __init__(self, raw: bytes, ended: bool, method: str) -> None:
        """Read it; ``complete`` tells whether it is all there, or all that is kept.

        :param ended: whether the server has closed the connection.
        :raises NotHttp: it is no answer, and cannot become one.
        """
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.detail = ""
        if not (raw.startswith(b"HTTP/") or b"HTTP/".startswith(raw)):
            raise NotHttp(f"not HTTP: {raw[:60]!r}")
        while self.status < 200:  # 1xx: an interim answer; the real one follows
            line_end = b"\r\n" if raw.partition(b"\n")[0].endswith(b"\r") else b"\n"
            head, blank, raw = raw.partition(2 * line_end)
            if len(head) > HEAD_LIMIT:
                raise NotHttp(f"headers of more than {HEAD_LIMIT} bytes")
            if not blank:
                self.complete = False
                if ended:
                    raise NotHttp(f"closed in mid-answer: {head[:60]!r}" if head else "no answer")
                return
            self._read_head(head.decode("utf-8", "backslashreplace").split("\n"))
        bodiless = method == "HEAD" or self.status in (204, 304)
        self.complete = bodiless or self._read_body(raw, ended)
        if len(self.body) > BODY_LIMIT:
            self.complete, self.body = True, self.body[:BODY_LIMIT]
            self.detail = f"only the first {BODY_LIMIT} bytes of the body were read"
        if ended and not self.complete:
            raise NotHttp(f"the body ended early, after {len(self.body)} bytes")

    def _read_head(self, lines: list[str]) -> None:
        status = [*lines[0].split(None, 2), "", ""][1]
        if len(status) != 3 or not status.isdigit() or not status.isascii() or status < "100":
            raise NotHttp(f"not a status line: {lines[0][:60]!r}")
        self.status = int(status)
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def _read_body(self, raw: bytes, ended: bool) -> bool:
        if self.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            return self._read_chunks(raw)
        length = self.headers.get("content-length")
        if length is None:
            self.body = raw
            return ended
        if not (length.isdigit() and length.isascii()) or len(length) > 18:
            raise NotHttp(f"Content-Length is {length[:60]!r}")
        self.body = raw[: int(length)]
        return len(self.body) == int(length)

    def _read_chunks(self, raw: bytes) -> bool:
        while len(self.body) <= BODY_LIMIT:
            line, end, rest = raw.partition(b"\n")
            try:
                size = int(line.split(b";")[0], 16) if end or len(line) > 100 else -1
            except ValueError:
                raise NotHttp(f"the size of a chunk is {line[:60]!r}") from None
            if not end or size <= 0:
                return size == 0
            self.body += rest[:size]
            if len(rest) < size + 2:
                return False
            raw = rest[size:].lstrip(b"\r\n")
        return True


class Exchange:
    """One request and its answer, on a connection of its own, without ever blocking."""

    def __init__(self, peer: Peer, message: bytes, method: str = "GET") -> None:
        self.peer = peer
        self.method = method
        self.answer: Answer | None = None
        self.error = ""
        self.detail = ""
        self.local: tuple[str, int] = ("", 0)
        self.intended: float | None = None
        self.started: float | None = None
        self.connected: float | None = None
        self.ended: float | None = None
        self.deadline = 0.0
        self.socket: socket.socket | None = None
        self._message = message
        self._raw = b""
        self._cut_off = False
        self._addresses = list(peer.addresses)

    def open(self) -> None:
        """Begin to connect to the first address that lets us."""
        if self.started is None:
            self.started = time.monotonic()
        while self._addresses:
            family, address = self._addresses.pop(0)
            try:
                self.socket = sock = self.peer.fresh_socket(family)
                code = sock.connect_ex(address)
            except OSError as problem:
                code = problem.errno or errno.EIO
            if code in (0, errno.EINPROGRESS):
                # Now: the kernel has scheduled it even if it is never connected.
                self.local = sock.getsockname()[:2]
                return
            self._fail(code)
        if not self.error:
            self.fail("unreachable", self.peer.unresolved)

    def ready(self, hung_up: bool = False) -> None:
        """Go on: the socket can be written to, or read from."""
        assert self.socket is not None  # noqa: S101  whoever polls it knows
        try:
            if self.connected is None:
                self._finish_connect(self.socket)
            elif self._message and not hung_up:
                self._send(self.socket)
            else:
                self._receive(self.socket)
        except (BlockingIOError, InterruptedError):
            pass
        except NotHttp as problem:
            self.fail("reset" if self._cut_off else "protocol", str(problem))
        except OSError as problem:
            self._fail(problem.errno or errno.EIO)

    @property
    def waits_to_write(self) -> bool:
        """Whether it waits for the socket to take bytes, not to give some."""
        return self.connected is None or bool(self._message)

    def fail(self, error: str, detail: str) -> None:
        """End with an error; whatever came of an answer does not count."""
        self.error, self.detail, self.answer = error, detail, None
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        # Forgotten first: Ctrl-C may come in between, and a closed socket cannot be polled.
        sock, self.socket = self.socket, None
        if sock is not None:
            sock.close()

    def _finish_connect(self, sock: socket.socket) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            self.connected = time.monotonic()
            self.error = self.detail = ""
            return
        self._fail(code)
        if self._addresses:
            self.open()

    def _send(self, sock: socket.socket) -> None:
        try:
            self._message = self._message[sock.send(self._message) :]
        except (BrokenPipeError, ConnectionResetError):
            self._message = b""  # it may have answered before it hung up
            self._cut_off = True

    def _receive(self, sock: socket.socket) -> None:
        data = sock.recv(8192)
        self._raw += data
        answer = Answer(self._raw, not data, self.method)
        if answer.complete:
            self.ended = time.monotonic()
            self.answer, self.detail = answer, answer.detail
            self.close()
        elif len(self._raw) > RAW_LIMIT:
            raise NotHttp(f"more than {RAW_LIMIT} bytes, and still no answer")

    def _fail(self, code: int) -> None:
        ours = code == errno.EADDRNOTAVAIL and not self._addresses and not self.peer.ipv6
        if code in EXHAUSTED or ours:
            self.fail(
                "exhausted", f"this machine cannot open one more connection: {os.strerror(code)}"
            )
            raise ProbeFailed(self.detail)
        self.fail(ERRORS.get(code, "unreachable"), os.strerror(code))


class Peer:
    """Where a URL points to."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("#")[0].partition("://")
        self.authority, slash, path = rest.partition("/")
        self.path = slash + path or "/"
        host, port = self.authority, "80"
        if ":" in host.rpartition("]")[2]:
            host, _, port = host.rpartition(":")
        usable = url.isascii() and url.isprintable() and not set(url) & set(" @")
        if (
            scheme != "http"
            or not usable
            or not host
            or not port.isdigit()
            or not int(port[:6]) < 65536
        ):
            raise ProbeFailed(f"not an http:// address that can be asked: {url[:200]}")
        self.port = int(port)
        self.unresolved = ""
        self.addresses = self._resolve(host.strip("[]"))
        self.ipv6 = any(family == socket.AF_INET6 for family, _ in self.addresses)
        self.taken: set[int] | None = None
        """Local ports that must not be used (again); None: the kernel may choose any."""

    def _resolve(self, host: str) -> list[tuple[int, Any]]:
        try:
            # Bytes: text would be taken through the idna codec, which is slow to load.
            found = socket.getaddrinfo(host.encode(), self.port, 0, socket.SOCK_STREAM)
        except OSError as problem:
            self.unresolved = f"cannot resolve {host}: {problem.strerror}"
            return []
        return [(family, address) for family, _, _, _, address in found]

    def fresh_socket(self, family: int) -> socket.socket:
        """Return a socket, on a port that is not taken: an entry left in the kernel's
        connection table would decide, instead of the scheduler, where it goes."""
        for _ in range(100):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            if self.taken is None:
                return sock
            sock.bind(("", 0))
            port = sock.getsockname()[1]
            if port not in self.taken:
                self.taken.add(port)
                return sock
            sock.close()
        raise ProbeFailed("this machine has no local port left that is free")


class Flight:
    """The exchanges that are under way, in the order of their deadlines."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._flying: dict[Exchange, None] = {}
        self._by_number: dict[int, Exchange] = {}

    def launch(self, exchange: Exchange, deadline: float) -> None:
        """Begin an exchange that must be over by then, which is no sooner than the others."""
        exchange.deadline = deadline
        exchange.open()
        self._watch(exchange)
        if exchange.socket is not None:
            self._flying[exchange] = None

    def turn(self, until: float = float("inf")) -> None:
        """Let what is ready go on; wait for it, but not longer than until then."""
        first = next(iter(self._flying), None)
        until = min(until, first.deadline if first else until)
        # Rounded up: a poll that ends just before its time would be repeated in a frenzy.
        wait_s = min(until - time.monotonic(), LONGEST_S)
        wait_ms = max(0, int(wait_s * 1000 + 0.999))
        for number, event in self._poll.poll(wait_ms):
            exchange = self._by_number.pop(number)
            self._poll.unregister(number)
            try:
                exchange.ready(hung_up=bool(event & (select.POLLHUP | select.POLLERR)))
            finally:  # whoever outlives an exhausted machine can go on
                self._watch(exchange)
                if exchange.socket is None:
                    del self._flying[exchange]
        self._expire(time.monotonic())

    def finish(self, quiet_s: float = float("inf")) -> None:
        """Go on until all are over, or until none has ended for so long."""
        left, since = len(self._flying), time.monotonic()
        while self._flying:
            self.turn(since + quiet_s)
            if len(self._flying) < left:
                left, since = len(self._flying), time.monotonic()
            elif time.monotonic() >= since + quiet_s:
                for exchange in list(self._flying):
                    self.give_up(exchange)

    def give_up(self, exchange: Exchange) -> None:
        """End an exchange that takes too long."""
        assert exchange.socket is not None  # noqa: S101  what flies has a socket
        number = exchange.socket.fileno()
        del self._flying[exchange], self._by_number[number]
        self._poll.unregister(number)
        awaited = "answer" if exchange.connected else "connection"
        exchange.fail("timeout", f"no {awaited} came in time")

    def _watch(self, exchange: Exchange) -> None:
        if exchange.socket is not None:
            number = exchange.socket.fileno()
            self._by_number[number] = exchange
            event = select.POLLOUT if exchange.waits_to_write else select.POLLIN
            self._poll.register(number, event)

    def _expire(self, now: float) -> None:
        while self._flying:
            first = next(iter(self._flying))
            if first.deadline > now:
                break
            self.give_up(first)


def http(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Make requests in order, each on its own connection."""
    timeout = number(task, "timeout", 5.0, 0.01, LONGEST_S)
    flight = Flight()
    answers = []
    for exchange in wanted(items(task, "requests", MOST_HTTP_REQUESTS)):
        flight.launch(exchange, time.monotonic() + timeout)
        flight.finish()
        answers.append(reply(exchange))
    return answers


def visit(task: dict[str, Any]) -> dict[str, Any]:
    """See what one visit can see: answers to requests made together, files, addresses."""
    timeout = number(task, "timeout", 5.0, 0.01, LONGEST_S)
    exchanges = wanted((task.get("requests") and items(task, "requests", MOST_HTTP_REQUESTS)) or [])
    files = [str(path) for path in task.get("files") or []]
    interfaces = [str(name) for name in task.get("interfaces") or []]
    started_at, deadline = time.time(), time.monotonic() + timeout
    flight = Flight()
    for exchange in exchanges:
        flight.launch(exchange, deadline)
    flight.finish()
    return {
        "started_at": started_at,
        "replies": [reply(exchange) for exchange in exchanges],
        "files": {path: read_or_say(path) for path in files},
        "addresses": {name: addresses(name) for name in interfaces},
    }


def look(task: dict[str, Any]) -> dict[str, Any]:
    """See again what is watched; see :func:`visit`."""
    timeout = number(task, "timeout", 2.0, 0.01, LONGEST_S)
    start = time.monotonic()
    asked = {key: task.get(key) or [] for key in ("requests", "interfaces", "timeout")}
    found = visit({**asked, "timeout": timeout})
    files = {str(path): read(str(path), LOOK_LIMIT) for path in task.get("files") or []}
    engine = {str(path): engine_says(str(path), timeout) for path in task.get("engine") or []}
    commands = {str(c): printed(str(c), timeout) for c in task.get("commands") or []}
    took = round(time.monotonic() - start, 6)
    return {**found, "files": files, "engine": engine, "commands": commands, "took_s": took}


def engine_says(path: str, timeout: float) -> list[Any] | None:
    """Return the status and body of the Docker Engine's answer, or None if it gives none."""
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise ProbeFailed(f"not a path that can be asked for: {path[:200]!r}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw = b""
    try:
        sock.settimeout(timeout)
        sock.connect(ENGINE)
        # HTTP/1.0: the answer ends with the connection, and comes in one piece.
        sock.send(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        while len(raw) <= LOOK_LIMIT:
            data = sock.recv(1 << 16)
            if not data:
                break
            raw += data
    except OSError:  # no such socket, not allowed, no answer in time
        return None
    finally:
        sock.close()
    head, _, body = raw[:LOOK_LIMIT].partition(b"\r\n\r\n")
    status = head.split()[1:2]
    return [text(status[0]) if status else "", text(body)]


def printed(command: str, timeout: float) -> list[Any] | None:
    """Return a shell command's exit status and output, or None if it does not end in time."""
    reader, writer = os.pipe()
    null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)
    actions = [null, (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    pid = os.posix_spawn(
        "/bin/sh", ["sh", "-c", command], os.environ, file_actions=actions, setpgroup=0
    )
    os.close(writer)
    deadline, output, whole = time.monotonic() + timeout, b"", False
    try:
        while len(output) < LOOK_LIMIT:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                break
            data = os.read(reader, 1 << 16)
            output += data
            if not data:
                whole = True
                break
    finally:
        os.close(reader)
        status = ended(pid, deadline) if whole else None
        if status is None:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return None if status is None else [status >> 8, text(output[:LOOK_LIMIT])]


def ended(pid: int, deadline: float) -> int | None:
    """Return how a process ended, or None if it has not by then."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done or time.monotonic() >= deadline:
            return status if done else None
        time.sleep(0.005)


def wanted(requests: list[Any]) -> list[Exchange]:
    """Return the exchanges that a task's requests ask for."""
    exchanges = []
    for request in requests:
        only_keys(request, {"url", "method", "headers", "body"})
        peer = Peer(str(request.get("url")))
        method = str(request.get("method", "GET"))
        sent = message(peer, method, request.get("headers") or {}, request.get("body") or "")
        exchanges.append(Exchange(peer, sent, method))
    return exchanges


def reply(exchange: Exchange) -> dict[str, Any]:
    """Return what became of an exchange."""
    took = None
    if exchange.ended is not None and exchange.started is not None:
        took = round(exchange.ended - exchange.started, 6)
    return {
        "status": exchange.answer.status if exchange.answer else None,
        "headers": exchange.answer.headers if exchange.answer else {},
        "body": text(exchange.answer.body) if exchange.answer else "",
        "error": exchange.error,
        "detail": exchange.detail,
        "took_s": took,
    }


def addresses(interface: str) -> list[str]:
    """Return an interface's IPv4 addresses, in the kernel's order: the first is the main one."""
    import array
    import fcntl

    word = array.array("L").itemsize
    size = 24 + 2 * word  # of a struct ifreq; netdevice(7)
    entries = array.array("B", bytes(MOST_ADDRESSES * size))
    # struct ifconf: the length of what follows as an int, and a pointer to it.
    asked = bytearray(len(entries).to_bytes(4, sys.byteorder).ljust(word, b"\0"))
    asked += entries.buffer_info()[0].to_bytes(word, sys.byteorder)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(sock.fileno(), 0x8912, asked, True)  # SIOCGIFCONF
    except OSError:
        return []
    finally:
        sock.close()
    found = []
    for at in range(0, int.from_bytes(asked[:4], sys.byteorder), size):
        label = entries[at : at + 16].tobytes().split(b"\0")[0].decode("utf-8", "replace")
        if label.split(":")[0] == interface:  # an address can have a label, as in enp0s3:1
            found.append(".".join(map(str, entries[at + 20 : at + 24])))
    return found


def traffic(task: dict[str, Any]) -> dict[str, Any]:
    """Open fresh connections strictly one after another."""
    count = int(number(task, "count", 0, 1, MOST_REQUESTS))
    timeout = number(task, "timeout", 20.0, 0.01, LONGEST_S)
    connect = number(task, "connect_s", 4.0, 0.01, LONGEST_S)
    limit = number(task, "limit_s", timeout, 0.01, LONGEST_S)
    gap = number(task, "gap_s", 0.0, 0, 60)
    pipeline = bool(task.get("pipeline", True))
    campaign = Campaign(task, count)
    flight = Flight()
    start = campaign.begin()
    for exchange in campaign.exchanges:
        now = time.monotonic()
        if now >= start + limit:
            exchange.started = now
            exchange.fail("timeout", f"not sent: the {limit:g} s for all requests were over")
            continue
        flight.launch(exchange, min(now + timeout, start + limit))
        while exchange.socket and not exchange.connected:
            flight.turn(now + connect)
            if exchange.socket and not exchange.connected and time.monotonic() >= now + connect:
                flight.give_up(exchange)
        while exchange.socket and not pipeline:
            flight.turn()
        pause = time.monotonic() + gap
        while gap and time.monotonic() < pause:
            flight.turn(pause)
    flight.finish()
    return campaign.result()


def load(task: dict[str, Any]) -> dict[str, Any]:
    """Send each request at its intended time, whatever has come back."""
    drain = number(task, "drain_s", 20.0, 0, LONGEST_S)
    quiet = number(task, "quiet_s", drain, 0, LONGEST_S)
    due = list(intended(items(task, "gaps_ms", MOST_REQUESTS)))
    campaign = Campaign(task, len(due))
    watch = Watch(task, campaign, due)
    flight = Flight()
    start = campaign.begin()
    watch.begin(start)
    try:
        for exchange, after in zip(campaign.exchanges, due):  # noqa: B905  Python 3.8
            exchange.intended = start + after
            while time.monotonic() < exchange.intended:
                flight.turn(exchange.intended)
            flight.launch(exchange, start + due[-1] + drain)
        flight.finish(quiet)
        # What was to be seen after the last request is seen, too.
        watch.wait(start + number(task, "watch_s", 0.0, 0, LONGEST_S))
    finally:
        seen = watch.end()
    return {**campaign.result(), **({"watch": seen} if watch.wanted else {})}


class Watch:
    """What is seen, served and done while a load runs, in threads beside it."""

    def __init__(self, task: dict[str, Any], campaign: Campaign, due: list[float]) -> None:
        self._sample_s = number(task, "sample_s", 0.0, 0, 60)
        port = int(number(task, "statistics_port", 0, 0, 65535))
        commands = task.get("commands") or []
        if not isinstance(commands, list) or len(commands) > MOST_HAPPENINGS:
            raise ProbeFailed(f"commands: a list of at most {MOST_HAPPENINGS} is wanted")
        self._commands = sorted(
            (number(one, "after_s", 0.0, 0, LONGEST_S), str(one.get("run"))) for one in commands
        )
        self.wanted = bool(self._sample_s or port or commands)
        self._exchanges = campaign.exchanges
        self._due = due
        self._over = False
        self._threads: list[Any] = []
        self._samples: list[list[Any]] = []
        self._cut = False
        self._unseen: list[list[float]] = []
        self._asked: dict[str, int] = {}
        self._done: dict[int, dict[str, Any]] = {}
        self._start = 0.0
        self._listener = self._listen(port) if port else None

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104  as the client does
            listener.listen(16)
        except OSError as problem:
            raise ProbeFailed(f"port {port} cannot be served: {problem.strerror}") from None
        return listener

    def begin(self, start: float) -> None:
        """Begin to watch; times count from ``start``."""
        import threading  # only this task needs it

        self._start = start
        work: list[tuple[Any, Any]] = [(self._sample, ())] if self._sample_s else []
        work += [(self._serve, ())] if self._listener else []
        # Each in a thread of its own: one that takes long does not delay the next.
        work += [(self._command, (n, *one)) for n, one in enumerate(self._commands)]
        for target, arguments in work:
            thread = threading.Thread(target=target, args=arguments, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self, until: float) -> None:
        """Go on watching until then, and until all commands have ended."""
        latest = until + COMMAND_S
        while self.wanted and time.monotonic() < latest:
            if time.monotonic() >= until and len(self._done) == len(self._commands):
                break
            time.sleep(0.05)

    def end(self) -> dict[str, Any]:
        """Stop, and return what was seen."""
        self._over = True
        for thread in self._threads:
            thread.join(COMMAND_S + 5)
        if self._listener:
            self._listener.close()
        return {
            "samples": self._samples,
            "cut": self._cut,
            "unseen": self._unseen,
            "asked": self._asked,
            "commands": [self._done[n] for n in sorted(self._done)],
        }

    def _now(self) -> float:
        return round(time.monotonic() - self._start, 3)

    def _pause(self, until: float) -> None:
        while not self._over and time.monotonic() < until:
            time.sleep(min(0.1, max(0.0, until - time.monotonic())))

    def _sample(self) -> None:
        last, kept, number_of, before = None, 0, 0, self._start
        while not self._over:
            table = read(SERVICES, FILE_LIMIT) or ""
            now = time.monotonic()
            if now - before > LATE_S and len(self._unseen) < MOST_UNSEEN:
                self._unseen.append([round(t - self._start, 3) for t in (before, now)])
            before = now
            if table != last:
                kept += len(table)
                self._cut = self._cut or kept > SAMPLES_LIMIT
                if not self._cut:
                    self._samples.append([self._now(), table])
                last = table
            number_of = max(number_of + 1, int((now - self._start) / self._sample_s))
            self._pause(self._start + number_of * self._sample_s)

    def _command(self, number_of: int, after: float, run: str) -> None:
        import subprocess

        self._pause(self._start + after)
        if self._over:
            return
        began = self._now()
        try:
            done = subprocess.run(
                ["sh", "-c", run],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_S,
                check=False,
            )
            status, output = done.returncode, text(done.stdout[:BODY_LIMIT])
        except subprocess.TimeoutExpired:
            status, output = -1, f"it did not end in {COMMAND_S:g} s"
        took = round(self._now() - began, 3)
        row = {"after_s": began, "took_s": took, "status": status, "output": output}
        self._done[number_of] = row

    def _serve(self) -> None:
        listener = self._listener
        assert listener is not None  # noqa: S101  else there is no such thread
        listener.settimeout(0.2)
        while not self._over:
            try:
                # The module _socket gives a number, not a socket.
                handle, _ = listener._accept()  # type: ignore[attr-defined]
                peer = socket.socket(fileno=handle)
            except OSError:
                continue
            try:
                peer.settimeout(1.0)
                path = peer.recv(4096).split(b" ")[1:2]
                peer.sendall(self._answer(text(path[0]) if path else ""))
            except OSError:
                pass
            finally:
                peer.close()

    def _answer(self, path: str) -> bytes:
        name = path.partition("?")[0]
        value = self._statistics().get(name)
        if value is None:
            head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            return head.encode()
        self._asked[name] = self._asked.get(name, 0) + 1
        body = f"{value}\n".encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body

    def _statistics(self) -> dict[str, str]:
        """Return the client's four numbers as they are now."""
        now = time.monotonic()
        since = now - self._start
        sent = [one for one in self._exchanges if one.started is not None]
        answered = [one.ended for one in sent if one.answer is not None and one.ended is not None]
        # The rate that is offered now: from the request that was due last to the next one.
        after = next((n for n, due in enumerate(self._due) if due > since), None)
        gap = self._due[after] - self._due[after - 1] if after else None
        return {
            "/requestRate": f"{1 / gap if gap else 0.0:.6f}",
            "/responseRate": f"{float(sum(now - 1 < moment for moment in answered)):.6f}",
            "/numRequests": str(len(sent)),
            "/numResponses": str(len(answered)),
        }


def intended(windows: list[Any]) -> Iterator[float]:
    """Yield when each request is due: the same as ``profile.intended``, which says why."""
    due_ms = end_ms = 0.0  # milliseconds: sums of whole ones are exact
    for window in windows:
        try:
            gap_ms, window_s = float(window[0]), float(window[1])
        except (TypeError, ValueError, IndexError, KeyError):
            raise ProbeFailed(f"gaps_ms: not a gap and a duration: {window!r}") from None
        end_ms += window_s * 1000
        if gap_ms < 0.5 or window_s <= 0 or end_ms > LONGEST_S * 1000:
            raise ProbeFailed(f"gaps_ms: a gap below 0.5 ms, or more than {LONGEST_S:g} s")
        while due_ms < end_ms:
            yield due_ms / 1000
            due_ms += gap_ms


def clock(_task: dict[str, Any]) -> dict[str, Any]:
    """Say what time it is here, and which machine and boot this is."""
    import hashlib  # slow to load, and only this task needs it

    machine = (read("/etc/machine-id") or "").strip()
    return {
        "epoch": time.time(),
        "monotonic": time.monotonic(),
        "boot_id": (read("/proc/sys/kernel/random/boot_id") or "").strip(),
        # machine-id(5): it is confidential, and must be hashed with something of one's own.
        "machine": hashlib.sha256(f"{PROBE} {machine}".encode()).hexdigest() if machine else "",
    }


class Campaign:
    """Requests to one service, and what the kernel held before and after."""

    def __init__(self, task: dict[str, Any], count: int) -> None:
        if not 1 <= count <= MOST_REQUESTS:
            raise ProbeFailed(f"{count} requests; from 1 to {MOST_REQUESTS} can be sent")
        room = os.sysconf("SC_OPEN_MAX") - 16
        if count > room:
            raise ProbeFailed(f"{count} requests, but only {room} files may be open (ulimit -n)")
        self.peer = Peer(str(task.get("url")))
        sent = message(self.peer, "GET", {}, "")
        self.exchanges = [Exchange(self.peer, sent) for _ in range(count)]
        self.before: dict[str, str | None] = {}
        self.started_at = self.start = 0.0

    def begin(self) -> float:
        """Look at the kernel's tables, and start the clock."""
        # The counters before the table, and after it at the end: what comes in between is
        # counted, not missed.
        counters = {COUNTERS: read(COUNTERS)}
        self.before = {**witnesses(self.peer.port, set()), **counters}
        table = (self.before[CONNECTIONS] or "").splitlines()[1:]
        self.peer.taken = {int(row.split()[2], 16) for row in table if len(row.split()) > 2}
        self.started_at, self.start = time.time(), time.monotonic()
        return self.start

    def result(self) -> dict[str, Any]:
        """Return what became of it, with the kernel's tables as they are now."""
        ports = {exchange.local[1] for exchange in self.exchanges}
        share = min(BODY_LIMIT, BODIES_LIMIT // len(self.exchanges))
        rows = [self._row(n, e, share) for n, e in enumerate(self.exchanges, 1)]
        after = witnesses(self.peer.port, ports)
        result = {"started_at": self.started_at, "requests": rows}
        return {**result, "before": self.before, "after": after}

    def _row(self, n: int, exchange: Exchange, share: int) -> dict[str, Any]:
        def since(moment: float | None) -> float | None:
            return None if moment is None else round(moment - self.start, 6)

        row = {
            "n": n,
            "local_address": exchange.local[0],
            "local_port": exchange.local[1],
            "start_s": since(exchange.started),
            "connected_s": since(exchange.connected),
            "end_s": since(exchange.ended),
            "status": exchange.answer.status if exchange.answer else None,
            "bytes": len(exchange.answer.body) if exchange.answer else 0,
            "body": text(exchange.answer.body[:share]) if exchange.answer else "",
            "error": exchange.error,
            "detail": exchange.detail,
        }
        if exchange.intended is not None:
            row["intended_s"] = since(exchange.intended)
        return row


def witnesses(port: int, ours: set[int]) -> dict[str, str | None]:
    """Read what the kernel holds; of too many connections, those to the port, ours first."""
    files = {path: read(path) for path in WITNESSES}
    table = files[CONNECTIONS]
    if table is not None and len(table) > FILE_LIMIT - 200:  # cut
        head, *rows = (read(CONNECTIONS, 32 * FILE_LIMIT) or "").splitlines(keepends=True)
        rows = [row for row in rows if row.split()[4:5] == [f"{port:04X}"]]
        rows.sort(key=lambda row: int(row.split()[2], 16) not in ours)
        files[CONNECTIONS] = "".join([head, *rows[: FILE_LIMIT // len(head)]])
    return files


def read(path: str, limit: int = FILE_LIMIT) -> str | None:
    """Return a file's text, or None if there is none that we may read."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            content = file.read(limit)
            # Half a line could be read as another line than it was.
            return content if len(content) < limit else content[: content.rfind("\n") + 1]
    except OSError:
        return None


def read_or_say(path: str) -> str | None:
    """Return a file's text, or None if there is no such file; what forbids it is no absence."""
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise ProbeFailed(f"{path}: {problem.strerror}") from None
    content = read(path)
    if content is None:
        raise ProbeFailed(f"{path} cannot be read")
    return content


def run(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Run shell commands one after another."""
    timeout = number(task, "timeout", 10.0, 0.01, LONGEST_S)
    commands = items(task, "commands", MOST_COMMANDS)
    limit = min(OUTPUT_LIMIT, max(1 << 14, 16 * OUTPUT_LIMIT // len(commands)))
    return [run_command(str(command), timeout, limit) for command in commands]


def run_command(command: str, timeout: float, limit: int) -> dict[str, Any]:
    """Run a shell command in a session of its own; read its outputs up to a limit."""
    started = time.monotonic()
    out, err = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(out[1], 1)
            os.dup2(err[1], 2)
            os.closerange(3, 256)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execv("/bin/sh", ["sh", "-c", command])  # noqa: S606  it is to be a shell
        finally:
            os._exit(127)
    os.close(out[1])
    os.close(err[1])
    kept = {out[0]: bytearray(), err[0]: bytearray()}
    cut, status, quiet = False, None, 0.0
    left = list(kept)
    while time.monotonic() < started + timeout:
        ready = select.select(left, [], [], 0.02 if status is None else 0.0)[0]
        for pipe in ready:
            data = os.read(pipe, 1 << 16)
            room = limit - len(kept[pipe])
            kept[pipe] += data[: max(0, room)]
            cut = cut or len(data) > room
            quiet = time.monotonic() + ENDING_S
            if not data:
                left.remove(pipe)
        if status is None:
            ended, raw = os.waitpid(child, os.WNOHANG)
            if ended:
                status = os.WEXITSTATUS(raw) if os.WIFEXITED(raw) else 128 + os.WTERMSIG(raw)
                quiet = time.monotonic() + ENDING_S
        elif not left or (not ready and time.monotonic() > quiet):
            break  # what it left running may hold the pipes
    try:
        os.killpg(child, 9)
    except OSError:  # nothing of it runs any more
        left.clear()
    if status is None:
        os.waitpid(child, 0)
    os.close(out[0])
    os.close(err[0])
    return {
        "status": status,
        "stdout": text(bytes(kept[out[0]])),
        "stderr": text(bytes(kept[err[0]])),
        "truncated": cut,
        "took_s": round(time.monotonic() - started, 6),
    }


def message(peer: Peer, method: str, headers: dict[str, str], body: str) -> bytes:
    """Return a request as it is sent."""
    if not isinstance(headers, dict) or not isinstance(body, str):
        raise ProbeFailed("headers or a body that cannot be sent")
    # Characters beyond the basic plane came as two halves; see task_of.
    content = body.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    lines = [f"{method} {peer.path} HTTP/1.1", f"Host: {peer.authority}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if content or method in ("PUT", "POST", "PATCH"):
        lines.append(f"Content-Length: {len(content)}")
    lines.append("Connection: close")
    if not all(line.isascii() and line.isprintable() for line in lines) or not method.isalpha():
        raise ProbeFailed("a method or header that cannot be sent")
    return "\r\n".join([*lines, "", ""]).encode() + content


def text(data: bytes) -> str:
    """Decode what the target sent; no byte of it can raise."""
    return data.decode("utf-8", "backslashreplace")


def number(task: dict[str, Any], key: str, default: float, low: float, high: float) -> float:
    """Return a number of the task that must lie within bounds."""
    value = task.get(key, default)
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ProbeFailed(f"{key} is {value!r}, not a number from {low:g} to {high:g}")
    return value


def items(task: dict[str, Any], key: str, most: int) -> list[Any]:
    """Return a list of the task."""
    value = task.get(key)
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise ProbeFailed(f"{key} is not a list of 1 to {most} items")
    return value


def only_keys(task: Any, known: set[str]) -> None:
    """Refuse what is misspelt, rather than do something else than what was meant."""
    unknown = sorted(set(task) - known) if isinstance(task, dict) else ["no object"]
    if unknown:
        raise ProbeFailed(f"not understood: {', '.join(map(str, unknown))}")


TASKS = {
    "http": (http, {"requests", "timeout"}),
    "visit": (visit, {"requests", "files", "interfaces", "timeout"}),
    "look": (look, {"requests", "files", "interfaces", "engine", "commands", "timeout"}),
    "traffic": (
        traffic,
        {"url", "count", "pipeline", "timeout", "connect_s", "limit_s", "gap_s", "round"},
    ),
    "run": (run, {"commands", "timeout"}),
    "load": (
        load,
        {
            *("url", "gaps_ms", "drain_s", "quiet_s"),
            *("watch_s", "sample_s", "statistics_port", "commands"),
        },
    ),
    "clock": (clock, set()),
}


def task_of(source: str) -> dict[str, Any]:
    """Read the task. JSON is also Python, but for three names and pairs of surrogates."""
    names = {"__builtins__": {}, "true": True, "false": False, "null": None}
    try:
        # Whoever sends the task also sends this program, so there is nothing to guard.
        task = eval(source, names)  # noqa: S307
    except Exception as problem:  # noqa: BLE001  anything may be in it
        raise ProbeFailed(f"the task is not JSON: {problem}") from None
    if not isinstance(task, dict) or str(task.get("task")) not in TASKS:
        raise ProbeFailed(f"the task is none of {', '.join(TASKS)}")
    only_keys(task, {"task"} | TASKS[task["task"]][1])
    return task


ESCAPES = {**{n: f"\\u{n:04x}" for n in range(32)}, 0x22: '\\"', 0x5C: "\\\\"}


def to_json(value: Any) -> str:
    """Write a value of plain types as JSON, on one line."""
    if isinstance(value, str):
        return f'"{value.translate(ESCAPES)}"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def main(arguments: list[str]) -> int:
    """Do one task and print its result."""
    # Whatever happens, this ends; a lost connection leaves nothing running for long.
    signal.alarm(int(2 * LONGEST_S))
    try:
        task = task_of(" ".join(arguments))
        answer = {"probe": PROBE, "result": TASKS[task["task"]][0](task)}
    except ProbeFailed as problem:
        answer = {"probe": PROBE, "error": str(problem)}
        sys.stderr.write(f"{problem}\n")
    line = to_json(answer) + "\n"
    sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
    signal.alarm(0)
    return 0 if "result" in answer else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
