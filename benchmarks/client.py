"""How exactly the client keeps to its rate, and how much it can send, beside wrk.

    .venv/bin/python benchmarks/client.py             # needs nginx and wrk, from Debian
    .venv/bin/python benchmarks/client.py 300 3000    # these rates

nginx answers on loopback, so the server is not what is measured; client and server share
the computer's processors. wrk has no rate to keep: it sends as fast as answers come, on
so many connections, here a new one for each request, and shows what can be had at all.
Everything is bounded: a few seconds for each line.
"""

from __future__ import annotations

import json
import re
import shutil
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
PORT = 24480
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


def client(rate: float, *more: str) -> dict:
    command = [sys.executable, "-m", "labwright", "client", f"127.0.0.1:{PORT}", "--json", "-"]
    command += ["--profile", f"constant:{rate}", "--duration", str(SECONDS), "--drain", "2"]
    command += ["--start-after", "0", "--statistics-port", "0", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.stdout else sys.exit(done.stderr)


def print_rates(rates: list[float]) -> None:
    print(f"{'':12}{'asked/s':>8}{'sent/s':>8}{'served/s':>9}{'errors':>7}", end="")
    print(f"{'p50 ms':>8}{'p99 ms':>8}{'latest ms':>10}")
    for kind, more in (("new", ()), ("keep-alive", ("--keep-alive",))):
        for rate in rates:
            told = client(rate, *more)
            within = [row for row in told["seconds"] if row["second"] <= SECONDS]
            sent = sum(row["sent"] for row in within) / SECONDS
            served = sum(row["served"] for row in within) / SECONDS
            errors = sum(told["errors"].values())
            latency = told["latency_ms"]
            print(f"{kind:12}{rate:8g}{sent:8.0f}{served:9.0f}{errors:7}", end="")
            print(f"{latency['p50']:8.2f}{latency['p99']:8.2f}{told['latest_ms']:10.1f}")


def print_wrk() -> None:
    wrk = shutil.which("wrk")
    if not wrk:
        print("wrk is missing: apt-get install wrk")
        return
    for kind, headers in (("new", ["-H", "Connection: close"]), ("keep-alive", [])):
        command = [wrk, "-t1", "-c16", f"-d{SECONDS}s", "--latency", *headers]
        command += [f"http://127.0.0.1:{PORT}/doWork"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate = re.search(r"Requests/sec: +(\S+)", out)
        shown = dict(re.findall(r"(50|99)% +(\S+)", out))
        print(f"wrk {kind:12}{float(rate[1]):8.0f}/s  p50 {shown['50']}  p99 {shown['99']}")


def main() -> None:
    rates = [float(one) for one in sys.argv[1:]] or list(RATES)
    with server():
        print_rates(rates)
        print_wrk()


if __name__ == "__main__":
    main()
