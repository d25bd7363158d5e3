"""Reports reach their students: as a folder, as Moodle's feedback, through Gradescope."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import pytest

from labwright.batch.folder import Folder
from labwright.batch.grading import Grading
from labwright.batch.student import Student
from labwright.batch.task import Examined
from labwright.cli import main
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

from . import samples

LAB = load_lab(find_lab("gorb"))
COURSE = """\
title = "Networks"
[[lab]]
id = "l1"
folder = "l1"
due = 2024-03-07T12:00:00+00:00
late = { percent = 10 }
"""


@pytest.fixture
def base(tmp_path):
    members = [
        Student("a", "ssh://a", "Ann_Ames/..", "Ann@example.org", extra={"participant": "4201"}),
        Student("b", "ssh://b", "Bob Bird", extra={"participant": "4202"}),
        Student("c", "ssh://c", "Cal Cole", "cal@example.org"),
        Student("off", "ssh://off", "Off", "off@example.org", extra={"participant": "4203"}),
    ]
    folder = Folder(tmp_path / "l1")
    with folder.locked():
        grading = Grading(members, LAB, folder, RunOptions(), 60)
        grading.begin(1, resume=False)
        folder.keep_roster(members)
        for id, score in (("a", samples.all_passed()), ("b", samples.server2_stopped())):
            grading.keep(Examined(id, score, text=score.to_json()), "handed in")
        grading.keep(Examined("c", samples.all_passed(), text=samples.all_passed().to_json()))
        grading.keep(Examined("off", None, "it is off", reached=False))
    (tmp_path / "course.toml").write_text(COURSE)
    return tmp_path


def hand_out(base, capsys, form, what="course.toml") -> str:
    assert main(["hand-out", str(base / what), "--as", form, "--out", str(base / "out")]) == 3
    return capsys.readouterr().err


def moodle_finds(name: str, participants: set[str]) -> str | None:
    """Return whom Moodle takes a file's folder for, by the rules of its source."""
    for part in name.split("/"):
        words = part.split("_", 4)
        if len(words) >= 4 and words[1].isdigit() and words[1] in participants:
            assert words[2:4] == ["assignfeedback", "file"]
            return words[1]
    return None


def test_moodle_finds_each_student_and_no_name_makes_a_folder(base, capsys):
    said = hand_out(base, capsys, "moodle")
    assert "2 reports; 1 left out, without Moodle's participant number in the roster (c)" in said
    assert "1 left out, without a report (off)" in said
    with zipfile.ZipFile(base / "out/moodle-l1.zip") as archive:
        names = archive.namelist()
        assert [moodle_finds(name, {"4201", "4202"}) for name in names] == ["4201", "4202"]
        assert all(name.count("/") == 1 and ".." not in name for name in names)
        page = archive.read(names[1]).decode()
    assert "Bob Bird (b)" in page
    assert "1 of 1: the only attempt that was graded" in page
    assert "2 days late: 20 % of 55 points" in page
    assert "44 of 100" in page


def test_gradescope_hands_each_student_their_own_results_and_runs_nothing_else(base, capsys):
    hand_out(base, capsys, "gradescope")
    place = base / "autograder"
    with zipfile.ZipFile(base / "out/gradescope-l1.zip") as archive:
        archive.extractall(place / "source")
        modes = {i.filename: i.external_attr >> 16 for i in archive.infolist()}
    assert modes["run_autograder"] == 0o755
    assert not any("ann" in name.lower() for name in modes), "an address is nobody else's business"

    def results(email: str) -> dict:
        (place / "submission_metadata.json").write_text(json.dumps({"users": [{"email": email}]}))
        env = {**os.environ, "AUTOGRADER": str(place)}
        command = [sys.executable, str(place / "source/run_autograder")]
        subprocess.run(command, env=env, check=True)
        return json.loads((place / "results/results.json").read_text())

    found = results("ann@EXAMPLE.org")
    assert found["score"] == 80
    assert "2 days late: 20 % of 100 points" in found["output"]
    assert "score" not in results("eve@example.org")


def test_nobody_gets_the_report_of_a_student_with_the_same_address_or_number(base, capsys):
    roster = base / "l1/roster.json"
    twins = roster.read_text().replace("4202", "04201").replace("cal@", "ANN@")
    roster.write_text(twins)
    said = hand_out(base, capsys, "moodle")
    assert "2 left out, whose participant number another student has as well (a and b)" in said
    said = hand_out(base, capsys, "gradescope")
    assert "2 left out, whose email address another student has as well (a and c)" in said
    for form in ("moodle", "gradescope"):
        with zipfile.ZipFile(base / f"out/{form}-l1.zip") as archive:
            assert not [
                name for name in archive.namelist() if "assignfeed" in name or "results/" in name
            ]


def test_a_folder_has_a_page_for_each_student_with_a_report(base, capsys):
    hand_out(base, capsys, "folder")
    assert sorted(p.name for p in (base / "out/l1").iterdir()) == ["a.html", "b.html", "c.html"]


def test_the_same_reports_are_the_same_zip(base, capsys):
    hand_out(base, capsys, "moodle")
    first = (base / "out/moodle-l1.zip").read_bytes()
    hand_out(base, capsys, "moodle")
    assert (base / "out/moodle-l1.zip").read_bytes() == first


def test_a_class_is_handed_out_without_a_course_too(base, capsys):
    place = base / "l1/students/a"
    (place / "report.html").write_text("the report")
    said = hand_out(base, capsys, "moodle", "l1")
    assert "1 report;" in said
    with zipfile.ZipFile(base / "out/moodle-l1.zip") as archive:
        assert archive.read(archive.namelist()[0]) == b"the report"
