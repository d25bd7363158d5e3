"""What watching costs, and how soon it tells.

    .venv/bin/python benchmarks/watch.py guest          # delays and idle cost, on a lab machine
    .venv/bin/python benchmarks/watch.py class 20 100   # the board's visits, recorded machines

Costs are of a whole tree of processes: ours, and ssh's.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from labwright.batch.student import Student
from labwright.batch.task import Task
from labwright.grading.run import plan
from labwright.grading.watch import QUIET_S, Examined, StepChanged
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live.board import Board
from labwright.live.following import watch
from labwright.vm.lab_states import ephemeral
from labwright.vm.target import guest_machine

ROOT = Path(__file__).parents[1]
SERVERS = ROOT / "tests" / "system" / "recorded_machines.py"
LAB = load_lab(find_lab("gorb"))
IDLE_S, ROUNDS, CLASS_S = 45.0, 8, 120.0
REGISTER = (
    "curl -s -X PUT -H 'Content-Type: application/json' -d "
    '\'{"host":"172.17.0.2","port":4444,"method":"nat","weight":100}\' '
    "http://localhost:4672/service/0/0"
)
START = "docker start server2 && until curl -s http://172.17.0.3:4444/heartbeat; do sleep 0.1; done"
"""It is right once the server answers."""
ACTIONS = (
    ("docker stop -t 0 server2", "server2-running", "failed"),
    (START, "server2-running", "passed"),
    ("curl -s -X DELETE http://localhost:4672/service/0/0", "server1-registered", "failed"),
    (REGISTER, "server1-registered", "passed"),
)


def cpu_s(root: int, but: frozenset[int] = frozenset()) -> float:
    """Processor seconds of a process and all its descendants that run."""
    parents, spent = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(place.name)] = int(words[1])
        spent[int(place.name)] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    total, left = 0.0, [root]
    while left:
        each = left.pop()
        if each in but:
            continue
        total += spent.get(each, 0.0)
        left += [child for child, parent in parents.items() if parent == each]
    return total


def guest() -> None:
    """Measure on a lab machine on which the lab has been done."""
    with ephemeral(LAB, "deployed") as one:
        told: queue.Queue = queue.Queue()
        observer = guest_machine(one)
        watched = watch(
            plan(LAB, f"vm:{one.name}"),
            lambda event: told.put((time.monotonic(), event)),
            traffic=False,
        )
        thread = threading.Thread(target=watched.follow, daemon=True)
        observer.run("true")
        print(f"load of this computer: {os.getloadavg()[0]:.1f}", flush=True)
        base = _busy(observer, one.pid, IDLE_S)
        thread.start()
        _until(told, lambda event: isinstance(event, Examined))
        time.sleep(QUIET_S + 5)
        own = cpu_s(os.getpid(), frozenset({one.pid}))
        busy = _busy(observer, one.pid, IDLE_S)
        own = (cpu_s(os.getpid(), frozenset({one.pid})) - own) / IDLE_S
        print(f"idle: the watch takes {own:.1%} of a core here")
        for what, now, before in zip(("says", "takes here"), busy, base, strict=True):
            print(f"idle: the machine {what} {now:.1%} of a core, without a watch {before:.1%}")
        delays = []
        for n in range(ROUNDS):
            for command, step, outcome in ACTIONS:
                time.sleep(0.37 * (n % 4))
                observer.run(command, timeout=60)
                done = time.monotonic()

                def wanted(event: object, step: str = step, outcome: str = outcome) -> bool:
                    return isinstance(event, StepChanged) and (
                        event.result.id,
                        event.result.outcome,
                    ) == (step, outcome)

                delays.append(_until(told, wanted) - done)
                print(f"{delays[-1]:5.2f} s  {command[:50]}", flush=True)
        delays.sort()
        print(
            f"{len(delays)} changes: median {statistics.median(delays):.2f} s, "
            f"95th percentile {delays[int(0.95 * len(delays))]:.2f} s, most {delays[-1]:.2f} s; "
            f"load of this computer: {os.getloadavg()[0]:.1f}"
        )
        watched.stop()
        thread.join(15)
        observer.close()


def _busy(machine, pid: int, seconds: float) -> tuple[float, float]:
    """Return the share of a core that a machine was busy: as it says, and as QEMU took here.

    An emulated machine also counts the time in which this computer does something else.
    """
    command = "awk '/^cpu /{print $2+$3+$4+$7+$8}' /proc/stat"
    before, here = int(machine.run(command).stdout), cpu_s(pid)
    time.sleep(seconds)
    here = cpu_s(pid) - here
    return (int(machine.run(command).stdout) - before) / 100 / seconds, here / seconds


def _until(told: queue.Queue, wanted) -> float:
    while True:
        when, event = told.get(timeout=120)
        if wanted(event):
            return when


def of_class(size: int) -> None:
    """Measure the visits of a class of recorded machines."""
    server = subprocess.Popen(
        [sys.executable, str(SERVERS), *["right", "stopped"] * (size // 2)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    ports = json.loads(server.stdout.readline())
    targets = {f"s{n}": f"ssh://ann@127.0.0.1:{port}" for n, port in enumerate(ports)}
    students = [Student(id=id, target=target) for id, target in targets.items()]
    tasks = [Task(id=id, target=target, lab="gorb") for id, target in targets.items()]
    board = Board(LAB, students, tasks)

    async def run() -> None:
        board.begin()
        start = time.monotonic()
        while not all(row.visits for row in board.rows.values()):
            await asyncio.sleep(0.2)
        first = time.monotonic() - start
        others = frozenset({server.pid})
        spent = cpu_s(os.getpid(), others)
        visits = sum(row.visits for row in board.rows.values())
        print(f"{size} students: all seen after {first:.0f} s, {spent / visits:.2f} CPU s a visit")
        await asyncio.sleep(CLASS_S)
        spent = cpu_s(os.getpid(), others) - spent
        visits = sum(row.visits for row in board.rows.values()) - visits
        print(
            f"{size} students who do not move: {visits / CLASS_S:.1f} visits a second, "
            f"{spent / visits:.3f} CPU s a visit, {spent / CLASS_S:.1%} of a core"
        )

    asyncio.run(run())
    board.end()
    server.communicate()


if __name__ == "__main__":
    if sys.argv[1] == "guest":
        guest()
    for each in sys.argv[2:]:
        of_class(int(each))
