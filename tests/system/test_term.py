"""A term is played through: three labs, six students, and a grader that is killed ten times.

The machines answer as recorded ones did. ann does all well; bob's first attempt at lab 1
fails, his second does not; cal hands in lab 3 late; dan appeals in lab 1 and edits his file
of lab 3; eve's machine is off; fay hands in a copy of ann's file.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.platform_importers import Moodle

pytestmark = [pytest.mark.system, pytest.mark.scale]

SEED = int(os.environ.get("LABWRIGHT_TERM_SEED", "20261128"))
KILLS = 10
ALL = ("ann", "bob", "cal", "dan", "eve", "fay")
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
lab = "lab1"
step = "server2-running"
points = 5
reason = "the room lost power"
by = "Eve Eden"
"""


class Term:
    """The folder of a term, and the commands of its instructor."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.kept: dict[Path, bytes] = {}

    def labwright(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "labwright", *command],
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        self.look()
        return done

    def killed(self, times: int, *command: str) -> None:
        """Begin a command and kill it at a random moment, so many times."""
        for _ in range(times):
            running = subprocess.Popen(
                [sys.executable, "-m", "labwright", *command],
                cwd=self.place,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(self.random.uniform(0.3, 6))
            running.send_signal(signal.SIGKILL)
            running.wait()
            self.look()

    def look(self) -> None:
        """Hold what is kept of each attempt against what it was: nothing is written over."""
        for path, before in self.kept.items():
            assert path.read_bytes() == before, path
        for path in self.place.glob("lab*/students/*/attempts/[0-9]*/score.json"):
            self.kept.setdefault(path, path.read_bytes())

    def roster(self, name: str, ports: dict[str, int]) -> None:
        rows = [
            f"{id},{id.title()},{id}@example.org,420{place},x@127.0.0.1:{ports[id]}"
            for place, id in enumerate(ALL)
        ]
        text = "\n".join(["id,name,email,participant,target", *rows]) + "\n"
        (self.place / name).write_text(text)

    def submit(self, lab: str, id: str, port: int) -> Path:
        path = self.place / f"in{lab[-1]}" / f"{id}.lab"
        path.parent.mkdir(exist_ok=True)
        target = f"--target=ssh://x@127.0.0.1:{port}"
        done = self.labwright("submit", "--id", id, target, "--out", str(path))
        assert done.returncode == 0, done.stderr
        return path

    def gradebook(self) -> dict[str, dict[str, str]]:
        with (self.place / "course/gradebook.csv").open(newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}


def grade(lab: str, roster: str = "class.csv") -> tuple[str, ...]:
    return ("grade", roster, "--out", lab, "--resume", "--limit=60")


def test_a_term_is_played_through_and_no_kill_costs_a_grade(serve, tmp_path, monkeypatch):
    (tmp_path / "ssh").write_text(
        "#!/bin/sh\nexec /usr/bin/ssh -oStrictHostKeyChecking=no "
        '-oUserKnownHostsFile=/dev/null "$@"\n'
    )
    term = Term(tmp_path, SEED)
    right, wrong = serve(*["right"] * 6), serve(*["stopped"] * 2)
    machines = dict(zip(ALL, right, strict=True)) | {"eve": 9}
    term.roster("class.csv", {**machines, "bob": wrong[0], "dan": wrong[1]})
    term.roster("mended.csv", {**machines, "dan": wrong[1]})

    # Lab 1 over SSH, killed four times. Bob's machine is then made anew: its key is forgotten,
    # and he is graded again.
    term.killed(4, *grade("lab1"))
    assert term.labwright(*grade("lab1")).returncode == 3, "eve's machine is off"
    pins = tmp_path / "lab1/known_hosts"
    kept = [line for line in pins.read_text().splitlines() if not line.startswith("bob ")]
    pins.write_text("\n".join(kept) + "\n")
    term.killed(1, *grade("lab1", "mended.csv"))
    term.labwright(*grade("lab1", "mended.csv"))

    # Lab 2 over SSH as well, killed twice.
    term.killed(2, *grade("lab2", "mended.csv"))
    term.labwright(*grade("lab2", "mended.csv"))

    # Lab 3 is handed in, and the collecting killed three times.
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "ssh").rename(tmp_path / "bin/ssh")
    file = term.submit("lab3", "ann", machines["ann"])
    copy = json.loads(file.read_text()) | {"student": "fay"}
    (tmp_path / "in3/fay.lab").write_text(json.dumps(copy))
    edited = term.submit("lab3", "dan", wrong[1])
    body = json.loads(edited.read_text())
    for step in body["score"]["steps"]:
        step.update(points=step["max_points"], outcome="passed")
    edited.write_text(json.dumps(body))
    due = datetime.now(UTC) + timedelta(seconds=1)
    time.sleep(3)
    term.submit("lab3", "cal", machines["cal"])
    collect = ("collect", "in3", "--roster", "mended.csv", "--out", "lab3")
    term.killed(3, *collect)
    said = term.labwright(*collect).stderr
    assert KILLS == 4 + 1 + 2 + 3

    (tmp_path / "course.toml").write_text(COURSE.format(due=due.isoformat(timespec="seconds")))
    (tmp_path / "overrides.toml").write_text(APPEAL)
    assert term.labwright("course", "course.toml", "--moodle").returncode == 3
    check(term, said)


def check(term: Term, said: str) -> None:
    """Hold the gradebook, the flags, the platform's file and the reports against the story."""
    book = term.gradebook()
    points = {id: [row["lab1"], row["lab2"], row["lab3"]] for id, row in book.items()}
    assert points == {
        "ann": ["100", "100", "100"],
        "bob": ["100", "100", ""],
        "cal": ["100", "100", "90"],
        "dan": ["60", "55", "55"],
        "eve": ["", "", ""],
        "fay": ["100", "100", "100"],
    }
    assert "Connection refused" in book["eve"]["lab1 remark"]
    assert book["cal"]["lab3 remark"] == "1 day late: 10 % of 100 points"
    assert "server2-running: 5 points, decided by Eve Eden" in book["dan"]["lab1 remark"]
    assert book["ann"]["total percent"] == "100"
    assert book["bob"]["total percent"] == ""
    lines = [json.loads(line) for line in (term.place / "lab1/journal.jsonl").open()]
    bobs = [a["points"] for a in lines if a["line"] == "attempt" and a["id"] == "bob"]
    assert (bobs[0], bobs[-1]) == (55, 100), "both attempts are kept"
    with (term.place / "lab3/gradebook.csv").open(newline="") as file:
        flags = {row["id"]: row["flags"] for row in csv.DictReader(file)}
    assert "the file was changed after it was made" in flags["dan"]
    assert "its record gives 55" in flags["dan"]
    assert "ann handed in the same record" in flags["fay"]
    assert "fay handed in the same record" in flags["ann"]
    assert flags["cal"] == ""
    assert said
    moodle = Moodle(set(ALL), {"eve": 7.0})
    moodle.take((term.place / "course/moodle-lab1.csv").read_text())
    assert moodle.grades == {"ann": 10, "bob": 10, "cal": 10, "dan": 6, "eve": 7, "fay": 10}
    assert "decided by Eve Eden" in moodle.feedback["dan"]
    term.labwright("hand-out", "course.toml", "--as", "moodle")
    assert (term.place / "hand-out/moodle-lab1.zip").stat().st_size > 10_000
