"""How long the lab machine takes to build and to bring up, and what it weighs.

    LABWRIGHT_ACCEL=tcg .venv/bin/python benchmarks/vm.py [--build] [RUNS]

Without ``--build`` the usual cache is used, and must have all states. With it everything
is built first, into a cache of its own that is removed; that also shows that a build
leaves the computer's own package lists as they were. On a busy computer the figures say
little: its load is printed first.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STATES = ("docker", "servers", "deployed")
LISTS = Path("/var/lib/apt/lists")
TIMEOUT_S = 1800


def labwright(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "labwright", "vm", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def timed(*arguments: str) -> float:
    start = time.monotonic()
    labwright(*arguments)
    return time.monotonic() - start


def host_lists() -> str:
    """Return a checksum of the computer's own package lists."""
    files = sorted(path for path in LISTS.glob("*") if path.is_file() and path.name != "lock")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def build() -> None:
    before = host_lists()
    print(f"build, nothing in the cache: {timed('build'):.1f} s")
    assert host_lists() == before, f"the build changed {LISTS} of this computer"
    print(f"build, all in the cache: {timed('build'):.1f} s")


def restore(state: str, runs: int) -> None:
    """Time ``up``, which returns after the first command on the machine has succeeded."""
    seconds = []
    for _ in range(runs):
        seconds.append(timed("up", "benchmark", "--state", state))
        try:
            row = next(line for line in labwright("ls").stdout.splitlines() if "benchmark" in line)
        finally:
            labwright("down", "benchmark")
    figures = " ".join(f"{value:.1f}" for value in seconds)
    print(f"up --state {state}: median {statistics.median(seconds):.1f} s ({figures})")
    print(f"  {row.strip()}")


def main() -> None:
    arguments = sys.argv[1:]
    cold = "--build" in arguments
    runs = int(next((word for word in arguments if word.isdigit()), "5"))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(prefix="labwright-benchmark-", dir="/var/tmp") as folder:
        if cold:
            os.environ["LABWRIGHT_CACHE"] = folder
            build()
            print(f"the cache takes {on_disk(Path(folder)) >> 20} MiB")
        for state in STATES:
            restore(state, runs)


def on_disk(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


if __name__ == "__main__":
    main()
