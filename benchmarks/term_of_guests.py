"""Play a term with real guests: three labs, six students, and ten kills at random moments.

    .venv/bin/python benchmarks/term_of_guests.py [FOLDER]

Not a test that is run by default: without KVM it takes a quarter of an hour. One guest is up
at a time, and students come to it one after another. lab1 is docker-server and lab2 is gorb,
graded over SSH; lab3 is tests/system/notes, handed in. ann and fay do all well; bob's first
attempt at lab2 fails and his second does not; cal forgets a server in lab1 and hands in lab3
late; dan stops a server in lab2 and appeals, and edits his file of lab3; eve's machine is off;
fay hands in a copy of ann's file. Every command that writes is begun and killed first, ten times
in all. The seed (LABWRIGHT_TERM_SEED) is printed. Exit status: 0 where all is as it must be.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.platform_importers import Moodle  # noqa: E402

SEED = int(os.environ.get("LABWRIGHT_TERM_SEED") or time.time_ns() % 10**6)
STUDENTS = ("ann", "bob", "cal", "dan", "eve", "fay")
ORDER = ("ann", "bob", "dan", "cal", "fay")
NOTES = str(ROOT / "tests/system/notes")
LABS = {"lab1": "docker-server", "lab2": "gorb"}
TAKES_NOTES = "mkdir -m 0700 ~/notes; uname -r >~/notes/kernel; hostname >~/notes/name"
WRONG = {
    ("cal", "lab1"): "docker rm --force server1",
    ("bob", "lab2"): "docker stop server2",
    ("dan", "lab2"): "docker stop server2",
}
COURSE = """\
title = "Networks"
late = {{ percent = 10 }}
[[lab]]
id = "lab1"
folder = "lab1"
points = 10
[[lab]]
id = "lab2"
folder = "lab2"
weight = 2
[[lab]]
id = "lab3"
folder = "lab3"
due = {due}
"""
APPEAL = """\
[[override]]
student = "dan"
lab = "lab2"
step = "server2-running"
points = 5
reason = "the room lost power"
by = "Eve Eden"
"""


class Term:
    """The folder of a term, and its instructor's commands."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.random = random.Random(SEED)
        self.kills = 0
        self.kept: dict[Path, bytes] = {}
        self.guest = f"term{os.getpid()}"
        self.begun = time.monotonic()

    def say(self, text: str) -> None:
        """Tell what is done, with the seconds since the beginning."""
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)

    def labwright(self, *command: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command; return what it said."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "labwright", *command],
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        said = done.stderr + done.stdout
        self.say(f"{' '.join(command)[:90]}: {done.returncode}, {time.monotonic() - began:.0f} s")
        assert done.returncode in ok, said
        assert "Traceback" not in said, said
        self.look()
        return said

    def killed(self, longest_s: float, *command: str) -> None:
        """Begin a command, and kill it at a random moment."""
        moment = self.random.uniform(0.5, longest_s)
        running = subprocess.Popen(
            [sys.executable, "-m", "labwright", *command],
            cwd=self.place,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moment)
        there = running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.wait()
        self.kills += 1
        ended = "" if there else ", which had ended"
        self.say(f"killed after {moment:.1f} s{ended}: {' '.join(command)[:60]}")
        self.look()

    def look(self) -> None:
        """Hold what is kept of each attempt against what it was: nothing is written over."""
        for path, before in self.kept.items():
            assert path.read_bytes() == before, path
        for path in self.place.glob("lab*/students/*/attempts/[0-9]*/score.json"):
            self.kept.setdefault(path, path.read_bytes())

    def machine(self, id: str) -> str:
        """What a student's guest is called."""
        return f"{self.guest}-{id}"

    def shell(self, id: str, script: str) -> None:
        """Do something on a student's guest."""
        self.labwright("vm", "ssh", self.machine(id), "--", script)

    def grade(self, lab: str, id: str, *more: str, kills: int = 0) -> None:
        """Grade a student; before, a grader that does the same is killed so often."""
        begin = ("grade", "class.csv", "--lab", LABS[lab], "--out", lab, "--resume")
        for _ in range(kills):
            self.killed(9, *begin, f"--only={id}", *more)
        self.labwright(*begin, f"--only={id}", *more)

    def book(self, folder: str) -> dict[str, dict[str, str]]:
        """Return a gradebook."""
        with (self.place / folder / "gradebook.csv").open(newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}


def play(term: Term) -> None:
    """Play the term."""
    rows = [
        f"{id},{id.title()} A.,{id}@example.org,420{n},vm:{term.machine(id)}"
        for n, id in enumerate(STUDENTS)
    ]
    text = "\n".join(["id,name,email,participant,target", *rows]) + "\n"
    (term.place / "class.csv").write_text(text)
    (term.place / "in").mkdir()
    due = ""
    kills = {("lab1", "ann"): 2, ("lab1", "cal"): 1, ("lab2", "bob"): 2, ("lab2", "fay"): 2}
    for id in ORDER:
        for lab, name in LABS.items():
            term.labwright("vm", "up", term.machine(id), "--lab", name, "--state", "deployed")
            if (id, lab) in WRONG:
                term.shell(id, WRONG[id, lab])
            term.grade(lab, id, kills=kills.get((lab, id), 0))
            if lab == "lab2":
                due = hand_in(term, id) or due
            term.labwright("vm", "down", term.machine(id))
    # Bob mends his machine, and is graded once more.
    bob = term.machine("bob")
    term.labwright("vm", "up", bob, "--lab", "gorb", "--state", "deployed")
    term.grade("lab2", "bob", "--again")
    term.labwright("vm", "down", bob)
    # Eve's machine is off; it was tried.
    for lab, name in LABS.items():
        command = ("grade", "class.csv", "--lab", name, "--out", lab, "--resume")
        term.labwright(*command, ok=(3,))
    collect = ("collect", "in", "--roster", "class.csv", "--out", "lab3", "--lab", NOTES)
    for _ in range(3):
        term.killed(2.5, *collect)
    said = term.labwright(*collect)
    term.say(said.strip().replace("\n", "\n" + " " * 10))
    assert term.kills == 10
    (term.place / "course.toml").write_text(COURSE.format(due=due))
    (term.place / "overrides.toml").write_text(APPEAL)
    platforms = ("--moodle", "--canvas")
    term.say(term.labwright("course", "course.toml", *platforms, ok=(3,)).strip())
    for form in ("moodle", "gradescope", "folder"):
        term.say(term.labwright("hand-out", "course.toml", "--as", form, ok=(3,)).strip())


def hand_in(term: Term, id: str) -> str:
    """Take notes on a student's guest, and hand them in; return the date, if it is now."""
    file = term.place / "in" / f"{id}.lab"
    if id == "fay":
        copy = json.loads((term.place / "in/ann.lab").read_text()) | {"student": "fay"}
        file.write_text(json.dumps(copy))
        return ""
    term.shell(id, "mkdir -m 0700 ~/notes" if id == "dan" else TAKES_NOTES)
    target = ("--target", f"vm:{term.machine(id)}")
    if id == "cal":
        time.sleep(2)
    term.labwright("submit", "--lab", NOTES, "--id", id, *target, "--out", str(file), ok=(0,))
    if id != "dan":
        return ""
    body = json.loads(file.read_text())
    for step in body["score"]["steps"]:
        step.update(points=step["max_points"], outcome="passed")
    file.write_text(json.dumps(body))
    return datetime.now(UTC).isoformat(timespec="seconds")


def check(term: Term) -> None:
    """Hold the gradebook, the flags and Moodle's file against the story."""
    book = term.book("course")
    points = {id: [row["lab1"], row["lab2"], row["lab3"]] for id, row in book.items()}
    term.say(json.dumps(points))
    cal = points["cal"][0]
    assert 0 < float(cal) < 100, cal
    assert points == {
        "ann": ["100", "100", "100"],
        "bob": ["100", "100", "100"],
        "cal": [cal, "100", "90"],
        "dan": ["100", "60", "20"],
        "eve": ["", "", ""],
        "fay": ["100", "100", "100"],
    }
    assert book["cal"]["lab3 remark"] == "1 day late: 10 % of 100 points"
    assert "server2-running: 5 points, decided by Eve Eden" in book["dan"]["lab2 remark"]
    assert book["eve"]["lab1 remark"], "why there is no grade is said"
    lines = [json.loads(line) for line in (term.place / "lab2/journal.jsonl").open()]
    bobs = [a["points"] for a in lines if a["line"] == "attempt" and a["id"] == "bob"]
    assert (bobs[0], bobs[-1]) == (55, 100), bobs
    flags = {id: row["flags"] for id, row in term.book("lab3").items()}
    assert "the file was changed after it was made" in flags["dan"]
    assert "its record gives 20" in flags["dan"]
    assert "the file was changed after it was made" in flags["fay"]
    assert "ann" in flags["fay"], flags
    assert "fay" in flags["ann"], flags
    moodle = Moodle(set(STUDENTS), {"eve": 7.0})
    moodle.take((term.place / "course/moodle-lab1.csv").read_text())
    assert moodle.grades["eve"] == 7.0, "a machine that was off takes no grade away"
    assert moodle.grades["ann"] == 10
    moodle.take((term.place / "course/moodle-lab2.csv").read_text())
    assert "decided by Eve Eden" in moodle.feedback["dan"]


def main(place: Path) -> int:
    """Play it, and hold what came of it against what must."""
    term = Term(place)
    term.say(f"seed {SEED}; {place}")
    try:
        play(term)
        check(term)
    finally:
        for id in STUDENTS:
            down = [sys.executable, "-m", "labwright", "vm", "down", term.machine(id)]
            subprocess.run(down, capture_output=True, timeout=120, check=False)
    term.say("all is as it must be")
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True)
        sys.exit(main(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as name:
        sys.exit(main(Path(name)))
