"""Grade eight real guests in different states, interrupted twice, and once more uninterrupted.

    .venv/bin/python benchmarks/class_of_guests.py [FOLDER]

Not a test that is run by default: eight guests need 5 GiB and, without KVM, a quarter of an
hour.
One is right, three have known mistakes, one is frozen, one goes off half-way, one has
another host key than the roster says, and one answers nonsense. The first grading, of four at
once, is interrupted by Ctrl-C, gone on with, killed, and gone on with again; its gradebook
must be that of the second, uninterrupted one, of all eight at once. Exit status: 0 where it
is, and each student has ended as expected.
"""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.grading import mistakes
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.machines.ssh import SshMachine
from labwright.vm import guest
from labwright.vm.lab_states import states

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 1800
"""Seconds for all of it: some minutes on two cores without KVM."""
LAB = load_lab(find_lab("gorb"))
WRONG_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
MISTAKES = ("server2-stopped", "method-wrr", "gorb-stopped")
NONSENSE = """\
sudo rm /usr/bin/python3; sudo tee /usr/bin/python3 >/dev/null <<'EOF'
#!/bin/sh
while printf '\\033]0;owned\\007\\033[2J<script>alert(1)</script>=cmd|A1 {"probe": '; do :; done
EOF
sudo chmod +x /usr/bin/python3
"""
# Off with the first requests to the service: all before them has been seen then.
GOES_OFF = (
    "sudo setsid -f sh -c \"until grep -q '115C AC11' /proc/net/ip_vs_conn; do sleep 0.2; done; "
    'echo o >/proc/sysrq-trigger" </dev/null >/dev/null 2>&1'
)
SCRIPTS = {
    "right": "",
    "server2-stopped": "",
    # Among the first four, which the first grading finishes: it goes off only once.
    "goes-off": GOES_OFF,
    "method-wrr": "",
    "gorb-stopped": "",
    "frozen": "",
    "other-key": "",
    "hostile": NONSENSE,
}
EXPECTED = {
    "right": ("100", ""),
    "server2-stopped": ("55", ""),
    "method-wrr": ("35", ""),
    "gorb-stopped": ("20", ""),
    "goes-off": ("", "requests-succeed"),
    "frozen": ("", "cannot be reached"),
    "other-key": ("", "Host key verification failed"),
    "hostile": ("", "did not "),
}
"""The points, and words of the reason where there are none."""


def start(name: str) -> guest.Guest:
    """Bring a guest up, in its state."""
    found = guest.up(
        f"class-{name}",
        "deployed",
        states(LAB),
        lab="gorb",
        dies_with_us=True,
    )
    with closing(SshMachine(f"vm:{found.name}", found.destination())) as machine:
        if name in MISTAKES:
            (known,) = mistakes.load_mistakes(LAB, [name])
            done = machine.run("bash -c %s", mistakes.prelude(LAB) + known.run, timeout=120)
        else:
            done = machine.run(SCRIPTS[name] or "true", timeout=60)
        assert done.ok, (name, done.stderr)
    if name == "frozen":
        os.kill(found.pid, signal.SIGSTOP)
    return found


@contextmanager
def grade(folder: Path, out: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Grade the class; the grader has ended when the context has."""
    command = [sys.executable, "-m", "labwright", "grade", str(folder / "class.csv")]
    command += ["--seed", "7", "--out", str(folder / out), *options]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(what: str, began: float, process: subprocess.Popen[bytes], status: int) -> None:
    """Wait for a grader, and tell how it ended and what it took."""
    found = process.wait()
    print(f"{what}: exit {found} after {time.monotonic() - began:.0f} s", flush=True)
    assert found == status, f"{what}: expected exit {status}"


def await_entry(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until one more student was examined."""
    path = folder / "interrupted" / "journal.jsonl"

    def count() -> int:
        return path.read_text().count('"digest"') if path.exists() else 0

    before = count()
    while count() == before:
        assert process.poll() is None, "it ended too early"
        time.sleep(0.1)


def book(folder: Path, out: str) -> list[dict[str, str]]:
    """Return a gradebook, without what is another's in each run: ports, times, ssh's phrases."""
    with (folder / out / "gradebook.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    varies = re.compile(r"\b\d{4,5}\b|\d+(\.\d+)? s\b|(ssh: connect|Connection) to .*(?=timed out)")
    return [{key: varies.sub("#", value) for key, value in row.items()} for row in rows]


def roster(folder: Path, guests: dict[str, guest.Guest]) -> None:
    """Write the roster."""
    with (folder / "class.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "target", "host_key"])
        for name, found in guests.items():
            shown = '=HYPERLINK("http://example.org")' if name == "hostile" else name.title()
            target = f"{found.user}@127.0.0.1:{found.port}"
            writer.writerow([name, shown, target, WRONG_KEY if name == "other-key" else ""])


def agent(key: Path) -> int:
    """Start an agent that knows the guests' key, as an instructor's would; return its pid."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"(SSH_\w+)=([^;]+);", said))
    os.environ["SSH_AUTH_SOCK"] = found["SSH_AUTH_SOCK"]
    subprocess.run(["ssh-add", "-q", str(key)], check=True)
    return int(found["SSH_AGENT_PID"])


def interrupted(folder: Path) -> None:
    """Grade four at once: to Ctrl-C, on until killed, and on to the end."""
    began = time.monotonic()
    with grade(folder, "interrupted", "-n4") as first:
        await_entry(first, folder)
        first.send_signal(signal.SIGINT)
        ended("to Ctrl-C", began, first, 130)
    began = time.monotonic()
    with grade(folder, "interrupted", "-n4", "--resume") as second:
        await_entry(second, folder)
        second.kill()
        ended("to kill -9", began, second, -signal.SIGKILL)
    began = time.monotonic()
    with grade(folder, "interrupted", "-n4", "--resume") as third:
        ended("to the end", began, third, 3)


def whole(folder: Path) -> None:
    """Grade all eight at once, and to the end."""
    began = time.monotonic()
    with grade(folder, "whole", "-n8", "--moodle", "--canvas", "--gradescope") as process:
        ended("uninterrupted", began, process, 3)


def grade_twice(folder: Path) -> None:
    """Bring the guests up, one after the other, grade them twice, and take everything down."""
    guests: dict[str, guest.Guest] = {}
    agent_pid = 0
    try:
        began = time.monotonic()
        for name in SCRIPTS:
            guests[name] = start(name)
        print(f"eight guests are up after {time.monotonic() - began:.0f} s", flush=True)
        agent_pid = agent(guests["right"].key)
        roster(folder, guests)
        interrupted(folder)
        guest.down("class-goes-off")
        guests["goes-off"] = start("goes-off")
        roster(folder, guests)
        whole(folder)
    finally:
        if agent_pid:
            os.kill(agent_pid, signal.SIGTERM)
        for name in SCRIPTS:
            guest.down(f"class-{name}")


def judged(one: list[dict[str, str]], other: list[dict[str, str]]) -> list[str]:
    """Say in what the gradebooks differ, from one another or from what is right."""
    wrong = []
    for row in other:
        points, words = EXPECTED[row["id"]]
        said = bool(words) == bool(row["remark"]) and words in row["remark"]
        if row["points"] != points or not said:
            wrong.append(f"{row['id']}: expected {points!r}, {words!r}")
    for before, after in zip(one, other, strict=True):
        wrong += [
            f"{after['id']}: {key}: interrupted {before[key]!r}, uninterrupted {after[key]!r}"
            for key in after
            if before[key] != after[key]
        ]
    return wrong


def too_long(_number: int, _frame: object) -> None:
    """End everything: it may not run for ever."""
    raise TimeoutError(f"it is not done after {LIMIT_S} s")


def main(folder: Path) -> int:
    """Grade twice, and compare."""
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
    grade_twice(folder)
    signal.alarm(0)
    one, other = book(folder, "interrupted"), book(folder, "whole")
    for row in other:
        print(f"{row['id']:16} {row['points']:>3}  {row['remark']}")
    wrong = judged(one, other)
    print("\n".join(wrong) or "both gradebooks are equal, and right")
    return int(bool(wrong))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        sys.exit(main(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as place:
        sys.exit(main(Path(place)))
