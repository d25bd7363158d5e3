"""How exactly the client keeps to its rate, and how much it can send, beside wrk.

    .venv/bin/python benchmarks/client.py             # needs nginx and wrk, from Debian
    .venv/bin/python benchmarks/client.py 300 3000    # these rates
    .venv/bin/python benchmarks/client.py ceiling     # the most of both, in turns

nginx answers on loopback, so the server is not what is measured; client and server share
the computer's processors. wrk has no rate to keep: it sends as fast as answers come, on
so many connections, and shows what can be had at all. The ceiling is what is answered when
more is asked for than can be. Other programs on the computer lower it, so it is also told
per second of processor time that the client itself took, the server's not counted.
Everything is bounded: a few seconds for each figure.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

RATES = (100, 500, 1000, 2000, 3000, 4000, 6000)
SECONDS = 5
TURNS = 3
MORE_THAN_CAN_BE = 60000
"""Requests a second that are asked for to find the ceiling."""
PORT = 24480
KINDS = (
    ("new", (), ("-H", "Connection: close")),
    ("keep-alive", ("--keep-alive",), ()),
)
"""What it is called, what tells our client so, and what tells wrk."""
CONFIGURATION = """
daemon off; pid %(folder)s/pid; error_log /dev/null; worker_processes 1;
events { worker_connections 8192; }
http {
    access_log off; keepalive_requests 1000000;
    client_body_temp_path %(folder)s/a; proxy_temp_path %(folder)s/b;
    fastcgi_temp_path %(folder)s/c; uwsgi_temp_path %(folder)s/d; scgi_temp_path %(folder)s/e;
    server { listen 127.0.0.1:%(port)d backlog=4096; location / { return 200 "done\\n"; } }
}
"""


@contextmanager
def server():
    nginx = shutil.which("nginx") or sys.exit("nginx is missing: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        file.write_text(CONFIGURATION % {"folder": folder, "port": PORT})
        with subprocess.Popen([nginx, "-c", file, "-p", folder], stderr=subprocess.DEVNULL) as one:
            try:
                wait_for_answer()
                yield
            finally:
                one.terminate()


def wait_for_answer() -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/").read()
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    sys.exit("nginx does not answer")


def command(rate: float, *more: str) -> list[str]:
    words = [sys.executable, "-m", "labwright", "client", f"127.0.0.1:{PORT}", "--json", "-"]
    words += ["--profile", f"constant:{rate}", "--start-after", "0", "--statistics-port", "0"]
    return [*words, *more]


def client(rate: float, *more: str) -> dict:
    words = command(rate, "--duration", str(SECONDS), "--drain", "2", *more)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.stdout else sys.exit(done.stderr)


def print_rates(rates: list[float]) -> None:
    print(f"{'':12}{'asked/s':>8}{'sent/s':>8}{'served/s':>9}{'errors':>7}", end="")
    print(f"{'p50 ms':>8}{'p99 ms':>8}{'latest ms':>10}")
    for kind, more, _ in KINDS:
        for rate in rates:
            told = client(rate, *more)
            within = [row for row in told["seconds"] if row["second"] <= SECONDS]
            sent = sum(row["sent"] for row in within) / SECONDS
            served = sum(row["served"] for row in within) / SECONDS
            errors = sum(told["errors"].values())
            latency = told["latency_ms"]
            print(f"{kind:12}{rate:8g}{sent:8.0f}{served:9.0f}{errors:7}", end="")
            print(f"{latency['p50']:8.2f}{latency['p99']:8.2f}{told['latest_ms']:10.1f}")


def wrk(headers: tuple[str, ...]) -> tuple[float, dict[str, str]]:
    """Return requests a second, and percentiles of the latency as wrk words them."""
    words = ["wrk", "-t1", "-c16", f"-d{SECONDS}s", "--latency", *headers]
    words += [f"http://127.0.0.1:{PORT}/doWork"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    (rate,) = re.findall(r"Requests/sec: +(\S+)", out)
    return float(rate), dict(re.findall(r"(50|99)% +(\S+)", out))


def print_wrk() -> None:
    for kind, _, headers in KINDS:
        rate, shown = wrk(headers)
        print(f"wrk {kind:12}{rate:8.0f}/s  p50 {shown['50']}  p99 {shown['99']}")


def processor_s() -> float:
    """Return the processor time of all that was run and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def our_most(starting_s: float, *more: str) -> tuple[float, float]:
    """Return requests a second, and a second of processor time, both without the start."""
    before = processor_s()
    with subprocess.Popen(
        command(MORE_THAN_CAN_BE, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as one:
        time.sleep(SECONDS + 2)
        one.send_signal(signal.SIGINT)  # ends it with its totals
        told = json.loads(one.communicate(timeout=30)[0])
    used = processor_s() - before - starting_s
    assert not told["errors"], told["errors"]
    # The last row is a part of a second; a second at whose end nobody looked is in the next.
    rows = told["seconds"][:-1]
    served = sum(row["served"] for row in rows[1:])
    return served / (rows[-1]["second"] - rows[0]["second"]), told["served"] / used


def wrk_most(headers: tuple[str, ...]) -> tuple[float, float]:
    """Return the same of wrk, whose start is nothing."""
    before = processor_s()
    rate, _ = wrk(headers)
    return rate, rate * SECONDS / (processor_s() - before)


def print_ceiling() -> None:
    """Ask for more than can be had, of our client and of wrk in turns."""
    before = processor_s()
    subprocess.run(command(1, "--duration", "0.01"), capture_output=True, check=True)
    starting_s = processor_s() - before
    print(f"{'':12}{'ours/s':>8}{'per cpu s':>11}{'wrk/s':>9}{'per cpu s':>11}  load average")
    for kind, more, headers in KINDS:
        for _ in range(TURNS):
            load = os.getloadavg()[0]
            ours, ours_each = our_most(starting_s, *more)
            theirs, theirs_each = wrk_most(headers)
            print(f"{kind:12}{ours:8.0f}{ours_each:11.0f}{theirs:9.0f}{theirs_each:11.0f}", end="")
            print(f"  {load:.1f}")


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    if sys.argv[1:] == ["ceiling"]:
        with server():
            print_ceiling()
        return
    rates = [float(one) for one in sys.argv[1:]] or list(RATES)
    with server():
        print_rates(rates)
        print_wrk()


if __name__ == "__main__":
    main()
