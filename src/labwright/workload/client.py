"""The lab's client: ``python3 -m labwright.workload.client HOST[:PORT]``.

It sends ``GET /doWork`` at a rate that changes at random every five seconds, each request
on a new connection and at its time, whatever has come back. On port 5555 it says how it
goes, one number a line, as the document's client does: ``/requestRate``,
``/responseRate``, ``/numRequests``, ``/numResponses``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

from labwright.workload import profile
from labwright.workload.load import Load
from labwright.workload.probe import Peer, ProbeFailed
from labwright.workload.server import BadRequest, Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 4444
STATISTICS_PORT = 5555
PATH = "/doWork"
READ_TIMEOUT_S = 1.0
FILES = 65536
"""Open files that are asked for: each request in flight is one."""


def statistics(load: Load, path: str) -> str | None:
    """Return what one of the paths on port 5555 says, or None if it is no such path."""
    figures = {
        "/requestRate": lambda: f"{load.request_rate:.6f}",
        "/responseRate": lambda: str(load.response_rate()),
        "/numRequests": lambda: str(load.requests),
        "/numResponses": lambda: str(load.responses),
    }
    return figures[path]() + "\n" if path in figures else None


def serve_statistics(listener: socket.socket, load: Load) -> None:
    """Answer on port 5555, one connection at a time, until the listener is closed."""
    while listener.fileno() != -1:
        try:
            sock, _ = listener.accept()
        except OSError:  # closed; or no file left to open, which the next second may mend
            time.sleep(0.1)
            continue
        with sock, contextlib.suppress(OSError, BadRequest):
            connection = Connection(sock, READ_TIMEOUT_S)
            if request := connection.read_request():
                body = statistics(load, request.path)
                found = (200, body) if body is not None else (404, "404 page not found\n")
                connection.answer(*found, request._replace(keep_alive=False))


def line(load: Load, seconds: int) -> str:
    """Return what is printed each second."""
    text = (
        f"{seconds:5d} s  offered {load.request_rate:6.1f}/s  sent {load.requests:5d}"
        f"  served {load.served:5d}  in flight {load.in_flight:4d}  errors {load.errors:4d}"
    )
    return f"{text}  (last: {load.last_error})" if load.last_error else text


def summary(load: Load) -> str:
    """Return what is printed at the end."""
    text = (
        f"sent {load.requests}, served {load.served}, errors {load.errors}; "
        f"sent but not served: {load.requests - load.served}"
    )
    late_ms = load.latest_s * 1000
    return f"{text}\nno request was sent more than {late_ms:.0f} ms after its time"


def peer_of(host: str) -> Peer:
    """Return where HOST[:PORT] is.

    :raises ProbeFailed: it is nowhere.
    """
    if "/" in host:
        raise ProbeFailed(f"not HOST or HOST:PORT: {host}")
    if host.count(":") > 1 and "[" not in host:
        host = f"[{host}]"
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{PORT}"
    peer = Peer(f"http://{host}{PATH}")
    if not peer.addresses:
        raise ProbeFailed(peer.unresolved)
    return peer


def windows(options: argparse.Namespace) -> Iterator[tuple[float, float]]:
    """Return the profile that the command line asks for."""
    if options.profile == "list":
        chosen = profile.list_windows()
    else:
        chosen = profile.random_windows(options.seed)
    return chosen if options.duration is None else profile.cut(chosen, options.duration)


def listen(port: int) -> socket.socket:
    """Return a socket that listens for those who want the numbers.

    :raises ProbeFailed: it cannot be had.
    """
    try:
        return socket.create_server(("", port))
    except OSError as problem:
        raise ProbeFailed(
            f"port {port} cannot be had ({os.strerror(problem.errno or 0)}): "
            "stop what listens there, or choose another with --statistics-port"
        ) from None


def allow_many_files() -> None:
    """Raise the limit of open files as far as we may."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY:
            wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def say(text: str) -> None:
    """Print at once: who follows the output must not wait for a buffer to fill."""
    print(text, flush=True)  # noqa: T201


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="client",
        description="Send requests at a rate that varies, whatever has come back.",
        epilog="example: client 10.0.2.15 --seed 7 --duration 60",
    )
    parser.add_argument("host", metavar="HOST[:PORT]", help=f"the service; port {PORT} if none")
    parser.add_argument("--seed", type=int, help="the same seed gives the same load")
    parser.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help="seconds from the first request on; else for ever",
    )
    parser.add_argument(
        "--start-after", type=float, default=5.0, metavar="S", help="seconds before the first (5)"
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds to wait for answers at the end",
    )
    parser.add_argument(
        "--profile",
        choices=("random", "list"),
        default="random",
        help="a gap of 0 to 998 ms, drawn afresh every 5 s; or the fixed list, which ends",
    )
    parser.add_argument(
        "--statistics-port", type=int, default=STATISTICS_PORT, metavar="PORT", help="5555; 0: any"
    )
    options = parser.parse_args(arguments)
    if options.duration is not None and options.duration <= 0:
        parser.error("--duration must be more than 0 seconds")
    if options.start_after < 0 or options.drain < 0:
        parser.error("--start-after and --drain must not be less than 0 seconds")
    if not 0 <= options.statistics_port <= 65535:
        parser.error("a port is 0 to 65535")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "big")
    return options


def run(options: argparse.Namespace, load: Load) -> None:
    """Send the load, until it ends or someone ends it; then say how it went."""
    seed = f", seed {options.seed}" if options.profile == "random" else ""
    with contextlib.suppress(KeyboardInterrupt):
        say(f"the client starts in {options.start_after:g} s: profile {options.profile}{seed}")
        time.sleep(options.start_after)
        load.run(windows(options), lambda seconds: say(line(load, seconds)))
        load.drain(options.drain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not spoil the end
    say(summary(load))


def main(arguments: list[str] | None = None) -> int:
    """Run the client; return 0, 1 if every request failed, 2 if it cannot begin."""
    options = parse_arguments(arguments)
    # As a container's first process it must end by itself; the end has a summary.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    allow_many_files()
    try:
        load = Load(peer_of(options.host))
        with listen(options.statistics_port) as listener:
            threading.Thread(target=serve_statistics, args=(listener, load), daemon=True).start()
            run(options, load)
    except ProbeFailed as problem:
        sys.stderr.write(f"client: {problem}\n")
        return 2
    except BrokenPipeError:  # nobody reads on; nor must Python's own last flush complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if load.requests and load.errors == load.requests else 0


if __name__ == "__main__":
    sys.exit(main())
