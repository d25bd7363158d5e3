"""How long grading takes, beside the traffic it cannot do without.

    .venv/bin/python benchmarks/lab.py [RUNS]

Brings up a deployed lab machine, grades it, and prints for each run the whole command, the
two steps that send traffic, and the rest; then a warm `labwright demo`. All on this
machine, one after another: compare the columns of a run, not runs of different machines.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GUEST = "benchmark"
TRAFFIC = ("requests-succeed", "client-overload")


def labwright(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labwright", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def timed(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    start = time.monotonic()
    done = labwright(*arguments)
    return time.monotonic() - start, done


def graded() -> tuple[float, float]:
    """Return the seconds of one `check`, and of the traffic in it."""
    whole, done = timed("check", "--target", f"vm:{GUEST}", "--json", "-")
    score = json.loads(done.stdout)
    assert score["points"] == score["max_points"], done.stdout
    traffic = 0.0
    for step in score["steps"]:
        if step["id"] in TRAFFIC:
            requests = next(e["data"]["requests"] for e in step["evidence"] if e["data"])
            traffic += max(request["end_s"] for request in requests)
    return whole, traffic


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    up, done = timed("vm", "up", GUEST, "--state", "deployed")
    assert done.returncode == 0, done.stderr
    print(f"up from a snapshot, as a command: {up:.1f} s")
    try:
        rows = [graded() for _ in range(runs)]
    finally:
        labwright("vm", "down", GUEST)
    print("check: whole  traffic  rest   (seconds)")
    for whole, traffic in rows:
        print(f"      {whole:6.1f} {traffic:8.1f} {whole - traffic:5.1f}")
    rest = statistics.median(whole - traffic for whole, traffic in rows)
    print(f"median of the rest: {rest:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        took, done = timed("demo", "--out", str(Path(folder) / "report"))
    print(f"warm demo: {took:.1f} s, exit status {done.returncode}")


if __name__ == "__main__":
    main()
