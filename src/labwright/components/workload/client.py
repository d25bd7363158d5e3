"""The lab's client: ``labwright client HOST[:PORT]``, or this module where that is all.

It sends ``GET /doWork`` at a rate that changes at random every five seconds, or as another
profile says, each request at its time, whatever has come back. On port 5555 it says how it
goes, one number a line, as the document's client does: ``/requestRate``,
``/responseRate``, ``/numRequests``, ``/numResponses``.

In the lab's image it has neither rich nor hdrhistogram: there it prints a line a second,
and tells no latencies.
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
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from labwright.components.workload import profile
from labwright.components.workload.latency import latencies
from labwright.components.workload.load import Load
from labwright.components.workload.probe import Peer, ProbeFailed
from labwright.components.workload.record import Record
from labwright.components.workload.server import BadRequest, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PORT = 4444
STATISTICS_PORT = 5555
PATH = "/doWork"
READ_TIMEOUT_S = 1.0
EPILOG = """\
profiles (rates in requests a second):
  random                   a gap of 0 to 998 ms, drawn afresh every 5 s, as in the document
  list                     the document's fixed list of gaps, 5 s each
  constant:RATE
  step:RATE,RATE,...:SECONDS   each rate for so long
  ramp:FROM,TO:SECONDS
  file:PATH                a line for each part: RATE SECONDS

example: client 10.0.2.15 --seed 7 --duration 60
"""
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


def windows(options: argparse.Namespace) -> Iterable[tuple[float, float]]:
    """Return the profile that the command line asks for.

    :raises ValueError: there is no such profile; the message is a sentence.
    """
    name = options.profile
    if name.startswith("file:"):
        path = Path(name.removeprefix("file:"))
        try:
            chosen: Iterable[tuple[float, float]] = profile.file_windows(path.read_text("utf-8"))
        except OSError as problem:
            raise ValueError(f"{path} cannot be read: {problem.strerror}") from None
        except ValueError as problem:  # text that is none is one, too
            raise ValueError(f"{path}:{problem}") from None
    else:
        chosen = profile.named_windows(name, options.seed)
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


def say(text: str, out: TextIO) -> None:
    """Print at once: who follows the output must not wait for a buffer to fill."""
    print(text, file=out, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the client can be told to a parser."""
    add = parser.add_argument
    add("host", metavar="HOST[:PORT]", help=f"the service; port {PORT} if none")
    add("--profile", default="random", metavar="P", help="how the rate varies (default: random)")
    add("--seed", type=int, help="of the random profile: the same seed gives the same load")
    add(
        "--duration",
        type=float,
        metavar="S",
        help="seconds from the first request on (default: until the profile or somebody ends it)",
    )
    add("--start-after", type=float, default=5.0, metavar="S", help="seconds before the first (5)")
    add("--drain", type=float, default=0.0, metavar="S", help="seconds to wait for last answers")
    add("--keep-alive", action="store_true", help="keep connections (default: one a request)")
    add("--statistics-port", type=int, default=STATISTICS_PORT, metavar="PORT", help="5555; 0: any")
    add("--plain", action="store_true", help="a line a second, also on a terminal")
    add("--csv", metavar="FILE", help="write each second there as it passes")
    add("--json", metavar="FILE", help="write all of it there at the end; - is the output")


def checked(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> tuple[argparse.Namespace, Iterable[tuple[float, float]]]:
    """Complete what the command line says, with its profile; ends the process if it is wrong."""
    if options.duration is not None and options.duration <= 0:
        parser.error("--duration must be more than 0 seconds")
    if options.start_after < 0 or options.drain < 0:
        parser.error("--start-after and --drain must not be less than 0 seconds")
    if not 0 <= options.statistics_port <= 65535:
        parser.error("a port is 0 to 65535")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "big")
    try:
        return options, windows(options)
    except ValueError as problem:
        parser.error(str(problem))


def title_of(options: argparse.Namespace) -> str:
    """Say what load it is."""
    seed = f", seed {options.seed}" if options.profile == "random" else ""
    kept = ", connections kept" if options.keep_alive else ""
    return f"profile {options.profile}{seed}{kept}"


def run(
    options: argparse.Namespace,
    shape: Iterable[tuple[float, float]],
    load: Load,
    record: Record,
    out: TextIO,
) -> None:
    """Send the load, until it ends or someone ends it; then say how it went."""
    shown = _view(options, load, record, out)
    with contextlib.suppress(KeyboardInterrupt):
        say(f"the client starts in {options.start_after:g} s: {title_of(options)}", out)
        time.sleep(options.start_after)
        with shown as each_second:
            load.run(shape, each_second)
            load.drain(options.drain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C does not spoil the end
    record.finish()
    say(summary(load), out)
    if told := record.latency_ms():
        figures = ", ".join(f"{name} {value:.1f}" for name, value in told.items())
        say(f"latency from the intended start, in ms: {figures}", out)


@contextlib.contextmanager
def _view(
    options: argparse.Namespace, load: Load, record: Record, out: TextIO
) -> Iterator[Callable[[int], object]]:
    """Show the load while it runs: on a terminal as a picture, else as a line a second."""
    console = None
    if out.isatty() and not options.plain:
        with contextlib.suppress(ImportError):
            from rich.console import Console

            console = Console(file=out)
    if console is None:

        def tell(second: int) -> None:
            record.look(second)
            say(line(load, second), out)

        yield tell
        return
    from labwright.components.workload.live import live

    with live(console, f"{options.host}: {title_of(options)}", load, record):
        yield record.look


def start(options: argparse.Namespace, shape: Iterable[tuple[float, float]]) -> int:
    """Run the client; return 0, 1 if every request failed, 2 if it cannot begin."""
    # As a container's first process it must end by itself; the end has a summary.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    allow_many_files()
    out = sys.stderr if options.json == "-" else sys.stdout
    counted = latencies()
    try:
        load = Load(
            peer_of(options.host),
            keep_alive=options.keep_alive,
            answered=counted.add if counted else lambda _: None,
        )
        with contextlib.ExitStack() as files:
            csv = files.enter_context(_writable(options.csv)) if options.csv else None
            listener = files.enter_context(listen(options.statistics_port))
            threading.Thread(target=serve_statistics, args=(listener, load), daemon=True).start()
            record = Record(load, counted, csv)
            run(options, shape, load, record, out)
            if options.json:
                _write_json(options, record)
    except ProbeFailed as problem:
        sys.stderr.write(f"client: {problem}\n")
        return 2
    except BrokenPipeError:  # nobody reads on; nor must Python's own last flush complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if load.requests and load.errors == load.requests else 0


def _writable(path: str) -> TextIO:
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as problem:
        raise ProbeFailed(f"{path} cannot be written: {problem.strerror}") from None


def _write_json(options: argparse.Namespace, record: Record) -> None:
    import json

    about = {
        "target": options.host,
        "profile": options.profile,
        "seed": options.seed if options.profile == "random" else None,
        "keep_alive": options.keep_alive,
    }
    text = json.dumps(record.as_json(about), indent=2) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
        return
    with _writable(options.json) as file:
        file.write(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the client by its own command line."""
    parser = argparse.ArgumentParser(
        prog="client",
        description="Send requests at a rate that varies, whatever has come back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return start(*checked(parser, parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
