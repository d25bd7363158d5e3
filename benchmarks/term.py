"""What a term costs: 2,000 students, three labs, three attempts each.

    .venv/bin/python benchmarks/term.py               # 500 and 2,000 students
    .venv/bin/python benchmarks/term.py 100

The attempts are a real machine's record, kept as a class's folder keeps them; the time for
that is without the disk's (fsync), three of which each attempt costs. Each command is timed
as a whole process, with the most memory that it held.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from labwright.batch.folder import Folder  # noqa: E402
from labwright.batch.grading import Grading  # noqa: E402
from labwright.batch.student import Student  # noqa: E402
from labwright.batch.task import Examined  # noqa: E402
from labwright.grading.run import RunOptions  # noqa: E402
from labwright.lab.definition import load_lab  # noqa: E402
from labwright.lab.model import find_lab  # noqa: E402
from labwright.score import Score  # noqa: E402

LABS, ATTEMPTS = 3, 3
RECORD = ROOT / "tests" / "unit" / "data" / "deployed.json"


def main(sizes: list[str]) -> None:
    """Measure terms of these sizes."""
    print("students  what                       seconds  CPU s  MiB")
    for size in map(int, sizes or ["500", "2000"]):
        with tempfile.TemporaryDirectory() as name:
            measure(size, Path(name))


def measure(size: int, base: Path) -> None:
    """Make a term, and time what is done with it."""
    lab = load_lab(find_lab("gorb"))
    whole = Score.from_json(RECORD.read_text())
    texts = [
        replace(whole, finished=f"2026-11-{day:02}T10:00:00+00:00").to_json()
        for day in (10, 20, 25)
    ]
    scores = [Score.from_json(text) for text in texts]
    members = [
        Student(
            f"s{n}",
            f"ssh://10.{n // 65536}.{n // 256 % 256}.{n % 256}",
            f"Student {n}",
            f"s{n}@x.org",
        )
        for n in range(size)
    ]
    rows = [f"{s.id},{s.target},{s.name},{s.email}" for s in members]
    (base / "class.csv").write_text("\n".join(["id,target,name,email", *rows]) + "\n")
    os.fsync = lambda _: None  # the disk's time is not what is measured
    start = time.monotonic()
    for number in range(1, LABS + 1):
        folder = Folder(base / f"lab{number}")
        grading = Grading(members, lab, folder, RunOptions(), 60)
        with folder.locked():
            grading.begin(1, resume=False)
            folder.keep_roster(members)
            for attempt in range(ATTEMPTS):
                for member in members:
                    grading.keep(Examined(member.id, scores[attempt], text=texts[attempt]))
    took = time.monotonic() - start
    many = LABS * ATTEMPTS * size
    print(
        f"{size:8}  {f'{many} attempts are kept':26} {took:7.1f}  {1000 * took / many:.1f} ms each"
    )
    course = ['title = "Term"']
    for number in range(1, LABS + 1):
        course += ["[[lab]]", f'id = "lab{number}"', f'folder = "lab{number}"']
        course += ["due = 2026-11-15T00:00:00+00:00", "late = { percent = 5, machines = true }"]
    (base / "course.toml").write_text("\n".join(course) + "\n")
    resume = ["grade", "class.csv", "--out", "lab1", "--resume"]
    for what, command, ok in (
        ("resume, reports made", resume, {0}),
        ("resume, nothing to do", resume, {0}),
        ("resume with --moodle", [*resume, "--moodle"], {0}),
        ("course", ["course", "course.toml"], {0}),
        ("course with --moodle", ["course", "course.toml", "--moodle"], {0}),
        ("one student", ["course", "course.toml", "--student", "s7"], {0}),
    ):
        run(size, what, command, base, ok)
    page = (base / "course/index.html").stat().st_size
    print(f"          index.html of the course: {page >> 10} KiB")
    lines = (base / "lab1" / "journal.jsonl").stat().st_size
    print(f"          a journal: {lines >> 10} KiB, {lines // (size * ATTEMPTS)} bytes an attempt")


def run(size: int, what: str, command: list[str], base: Path, ok: set[int]) -> None:
    """Time one command."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "labwright", *command], cwd=base, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    assert os.waitstatus_to_exitcode(status) in ok, (what, status)
    cpu = used.ru_utime + used.ru_stime
    print(f"{size:8}  {what:26} {seconds:7.1f}  {cpu:5.1f}  {used.ru_maxrss >> 10:4}")


if __name__ == "__main__":
    main(sys.argv[1:])
