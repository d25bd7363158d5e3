"""A platform's file takes grades there, and removes or moves none that is there already."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from labwright.batch import gradebook_platforms as platforms
from labwright.batch.grade_rule import Grade
from labwright.batch.gradebook import Row
from labwright.batch.gradebook_platforms import Assignment
from labwright.batch.student import Student
from labwright.errors import UsageError

from . import samples
from .platform_importers import Canvas, CanvasUser, Moodle, Refused

TITLE = "Balance two servers"
PLAIN = Assignment()


def student(id: str, name: str = "", email: str = "", **extra: str) -> Student:
    return Student(id, f"ssh://{id}", name or id.title(), email, extra=extra)


def graded(one: Student, points: float | None, remark: str = "") -> Row:
    problem = "" if points is not None else "it could not be reached"
    return Row(one, samples.all_passed(), Grade(points, remark), problem)


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


# Moodle.


def test_moodle_keeps_the_grade_of_a_student_whom_we_could_not_grade():
    there = Moodle({"a", "b"}, {"a": 20.0, "b": 70.0})
    made = platforms.moodle([graded(student("a"), 90), graded(student("b"), None)], TITLE, PLAIN)
    there.take(made.text)
    assert there.grades == {"a": 90.0, "b": 70.0}
    assert made.left_out == {"b": "without a grade"}
    assert made.summary == "moodle.csv: 1 student left out: 1 without a grade (b)"


@pytest.mark.parametrize("missing", ["", "0", "=x", "+x"])
def test_moodle_gives_nobody_the_grade_of_a_student_without_an_identifier(missing):
    rows = [
        graded(student("a", login="ann"), 90),
        graded(student("b", login=missing), 10),
        graded(student("c", login="cal"), 50),
    ]
    there = Moodle({"ann", "cal"})
    made = platforms.moodle(rows, TITLE, Assignment(moodle_by="username"))
    there.take(made.text)
    assert there.grades == {"ann": 90.0, "cal": 50.0}
    assert list(made.left_out) == ["b"]


def test_two_students_with_one_identifier_are_both_left_out():
    rows = [
        graded(student(id, email=f"{mail}@x"), 1) for id, mail in zip("abc", "mMn", strict=True)
    ]
    made = platforms.moodle(rows, TITLE, Assignment(moodle_by="email"))
    assert [row[0] for row in table(made.text)] == ["email", "n@x"]
    assert set(made.left_out.values()) == {"whose email another student has as well"}


@pytest.mark.parametrize("id", ["a  b", "a\u00a0b", "a\u202e", " a", "=a", "a\u2028b"])
@pytest.mark.parametrize("form", [platforms.moodle, platforms.canvas])
def test_an_identifier_that_a_cell_would_change_is_in_no_file(form, id):
    one = student("x", moodle_id=id, sis_id=id)
    made = form([graded(one, 50)], "Lab", Assignment())
    assert made.left_out == {"x": next(iter(made.left_out.values()))}
    assert "would misread" in made.summary


def test_moodle_can_know_students_by_another_number_than_ours():
    made = platforms.moodle([graded(student("a", moodle_id="0042"), 1)], TITLE, PLAIN)
    assert table(made.text)[1][0] == "0042"


def test_moodle_is_given_no_grade_that_would_make_it_refuse_the_file():
    rows = [graded(student("a"), 110), graded(student("b"), -5)]
    there = Moodle({"a", "b"})
    there.take(platforms.moodle(rows, TITLE, PLAIN).text)
    assert there.grades == {"a": 100.0, "b": 0.0}


def test_moodle_that_refuses_much_is_given_the_maximum_that_it_was_told():
    big = replace(samples.all_passed(), steps=samples.all_passed().steps * 2)
    rows = [Row(student("a"), big, Grade(150), "")]
    made = platforms.moodle(rows, TITLE, PLAIN)
    with pytest.raises(Refused):
        Moodle({"a"}).take(made.text)
    assert "Moodle refuses grades above 100" in made.summary
    there = Moodle({"a"})
    made = platforms.moodle(rows, TITLE, Assignment("Lab 1", 10))
    there.take(made.text)
    assert there.grades == {"a": 7.5}
    assert table(made.text)[0] == ["idnumber", "Lab 1", "Lab 1 (feedback)"]
    assert not made.summary


def test_feedback_says_what_failed_and_what_to_do():
    row = Row(student("a"), samples.server2_stopped(), Grade(55, "<b>2 days late</b>"), "")
    there = Moodle({"a"})
    there.take(platforms.moodle([row], TITLE, PLAIN).text)
    said = there.feedback["a"]
    assert said.startswith("55 of 100 points. &lt;b&gt;2 days late&lt;/b&gt; Failed: server2 runs")
    assert "seen: it exited with status 0, 41 seconds ago" in said
    assert "What to do: Start it with `docker start server2`" in said
    assert said.endswith("Not checked because of that: 5 steps.")


def test_feedback_of_a_hostile_machine_is_one_bounded_line():
    row = Row(student("a"), samples.hostile(), Grade(5), "")
    said = table(platforms.moodle([row], TITLE, PLAIN).text)[1][2]
    assert "<" not in said
    assert said.isprintable()
    assert len(platforms.feedback(row)) <= platforms.FEEDBACK_LIMIT


# Canvas.


def course(*users: CanvasUser) -> Canvas:
    return Canvas([*users], {7: "Lab 1"}, {7: 10.0})


ANN, BOB = CanvasUser(1, "Ann", "s1", "ann"), CanvasUser(2, "Bob", "s2", "bob")


def test_canvas_keeps_the_grade_of_a_student_whom_we_could_not_grade():
    there = course(ANN, BOB)
    there.grades = {("Ann", 7): "2", ("Bob", 7): "7"}
    rows = [graded(student("s1"), 90), graded(student("s2"), None)]
    made = platforms.canvas(rows, TITLE, Assignment("Lab 1 (7)", 10))
    there.take(made.text)
    assert there.grades == {("Ann", 7): "9", ("Bob", 7): "7"}
    assert made.summary == "canvas.csv: 1 student left out: 1 without a grade (s2)"


def test_canvas_finds_an_assignment_by_its_id_and_its_points_stay_unless_chosen():
    there = course(ANN)
    rows = [graded(student("s1"), 90)]
    there.take(platforms.canvas(rows, TITLE, Assignment("Lab 1 (7)")).text)
    assert (there.titles, there.points) == ({7: "Lab 1"}, {7: 10.0})
    there.take(platforms.canvas(rows, TITLE, Assignment("Other title (7)", 20)).text)
    assert (there.titles, there.points) == ({7: "Lab 1"}, {7: 20.0})
    there.take(platforms.canvas(rows, TITLE, PLAIN).text)
    assert (there.titles[-2], there.points[-2]) == (TITLE, 100.0)


def test_canvas_gives_nobody_the_grade_of_somebody_else_of_the_same_name():
    there = course(ANN, CanvasUser(3, "Eve", "s3", "eve"))
    rows = [
        graded(student("s3", "Eve"), 90),
        graded(student("s9", "Eve"), 10),
        graded(student("x", "Points Possible"), 3),
    ]
    there.take(platforms.canvas(rows, TITLE, Assignment("Lab 1 (7)")).text)
    assert there.grades == {("Eve", 7): "90"}
    assert there.points == {7: 10.0}
    assert there.unknown == ["Eve s9", "x"]


def test_canvas_ids_of_its_own_count_and_without_any_a_row_is_left_out():
    rows = [
        graded(student("a", canvas_id="1"), 90),
        graded(student("b", canvas_id=""), 80),
        graded(student("c", canvas_id="2nd"), 70),
        graded(student("d", canvas_id="", login="1.2.3"), 60),
    ]
    there = course(ANN, BOB)
    made = platforms.canvas(rows, TITLE, Assignment("Lab 1 (7)"))
    there.take(made.text)
    assert there.grades == {("Ann", 7): "90"}
    assert made.left_out == {
        "b": "without Canvas id, SIS id or login",
        "c": "whose Canvas id, SIS id or login the platform would misread",
        "d": "whose Canvas id, SIS id or login the platform would misread",
    }


@pytest.mark.parametrize("name", ["Final Score lab", "override grade"])
def test_a_name_that_canvas_would_ignore_is_refused(name):
    with pytest.raises(UsageError, match="one of its own totals"):
        Assignment(name).check()


@pytest.mark.parametrize("points", [0, -1, float("nan"), float("inf")])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(UsageError, match="--points"):
        Assignment(points=points).check()


def test_many_students_who_are_left_out_are_counted():
    rows = [graded(student(f"s{n}"), None) for n in range(20)]
    assert (
        "(s0, s1, s2, s3, s4, s5, s6, s7 and 12 more)"
        in platforms.canvas(rows, TITLE, PLAIN).summary
    )


# Gradescope.


def test_gradescope_gets_a_score_only_where_there_is_a_grade():
    eve = Row(student("e"), samples.server2_stopped(), Grade(55), "")
    bob = Row(student("b"), samples.ssh_broken(), Grade(None), "no way\nto it")
    left = Row(student("l"), None, Grade(None), "not examined yet")
    bodies = [json.loads(platforms.gradescope(row)) for row in (eve, bob, left)]
    assert bodies[0]["score"] == 55
    assert sum(test["max_score"] for test in bodies[0]["tests"]) == 100
    for body in bodies[1:]:
        assert "score" not in body
        assert not [test for test in body["tests"] if "score" in test or "status" in test]
    assert "no way to it" in bodies[1]["output"]
    failed = next(t for t in bodies[0]["tests"] if t["extra_data"]["outcome"] == "failed")
    assert (failed["status"], failed["score"]) == ("failed", 0)
    assert "it exited with status 0" in failed["output"]
