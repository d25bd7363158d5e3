"""What a class costs the grader, and how that grows: machines that answer as recorded ones.

    .venv/bin/python benchmarks/batch.py              # 10 and 50 students
    .venv/bin/python benchmarks/batch.py paced 50 500 -n 32

Machines answer at once, unless they are ``paced``: then requests take the time that they
take on a real machine, and what is measured is how many students at once pay.

The machines are SSH servers in one process of this computer. What they cost is not counted
as the grader's, but they take their share of its processors, so a class on real machines
takes less time than what stands here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVERS = ROOT / "tests" / "system" / "recorded_machines.py"


def main(arguments: list[str]) -> None:
    """Grade classes of these sizes."""
    options = arguments[arguments.index("-n") :] if "-n" in arguments else []
    sizes = arguments[: len(arguments) - len(options)]
    state = "paced" if "paced" in sizes else "right"
    sizes = [size for size in sizes if size != "paced"] or ["10", "50"]
    print("students  graded  seconds  CPU s/student  most memory MiB  leader MiB")
    for size in map(int, sizes):
        with tempfile.TemporaryDirectory() as name:
            measure(size, state, options, Path(name))


def measure(size: int, state: str, options: list[str], folder: Path) -> None:
    """Grade one class, and print its line."""
    with subprocess.Popen(
        [sys.executable, str(SERVERS), *[state] * size],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as servers:
        assert servers.stdout
        ports = json.loads(servers.stdout.readline())
        rows = [f"s{place},x@127.0.0.1:{port}" for place, port in enumerate(ports)]
        (folder / "class.csv").write_text("\n".join(["id,target", *rows]) + "\n")
        command = ["-m", "labwright", "grade", "class.csv", "--out", "out", *options]
        before, start = os.times(), time.monotonic()
        grader = subprocess.Popen([sys.executable, *command], cwd=folder, stderr=subprocess.DEVNULL)
        peaks = {"all": 0, "leader": 0}
        threading.Thread(target=watch, args=(grader.pid, peaks), daemon=True).start()
        grader.wait()
        seconds, after = time.monotonic() - start, os.times()
        assert servers.stdin
        servers.stdin.close()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    lines = map(json.loads, (folder / "out" / "journal.jsonl").read_text().splitlines())
    graded = sum(line["graded"] for line in lines if line["line"] == "attempt")
    print(
        f"{size:8}  {graded:6}  {seconds:7.1f}  {cpu / size:13.2f}  {peaks['all'] >> 20:15}"
        f"  {peaks['leader'] >> 20:10}"
    )


def shares(pid: int) -> int:
    """Return the bytes that a process holds, of what it shares with others its share."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(ln.split()[1]) << 10 for ln in text.splitlines() if ln[:4] == "Pss:"), 0)


def watch(leader: int, peaks: dict[str, int]) -> None:
    """Note the most memory that the grader and all its processes hold at once."""
    while Path(f"/proc/{leader}").exists():
        parents = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                parents[int(place.name)] = int(fields[1])
            except (OSError, IndexError):
                continue
        ours = {leader}
        for _ in range(6):
            ours |= {pid for pid, parent in parents.items() if parent in ours}
        peaks["leader"] = max(peaks["leader"], shares(leader))
        peaks["all"] = max(peaks["all"], sum(shares(pid) for pid in ours))
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1:])
