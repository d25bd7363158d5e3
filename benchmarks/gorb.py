"""How fast the daemon answers, how fast it starts, and what it takes.

    .venv/bin/python benchmarks/gorb.py                 # a daemon over a table in memory
    sudo .venv/bin/python benchmarks/gorb.py kernel     # over the kernel's IPVS
    docker exec -i gorb python3 - running < benchmarks/gorb.py   # in the lab machine
    .venv/bin/python benchmarks/gorb.py memory 1 1000            # beside so many things

One client on one connection asks one thing after another, so the rate is the daemon's and
the client's together on one processor. Service addresses are of 192.0.2.0/24, which is for
documentation; what the benchmark registers it removes. `cpu ms` is the daemon's processor
time for one request, which other load on the computer disturbs least; `x` compares it with
the first size of the same run.

Of the standard library only what a minimal Python has: it also runs where the daemon runs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

SIZES = (1, 100, 5000)
REPEATS = 300
STARTS = 5
PORT = 4672
TRIAL_PORT = 14672
Measured = tuple[list[float], float | None]
SERVICE = b'{"host": "192.0.2.1", "port": 4444, "method": "rr"}'
ID = "labwright-benchmark"

NAIVE = "import asyncio, uvicorn, h11, prometheus_client"
"""What the daemon would import if it did not mind."""

IN_MEMORY = """
import asyncio, sys
import labwright.components.gorb.ipvs_kernel  # for its time: what is compared is the daemon's start
from labwright.components.gorb.addresses import listen
listener = listen(sys.argv[1])
from labwright.components.gorb.api import Api
from labwright.components.gorb.ipvs_memory import MemoryIpvs
from labwright.components.gorb.pulse import Pulses
from labwright.components.gorb.registry import Registry
from labwright.components.gorb.server import serve_until_signalled
registry = Registry(MemoryIpvs(), Pulses().watch)
asyncio.run(serve_until_signalled(Api(registry, "192.0.2.1"), listener))
"""


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head_of_answer, _, rest = answer.partition(b"\r\n\r\n")
        lines = head_of_answer.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(rest) < length:
            rest += self._more()
        return int(lines[0].split()[1]), rest

    def _more(self) -> bytes:
        received = self.socket.recv(1 << 16)
        if not received:
            sys.exit("the daemon closed the connection")
        return received

    def must(self, method: str, path: str, body: bytes = b"") -> bytes:
        status, answer = self.ask(method, path, body)
        if status != 200:
            sys.exit(f"{method} {path} answered {status}: {answer.decode()}")
        return answer


def service(number: int) -> bytes:
    return b'{"host": "192.0.2.2", "port": %d, "method": "rr"}' % (number + 1)


def backend(number: int) -> bytes:
    # Without pulses: what is measured is the answering.
    return (
        b'{"host": "198.51.%d.%d", "port": 4444, "pulse": {"type": "none", "interval": "10h"}}'
        % (100 + number // 250, number % 250 + 1)
    )


def latencies(client: Client, size: int, process: int, beside: str) -> dict[str, Measured]:
    """Return each operation's seconds, and the daemon's processor time for each.

    Beside what is asked for there are `size` backends of the same service, or services.
    """
    here = f"/service/{ID}"
    others = []
    taken = {}
    client.must("PUT", here, SERVICE)
    try:
        for number in range(size):
            if beside == "backends":
                client.must("PUT", f"{here}/{ID}-{number}", backend(number))
            else:
                others.append(f"{here}-{number}")
                client.must("PUT", others[-1], service(number))
        many = range(size, size + REPEATS)
        operations = {
            "PUT backend": [("PUT", f"{here}/{ID}-{n}", backend(n)) for n in many],
            "GET backend": [("GET", f"{here}/{ID}-{n}", b"") for n in many],
            "PATCH backend": [("PATCH", f"{here}/{ID}-{n}", b'{"weight": 7}') for n in many],
            "DELETE backend": [("DELETE", f"{here}/{ID}-{n}", b"") for n in many],
            "PUT service": [("PUT", f"{here}-{n}", service(n)) for n in many],
            "DELETE service": [("DELETE", f"{here}-{n}", b"") for n in many],
            "GET service *": [("GET", here, b"")] * REPEATS,
            "GET /service *": [("GET", "/service", b"")] * REPEATS,
        }
        if beside == "services":
            del operations["GET service *"], operations["PATCH backend"]
        for name, requests in operations.items():
            taken[name] = measured(client, requests, process)
    finally:
        removal = measured(client, [("DELETE", here, b"")], process)
        for path in others:
            client.must("DELETE", path)
    if beside == "backends":
        taken["DELETE service *"] = removal
    return taken


def measured(client: Client, requests: list[tuple[str, str, bytes]], process: int) -> Measured:
    seconds = []
    before = processor_s(process)
    for request in requests:
        start = time.perf_counter()
        client.must(*request)
        seconds.append(time.perf_counter() - start)
    after = processor_s(process)
    used = None if before is None or after is None else (after - before) / len(requests)
    return sorted(seconds), used


def processor_s(process: int) -> float | None:
    """Return the processor time that a process has used, in hundredths of a second."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:  # noqa: PTH123  minimal
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def print_latencies(port: int, process: int, sizes: list[int]) -> None:
    client = Client(port)
    for beside in ("backends", "services"):
        first: dict[str, float] = {}
        print(f"{'beside':18}{beside:>8} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} ", end="")
        print(f"{'cpu ms':>8} {'x':>6}")
        for size in sizes:
            for name, (seconds, used) in latencies(client, size, process, beside).items():
                middle = seconds[len(seconds) // 2]
                tail = seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]
                cost = middle if used is None else used
                rate = len(seconds) / sum(seconds)
                print(
                    f"{name:18}{size:8} {rate:11.0f} {middle * 1e3:8.2f} {tail * 1e3:8.2f} "
                    f"{'?' if used is None else f'{used * 1e3:.2f}':>8} "
                    f"{cost / (first.setdefault(name, cost) or cost or 1):6.2f}",
                    flush=True,
                )
        print("* lists or removes all of them\n")


def start(ipvs: str) -> subprocess.Popen[bytes]:
    where = f"127.0.0.1:{TRIAL_PORT}"
    command = [sys.executable, "-c", IN_MEMORY, where]
    if ipvs == "kernel":
        # Without -f: what others have in the table stays.
        command = [sys.executable, "-m", "labwright.components.gorb", "-i", "lo", "-l", where]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def wait_for_answer(daemon: subprocess.Popen[bytes]) -> None:
    while True:
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended with {daemon.returncode}: run it alone to see why")
        try:
            Client(TRIAL_PORT).must("GET", "/service")
        except ConnectionRefusedError:
            time.sleep(0.001)
        else:
            return


def seconds_of(*command: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True)
    return time.perf_counter() - begun


def seconds_to_answer(ipvs: str) -> float:
    begun = time.perf_counter()
    daemon = start(ipvs)
    try:
        wait_for_answer(daemon)
        return time.perf_counter() - begun
    finally:
        stop(daemon)


def print_starts(ipvs: str) -> None:
    """Print the best of a few, each run beside the others."""
    rows = [
        (seconds_of("-c", "pass"), seconds_of("-c", NAIVE), seconds_to_answer(ipvs))
        for _ in range(STARTS)
    ]
    bare, naive, answer = (min(column) for column in zip(*rows, strict=True))
    print(f"best of {STARTS}, in ms: an empty Python {bare * 1e3:.0f}; ", end="")
    print(f"importing all that is used {naive * 1e3:.0f}; ", end="")
    print(f"the daemon's first answer {answer * 1e3:.0f} ({answer / naive:.2f} x)")


def stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    daemon.wait()


def print_memory(process: int) -> None:
    with open(f"/proc/{process}/status", encoding="ascii") as status:  # noqa: PTH123  minimal
        resident = next(line for line in status if line.startswith("VmRSS"))
    print(f"resident memory: {int(resident.split()[1]) / 1024:.0f} MiB")


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "memory"
    sizes = [int(one) for one in sys.argv[2:]] or list(SIZES)
    if what == "running":
        print_memory(1)
        print_latencies(PORT, 1, sizes)  # the container's first process
        print_memory(1)
        return
    if what not in ("memory", "kernel"):
        sys.exit(__doc__)
    if what == "kernel" and os.geteuid() != 0:
        sys.exit("the kernel's IPVS is for root: use sudo")
    print_starts(what)
    daemon = start(what)
    try:
        wait_for_answer(daemon)
        print_memory(daemon.pid)
        print_latencies(TRIAL_PORT, daemon.pid, sizes)
        print_memory(daemon.pid)
    finally:
        stop(daemon)


if __name__ == "__main__":
    main()
