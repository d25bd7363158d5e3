"""From a platform's own export to its import: the same students, and nobody else's grade."""

from __future__ import annotations

import json

import pytest

from labwright.batch import gradebook_platforms as platforms
from labwright.batch import roster
from labwright.batch.grade_rule import Grade
from labwright.batch.gradebook import Row
from labwright.batch.gradebook_platforms import Assignment
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

from . import samples
from .platform_importers import Canvas, CanvasUser, Moodle

LAB = load_lab(find_lab("gorb"))
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (7),Current Score,target
,,,,,Manual Posting,(read only),
    Points Possible,,,,,10.00,(read only),
"Ames, Ann",101,{ann},ann,"Networks, A",3.00,30,h1
"Bird, Bob",102,s2,bob,"Networks, A",EX,,h2
"Cole, Cal",103,s3,cal,"Networks, A",8.00,80,h3
"Student, Test",999,,c0ffee,"Networks, A",,,
"""
MOODLE = """\
First name,Last name,ID number,Email address,Assignment: Lab 1 (Real),target
Ann,Ames,00101,ann@example.org,3.00,h1
Bob,Bird,00102,bob@example.org,-,h2
Cal,Cole,00103,cal@example.org,8.00,h3
"""


def rows_of(tmp_path, text: str) -> list[Row]:
    """Grade Ann with 90 and Bob with 50; Cal's machine is off."""
    path = tmp_path / "export.csv"
    path.write_text(text, encoding="utf-8-sig")
    ann, bob, cal = roster.read(path, LAB).students
    return [
        Row(ann, samples.all_passed(), Grade(90), ""),
        Row(bob, samples.server2_stopped(), Grade(50, "=late"), ""),
        Row(cal, None, Grade(None), "it is off"),
    ]


@pytest.mark.parametrize("ann", ["s1", ""])
def test_canvas_export_comes_back_as_grades_of_the_same_students(tmp_path, ann):
    users = [
        CanvasUser(101, "Ann Ames", ann, "ann"),
        CanvasUser(102, "Bob Bird", "s2", "bob"),
        CanvasUser(103, "Cal Cole", "s3", "cal"),
        CanvasUser(999, "Test Student", "", "c0ffee"),
    ]
    there = Canvas(users, {7: "Lab 1"}, {7: 10.0})
    there.grades = {("Ann Ames", 7): "3", ("Cal Cole", 7): "8", ("Test Student", 7): "1"}
    rows = rows_of(tmp_path, CANVAS.format(ann=ann))
    there.take(platforms.canvas(rows, LAB.title, Assignment("Lab 1 (7)", 10)).text)
    assert there.grades == {
        ("Ann Ames", 7): "9",
        ("Bob Bird", 7): "5",
        ("Cal Cole", 7): "8",
        ("Test Student", 7): "1",
    }
    assert (there.titles, there.points, there.unknown) == ({7: "Lab 1"}, {7: 10.0}, [])


@pytest.mark.parametrize("by", ["idnumber", "email"])
def test_moodles_export_comes_back_as_grades_of_the_same_students(tmp_path, by):
    ids = {
        "idnumber": ["00101", "00102", "00103"],
        "email": [f"{name}@example.org" for name in ("ann", "bob", "cal")],
    }[by]
    there = Moodle(set(ids), {ids[0]: 3.0, ids[2]: 8.0}, most=10)
    rows = rows_of(tmp_path, MOODLE)
    made = platforms.moodle(rows, LAB.title, Assignment("Lab 1", 10, by))
    there.take(made.text)
    assert there.grades == {ids[0]: 9.0, ids[1]: 5.0, ids[2]: 8.0}
    assert "1 without a grade" in made.summary
    assert ids[2] not in there.feedback
    assert not there.feedback[ids[1]].startswith("=")


def test_gradescope_is_given_only_keys_and_words_that_it_knows(tmp_path):
    known = {"score", "output", "visibility", "stdout_visibility", "extra_data", "tests"}
    of_a_test = {"name", "number", "output", "output_format", "score", "max_score", "status"}
    for row in rows_of(tmp_path, MOODLE):
        body = json.loads(platforms.gradescope(row))
        assert set(body) <= known
        assert body["output"], "there is something to read, whatever happened"
        for test in body["tests"]:
            assert set(test) <= of_a_test | {"extra_data"}
            assert test["output_format"] == "text"
            assert test.get("status", "passed") in ("passed", "failed")
