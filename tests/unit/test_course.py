"""A term over several labs: attempts, dates, blocked steps, decisions by hand, weights."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from labwright.batch.course import read
from labwright.batch.course_folder import read_term
from labwright.batch.folder import Folder
from labwright.batch.grading import Grading
from labwright.batch.student import Student
from labwright.batch.task import Examined
from labwright.cli import main
from labwright.errors import DefinitionError
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.score import Score

from . import samples
from .platform_importers import Moodle

LAB = load_lab(find_lab("gorb"))
RIGHT, WRONG = samples.all_passed(), samples.server2_stopped()  # 100; 55, of 45 blocked 40
DUE = "2026-11-20T12:00:00+01:00"
BEFORE, LATE1, LATE3 = "2026-11-19", "2026-11-20T12:00:00+00:00", "2026-11-23T10:00:00+00:00"


def at(score: Score, moment: str) -> Score:
    moment = moment if "T" in moment else f"{moment}T10:00:00+00:00"
    return replace(score, started=moment, finished=moment)


@pytest.fixture
def place(tmp_path):
    """Make classes' folders: for each lab, each student's attempts, handed in."""

    def place(source: str = "handed in", **labs: dict[str, list[Score | str]]) -> Path:
        for lab, attempts in labs.items():
            folder = Folder(tmp_path / lab)
            members = [Student(id, f"ssh://{id}", id.title()) for id in attempts]
            with folder.locked():
                grading = Grading(members, LAB, folder, RunOptions(), 60)
                grading.begin(1, resume=True)
                folder.keep_roster(members)
                for id, found in attempts.items():
                    for score in found:
                        off = isinstance(score, str)
                        examined = (
                            Examined(id, None, score, reached=False)
                            if off
                            else Examined(id, score, text=score.to_json())
                        )
                        grading.keep(examined, source)
        return tmp_path

    return place


def term(base: Path, text: str, overrides: str = ""):
    (base / "course.toml").write_text(f'title = "Networks"\n{text}')
    if overrides:
        (base / "overrides.toml").write_text(overrides)
    course, decided = read(base / "course.toml")
    return read_term(base, course, decided)


def lab(id: str = "l1", more: str = "") -> str:
    return f'[[lab]]\nid = "{id}"\nfolder = "{id}"\n{more}\n'


def of(found, student: str = "a", lab: str = "l1"):
    return found.standings[student].grades[lab]


@pytest.mark.parametrize(
    ("counts", "points", "number", "why"),
    [
        ("best", 100, 2, "the best of 3"),
        ("last", 55, 3, "the last of 3"),
        ("last-before-due", 55, 1, "the only attempt that was graded, before the date"),
    ],
)
def test_which_attempt_counts_is_the_courses_to_say(place, counts, points, number, why):
    base = place(l1={"a": [at(WRONG, BEFORE), at(RIGHT, LATE1), at(WRONG, LATE3)]})
    found = of(term(base, f'counts = "{counts}"\n' + lab(more=f"due = {DUE}")))
    assert (found.points, found.attempt.number, found.why) == (points, number, why)
    assert found.attempts == 3


def test_the_best_attempt_is_the_best_after_the_late_rule(place):
    base = place(l1={"a": [at(WRONG, BEFORE), at(RIGHT, LATE3)]})
    rule = f"due = {DUE}\nlate = {{ percent = 20, cap = 100 }}"
    found = of(term(base, lab(more=rule)))
    assert (found.points, found.attempt.number) == (55, 1), "100 less 60 % is less than 55"


@pytest.mark.parametrize(
    ("moment", "late", "points", "said"),
    [
        (LATE1, "percent = 10", 90, "1 day late: 10 % of 100 points"),
        (LATE3, "percent = 10", 70, "3 days late: 30 % of 100 points"),
        (LATE3, "percent = 10, cap = 15", 85, "3 days late: 15 % of 100 points"),
        (LATE3, "percent = 10, days = 2", 0, "3 days late; nothing counts after 2 days"),
        (LATE1, "percent = 10, grace = 120", 100, ""),
        (BEFORE, "percent = 10", 100, ""),
    ],
)
def test_the_late_rule_is_declared_and_said(place, moment, late, points, said):
    base = place(l1={"a": [at(RIGHT, moment)]})
    found = of(term(base, lab(more=f"due = {DUE}\nlate = {{ {late} }}")))
    assert found.points == pytest.approx(points)
    assert found.remark == said


def test_a_machine_is_not_late_by_when_its_instructor_graded_it_unless_that_is_said(place):
    base = place("machine", l1={"a": [at(RIGHT, LATE3)]})
    rule = "late = {{ percent = 10{} }}"
    assert of(term(base, lab(more=f"due = {DUE}\n{rule.format('')}"))).points == 100
    machines = rule.format(", machines = true")
    assert of(term(base, lab(more=f"due = {DUE}\n{machines}"))).points == pytest.approx(70)


@pytest.mark.parametrize(
    ("blocked", "points"), [("zero", 55), ("half", 75), ("excluded", 55 / 60 * 100)]
)
def test_a_blocked_step_counts_by_the_courses_policy(place, blocked, points):
    base = place(l1={"a": [WRONG]})
    found = of(term(base, f'blocked = "{blocked}"\n' + lab()))
    assert found.points == pytest.approx(points)
    assert found.max_points == 100
    assert ("blocked steps" in found.remark) == (blocked != "zero")


DECISION = '[[override]]\nstudent = "a"\nlab = "l1"\nreason = "we rebooted it"\nby = "Eve"\n'


@pytest.mark.parametrize(
    ("decision", "points", "said"),
    [
        ("grade = 80", 80, "grade 80, decided by Eve: we rebooted it"),
        ('step = "server2-running"\npoints = 5', 60, "server2-running: 5 points, decided by Eve"),
        ("attempt = 1", 55, ""),
        ("due = 2026-12-24T00:00:00+00:00", 100, "due 2026-12-24 00:00, decided by Eve"),
    ],
)
def test_a_decision_by_hand_counts_and_is_shown_with_reason_and_name(place, decision, points, said):
    late = f"due = {DUE}\nlate = {{ percent = 10 }}"
    scores = [WRONG] if "step" in decision else [at(WRONG, BEFORE), at(RIGHT, LATE3)]
    found = of(term(place(l1={"a": scores}), lab(more=late), DECISION + decision))
    assert found.points == pytest.approx(points)
    assert said in found.remark
    assert "attempt" not in decision or "decided by Eve" in found.why


def test_a_student_without_an_attempt_has_a_grade_by_decision_only(place):
    base = place(l1={"a": ["it is off"], "b": [RIGHT]})
    assert of(term(base, lab())).points is None
    assert of(term(base, lab())).remark == "it is off"
    found = of(term(base, lab(), DECISION + "grade = 0"))
    assert (found.points, found.max_points) == (0, 100)


def test_a_decision_about_an_attempt_that_there_is_not_is_told(place):
    found = of(term(place(l1={"a": [RIGHT]}), lab(), DECISION + "attempt = 7"))
    assert found.points == 100
    assert "a decision about an attempt that was not graded: attempt 7 counts" in found.remark


def test_a_grade_without_a_score_is_on_the_platforms_scale_too(place, capsys):
    base = place(l1={"a": ["off"], "b": [RIGHT], "c": [RIGHT]})
    kept = base / "l1/students/c/attempts/001/score.json"
    kept.write_text("somebody has written over it")
    term(base, lab(more="points = 10"), DECISION + "grade = 80")
    assert main(["course", str(base / "course.toml"), "--moodle", "--canvas"]) == 0
    moodle = Moodle({"a", "b", "c"}, most=10)
    moodle.take((base / "course/moodle-l1.csv").read_text())
    assert moodle.grades == {"a": 8.0, "b": 10.0, "c": 10.0}
    rows = list(csv.DictReader((base / "course/canvas-l1.csv").open(newline="")))
    assert [row["l1"] for row in rows] == ["10", "8", "10", "10"], "the first is the maximum"


def test_the_total_is_by_weight_and_blank_until_every_lab_has_a_grade(place):
    base = place(l1={"a": [RIGHT], "b": [RIGHT]}, l2={"a": [WRONG], "b": ["off"]})
    found = term(base, lab("l1", "weight = 1") + lab("l2", "weight = 3") + lab("l3", "weight = 0"))
    assert found.standings["a"].total == pytest.approx((100 + 3 * 55) / 4)
    assert found.standings["b"].total is None
    assert found.standings["b"].so_far == 100


def test_one_gradebook_over_all_labs_and_the_platforms_files(place, capsys):
    base = place(l1={"a": [RIGHT], "b": [RIGHT]}, l2={"a": [WRONG], "b": ["off"]})
    late = f'due = {DUE}\nlate = {{ percent = 10 }}\nassignment = "Lab 1 (7)"\npoints = 10'
    term(base, lab("l1", late) + lab("l2"), DECISION + "grade = 90")
    before = {p: p.read_bytes() for p in base.glob("l[12]/**/*") if p.is_file()}
    assert main(["course", str(base / "course.toml"), "--moodle", "--canvas"]) == 3
    said = capsys.readouterr().err
    assert "1 of 2 students have a grade in every lab" in said
    assert "l2: moodle.csv: 1 student left out: 1 without a grade (b)" in said
    with (base / "course/gradebook.csv").open(newline="") as file:
        a, b = csv.DictReader(file)
    assert (a["l1"], a["l2"], a["total percent"]) == ("90", "55", "72.5")
    assert a["l1 remark"] == "grade 90, decided by Eve: we rebooted it"
    assert (b["l2"], b["l2 remark"], b["total percent"], b["so far percent"]) == (
        "",
        "off",
        "",
        "100",
    )
    moodle = Moodle({"a", "b"}, {"b": 3.0})
    moodle.take((base / "course/moodle-l1.csv").read_text())
    assert moodle.grades == {"a": 9.0, "b": 10.0}
    assert "grade 90, decided by Eve" in moodle.feedback["a"]
    assert "Lab 1 (7)" in (base / "course/canvas-l1.csv").read_text()
    page = (base / "course/index.html").read_text()
    assert "decided by Eve: we rebooted it" in page
    assert {p: p.read_bytes() for p in base.glob("l[12]/**/*") if p.is_file()} == before
    assert main(["course", str(base / "course.toml"), "--student", "a"]) == 0
    said = capsys.readouterr().err
    assert "l2: 55 of 100 (attempt 1: the only attempt that was graded)" in said
    assert "total: 72.5 %" in said


def test_a_lab_that_has_not_begun_has_no_grades(place):
    base = place(l1={"a": [RIGHT]})
    found = term(base, lab("l1") + lab("later"))
    assert of(found, lab="later").points is None
    assert found.standings["a"].total is None


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("x = 1\n" + lab(), 2, "unknown key 'x'"),
        (lab(more="due = 2026-11-20T12:00:00"), 5, "due needs a time zone"),
        (lab(more="weight = -1"), 5, "weight must be 0 or more"),
        (lab(more='weight = "2"'), 5, "must be a number"),
        (lab(more="points = 0"), 5, "points must be more than 0"),
        (lab(more="late = { grace = inf }"), 5, "grace must be from 0 to 1000000 minutes"),
        (lab(more="late = { grace = nan }"), 5, "grace must be from 0 to 1000000 minutes"),
        (lab(more="late = { grace = 1e300 }"), 5, "grace must be from 0 to 1000000 minutes"),
        (lab(more="late = { days = -1 }"), 5, "days must be 0 or more"),
        (lab(more="late = { percent = 120 }"), 5, "percent must be from 0 to 100"),
        (lab() + lab(), 7, "there are two labs 'l1'"),
        (lab("../x"), 3, "not an id"),
        ('counts = "first"\n' + lab(), 2, "must be one of best, last, last-before-due"),
        ("lab = []\n", 2, "the course has no lab"),
        ("[[lab]\n", 2, "not TOML"),
    ],
)
def test_what_is_wrong_in_a_course_is_told_with_its_line(tmp_path, text, line, told):
    with pytest.raises(DefinitionError) as caught:
        term(tmp_path, text)
    assert told in str(caught.value)
    assert caught.value.line == line or told in ("the course has no lab", "not TOML")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DECISION, "give exactly one of"),
        (DECISION + "grade = 1\nattempt = 2", "give exactly one of"),
        (DECISION + "points = 1", "give exactly one of"),
        (DECISION.replace("l1", "l9") + "grade = 1", "there is no lab 'l9'"),
        (DECISION.replace("Eve", " ") + "grade = 1", "a reason and a name"),
        (DECISION + "grade = -1", "grade must be 0 or more"),
        (DECISION.replace("reason", "because") + "grade = 1", "reason"),
    ],
)
def test_what_is_wrong_in_a_decision_is_told(tmp_path, text, told):
    with pytest.raises(DefinitionError, match=r"overrides\.toml:") as caught:
        term(tmp_path, lab(), text)
    assert told in str(caught.value)


def test_a_decision_about_nobody_is_told(place):
    found = term(place(l1={"b": [RIGHT]}), lab(), DECISION + "grade = 1")
    assert found.notes == ("a decision about 'a', who is not in the course",)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ('step = "server2-runing"\npoints = 5', "about a step that there is not"),
        ('step = "server2-running"\npoints = 500', "more points than the step has, 5"),
        ("attempt = 7", "about an attempt that was not graded"),
        ("grade = 1000", "more points than the lab has, 100"),
        ('step = "server2-running"\npoints = 5', ""),
        ("grade = 100", ""),
        ("attempt = 1", ""),
        ("due = 2026-11-27T12:00:00Z", ""),
    ],
)
def test_a_slip_in_a_decision_is_told(place, decision, said):
    found = term(place(l1={"a": [WRONG]}), lab(), DECISION + decision)
    assert len(found.notes) == bool(said)
    assert said in "".join(found.notes)


def test_a_decision_about_a_step_is_told_where_no_attempt_was_graded(place):
    base = place(l1={"a": [samples.ssh_broken()]})
    found = term(base, lab(), DECISION + 'step = "server2-running"\npoints = 5')
    assert of(found).points is None
    assert "a decision about a step, where no attempt was graded" in of(found).remark
    assert "it changes nothing" in found.notes[0]


@pytest.mark.parametrize("due", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
def test_any_date_can_be_compared(place, due):
    rule = "late = { percent = 10, grace = 60 }\n"
    found = term(place(l1={"a": [at(RIGHT, BEFORE)]}), rule + lab(more=f"due = {due}"))
    assert of(found).points == (100 if due > "2026" else 0)


def test_a_time_that_is_none_is_not_before_the_date(place):
    late = "late = { percent = 50, cap = 50 }\n"
    base = place(l1={"a": [replace(RIGHT, finished="never")]})
    assert of(term(base, late + lab(more="due = 2000-01-01T00:00:00Z"))).points == 50


def test_a_course_that_is_not_there_is_told(tmp_path, capsys):
    assert main(["course", str(tmp_path / "none.toml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_made_is_when_the_work_was_seen(place):
    base = place(l1={"a": [at(RIGHT, BEFORE)]})
    found = of(term(base, lab()))
    assert datetime.fromisoformat(found.attempt.made).day == 19
