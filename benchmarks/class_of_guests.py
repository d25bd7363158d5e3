"""Grade eight real guests in different states, interrupted twice, and once more uninterrupted.

    .venv/bin/python benchmarks/class_of_guests.py [FOLDER]

Not a test that is run by default: eight guests need some GiB and, without KVM, minutes.
One is right, three have known mistakes, one is frozen, one goes off half-way, one has
another host key than the roster says, and one answers nonsense. The first grading is
interrupted by Ctrl-C, gone on with, killed, and gone on with again; its gradebook must be
that of the second, uninterrupted one. Exit status: 0 where it is.
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from labwright import mistakes
from labwright.definition import load_lab
from labwright.lab import find_lab
from labwright.lab_machine import states
from labwright.machines import guest
from labwright.machines.ssh import SshMachine

LAB = load_lab(find_lab("gorb"))
WRONG_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
MISTAKES = ("server2-stopped", "method-wrr", "gorb-stopped")
NONSENSE = """\
sudo rm /usr/bin/python3; sudo tee /usr/bin/python3 >/dev/null <<'EOF'
#!/bin/sh
cat >/dev/null
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
    **dict.fromkeys(MISTAKES, ""),
    "frozen": "",
    "goes-off": GOES_OFF,
    "other-key": "",
    "hostile": NONSENSE,
}


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


def grade(folder: Path, out: str, *options: str) -> subprocess.Popen[bytes]:
    """Begin to grade the class."""
    command = [sys.executable, "-m", "labwright", "grade", str(folder / "class.csv"), "-n", "4"]
    command += ["--seed", "7", "--limit", "240", "--out", str(folder / out), *options]
    return subprocess.Popen(command)


def await_entries(process: subprocess.Popen[bytes], folder: Path, more: int) -> None:
    """Wait until so many more students were examined."""
    path = folder / "interrupted" / "journal.jsonl"

    def count() -> int:
        return path.read_text().count('"digest"') if path.exists() else 0

    wanted = count() + more
    while count() < wanted:
        assert process.poll() is None, "it ended too early"
        time.sleep(0.1)


def book(folder: Path, out: str) -> list[dict[str, str]]:
    """Return a gradebook, without what is another's in each run: ports and times."""
    with (folder / out / "gradebook.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: re.sub(r"\b\d{4,5}\b|\d+(\.\d+)? s\b", "#", value) for key, value in row.items()}
        for row in rows
    ]


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


def main(folder: Path) -> int:
    """Grade twice, compare, and take everything down."""
    guests: dict[str, guest.Guest] = {}
    agent_pid = 0
    try:
        for name in SCRIPTS:
            guests[name] = start(name)
        agent_pid = agent(guests["right"].key)
        roster(folder, guests)
        began = time.monotonic()
        first = grade(folder, "interrupted")
        await_entries(first, folder, 1)
        first.send_signal(signal.SIGINT)
        print("exit", first.wait())
        second = grade(folder, "interrupted", "--resume")
        await_entries(second, folder, 1)
        second.kill()
        print("exit", second.wait())
        print("exit", grade(folder, "interrupted", "--resume").wait())
        print(f"interrupted twice: {time.monotonic() - began:.0f} s")
        guest.down("class-goes-off")
        guests["goes-off"] = start("goes-off")
        roster(folder, guests)
        began = time.monotonic()
        print("exit", grade(folder, "whole", "--moodle", "--canvas", "--gradescope").wait())
        print(f"uninterrupted: {time.monotonic() - began:.0f} s")
    finally:
        if agent_pid:
            os.kill(agent_pid, signal.SIGTERM)
        if "frozen" in guests:
            os.kill(guests["frozen"].pid, signal.SIGCONT)
        for found in guests.values():
            guest.down(found.name)
    one, other = book(folder, "interrupted"), book(folder, "whole")
    for row in other:
        print(json.dumps(row, indent=1))
    for before, after in zip(one, other, strict=True):
        for key in before:
            if before[key] != after[key]:
                print(f"{before['id']}: {key}: {before[key]!r} and {after[key]!r}")
    return int(one != other)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        sys.exit(main(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as place:
        sys.exit(main(Path(place)))
