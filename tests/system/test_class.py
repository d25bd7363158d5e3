"""A class is graded to its end, whatever its machines do, over real SSH.

The machines are SSH servers that answer as recorded ones did: no lab machine is needed.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

WRONG_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def grade(folder: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "labwright", "grade", str(folder / "class.csv")]
    return [*command, "--out", str(folder / "out"), *options]


def gradebook(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "out" / "gradebook.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def examinations(folder: Path) -> Counter[str]:
    """Count the examinations of each student that came to their end."""
    path = folder / "out" / "journal.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(e["id"] for e in map(json.loads, lines) if e["line"] == "attempt")


def test_machines_in_all_states_are_graded_by_a_grader_that_is_killed_and_goes_on(serve, tmp_path):
    states = [*["right"] * 6, "stopped", "stopped", "refused", "hostile", "python", "lost"]
    ids = [f"{state}-{place}" for place, state in enumerate(states)]
    ports = dict(zip(ids, serve(*states), strict=True))
    rows = [f"{id},x@127.0.0.1:{port}," for id, port in ports.items()]
    rows += [f"twin,x@127.0.0.1:{ports['right-0']},", "off,x@127.0.0.1:9,"]
    rows += [f"changed,x@127.0.0.1:{ports['right-1']},{WRONG_KEY}"]
    (tmp_path / "class.csv").write_text("id,target,host_key\n" + "\n".join(rows) + "\n")

    first = subprocess.Popen(grade(tmp_path), stderr=subprocess.DEVNULL)
    while not {id for id in examinations(tmp_path) if id.startswith("right")}:
        assert first.poll() is None, "it ended before it had graded anybody"
        time.sleep(0.1)
    first.kill()
    first.wait()
    before = examinations(tmp_path)
    graded = {id for id in before if id.startswith(("right", "stopped"))}

    done = subprocess.run(
        grade(tmp_path, "--resume"), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 3, done.stderr
    after = examinations(tmp_path)
    book = gradebook(tmp_path)
    assert len(book) == 15
    for id, row in book.items():
        state = id.partition("-")[0]
        points = {"right": "100", "twin": "100", "lost": "100", "stopped": "55"}.get(state, "")
        assert row["points"] == points, row
        assert (tmp_path / "out/students" / id / "report.html").exists()
    assert {id: after[id] for id in graded} == {id: before[id] for id in graded}
    for id, reason in {
        "refused-8": "Permission denied",
        "hostile-9": "gave no valid answer",
        "python-10": "has no python3",
        "off": "Connection refused",
        "changed": "Host key verification failed",
    }.items():
        assert reason in book[id]["remark"], book[id]
    flagged = {id for id, row in book.items() if row["flags"]}
    assert flagged == {"right-0", "twin", "right-1", "changed"}


def test_in_an_exam_no_hint_is_handed_back(serve, tmp_path):
    (port,) = serve("stopped")
    (tmp_path / "class.csv").write_text(f"id,target\na,x@127.0.0.1:{port}\n")
    said = {}
    for out, options in (("full", []), ("none", ["--hints=none"])):
        subprocess.run(grade(tmp_path, f"--out={tmp_path / out}", *options), check=True)
        files = [p for p in (tmp_path / out / "students/a").rglob("*") if p.is_file()]
        said[out] = "".join(file.read_text() for file in files)
    assert "Start it again with" in said["full"]
    assert "Start it again with" not in said["none"]


def test_a_machine_that_stalls_is_given_up_at_its_time_limit_and_said_to_be(serve, tmp_path):
    (port,) = serve("stalled")
    (tmp_path / "class.csv").write_text(f"id,target\na,x@127.0.0.1:{port}\n")
    done = subprocess.run(
        grade(tmp_path, "--limit=4"), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3, done.stderr
    assert examinations(tmp_path) == {"a": 2}
    row = gradebook(tmp_path)["a"]
    assert (row["points"], row["graded"]) == ("", "no")
    assert row["remark"] == "the time limit of 4 s for a student was reached"
