"""A class is graded whatever its machines do: a fake spread stands for the workers."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from labwright.batch import grade_rule, outputs, similar_machines
from labwright.batch import gradebook_platforms as platforms
from labwright.batch.folder import Folder
from labwright.batch.grade_one import Teller, grade_one
from labwright.batch.gradebook_platforms import Assignment
from labwright.batch.grading import Deadline, Grading, seed_of
from labwright.batch.journal import Attempt, Begun, Journal
from labwright.batch.pool import workers_for
from labwright.batch.stop import Stop
from labwright.batch.student import Student
from labwright.batch.task import Examined, Identity, Task
from labwright.cli import main
from labwright.errors import SetupError, UsageError
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.outcome import Outcome

from . import samples

LAB = load_lab(find_lab("gorb"))
RIGHT, WRONG = samples.all_passed(), samples.server2_stopped()
BROKEN = samples.ssh_broken()
WORSE = replace(BROKEN, steps=tuple(replace(s, outcome=Outcome.BROKEN) for s in BROKEN.steps))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vbX6hYcUxY1cPDdJcxk5yTkC1bq9YvFq0lXo0aaaa"
CUT_OFF = KEY[:-12]


def students(*ids: str) -> list[Student]:
    return [Student(id, f"ssh://{id}.example.org", name=id.title(), row=2) for id in ids]


def examined(id: str, score, problem: str = "", **more) -> Examined:
    broken = [step.reason for step in score.steps if step.outcome is Outcome.BROKEN]
    problem = problem or (broken[0] or "broken" if broken else "")
    return Examined(id, score, problem, text=score.to_json(), **more)


class Workers:
    """Answers for each student in turn with what was given, the last for ever."""

    def __init__(self, **scores) -> None:
        self.scores = {id: list(found) for id, found in scores.items()}
        self.asked: list[Task] = []
        self.after = None

    def __call__(self, groups, stop, listener) -> None:
        for group in groups:
            for task in group:
                if stop.finishing:
                    return
                self.asked.append(task)
                listener.started(task.id)
                scores = self.scores[task.id]
                found = scores.pop(0) if len(scores) > 1 else scores[0]
                listener.ended(found if isinstance(found, Examined) else examined(task.id, found))
                if self.after:
                    self.after(task, stop)

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(task.id for task in self.asked))


class Nobody:
    def round(self, students: int, attempt: int) -> None: ...
    def started(self, id: str) -> None: ...
    def ended(self, examined: Examined) -> None: ...


ALL = RunOptions()


@pytest.fixture
def run(tmp_path):
    def run(
        workers,
        ids="ab",
        out="out",
        *,
        resume=False,
        members=None,
        options=ALL,
        again=(),
        policy=None,
    ) -> Grading:
        place = tmp_path / f"stop{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        folder = Folder(tmp_path / out)
        grading = Grading(members or students(*ids), LAB, folder, options, 60)
        with folder.locked():
            grading.begin(7, resume=resume)
            grading.count(policy or grading.policy)
            grading.again = set(again)
            grading.run(workers, Nobody(), Stop(place))
            outputs.write(grading, LAB, folder, grade_rule.as_scored, platforms.NAMES, Assignment())
        return grading

    return run


def journal(tmp_path, out="out") -> list[dict]:
    return [json.loads(line) for line in (tmp_path / out / "journal.jsonl").open()]


def gradebook_rows(tmp_path) -> list[dict]:
    with (tmp_path / "out/gradebook.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def outcome(grading: Grading) -> dict[str, tuple]:
    return {
        id: (record.graded, record.score and record.score.points, record.problem)
        for id, record in grading.records.items()
    }


def test_who_broke_is_tried_once_more_at_the_end_and_nobody_else(run):
    workers = Workers(a=[BROKEN, RIGHT], b=[WRONG], c=[BROKEN])
    grading = run(workers, "abc")
    assert [task.id for task in workers.asked] == ["a", "b", "c", "a", "c"]
    assert {id: record.graded for id, record in grading.records.items()} == {
        "a": True,
        "b": True,
        "c": False,
    }


def test_a_second_try_that_sees_less_does_not_cost_what_was_seen_before(run, tmp_path):
    grading = run(Workers(a=[BROKEN, WORSE]), "a")
    assert grading.records["a"].score.points == BROKEN.points
    kept = json.loads((tmp_path / "out/students/a/score.json").read_text())
    assert kept["points"] == BROKEN.points
    assert not (tmp_path / "out/students/a/attempts/002").exists()
    again = run(Workers(a=[WORSE]), "a", resume=True)
    assert again.records["a"].score.points == BROKEN.points


def test_who_is_graded_again_has_both_attempts_and_the_better_one_counts(run, tmp_path):
    run(Workers(a=[RIGHT], b=[WRONG]))
    worse = run(Workers(a=[WRONG]), "ab", resume=True, again="a")
    assert worse.records["a"].score.points == 100
    assert worse.records["a"].choice.why == "the best of 2"
    better = run(Workers(b=[RIGHT]), resume=True, again="b")
    assert better.records["b"].score.points == 100
    kept = sorted((tmp_path / "out/students").glob("*/attempts/*/score.json"))
    assert [json.loads(path.read_text())["points"] for path in kept] == [100, 55, 55, 100]
    noted = [line for line in journal(tmp_path) if line["line"] == "counts"]
    assert [(line["id"], line["number"], line["why"]) for line in noted] == [
        ("a", 1, "the only attempt that was graded"),
        ("b", 1, "the only attempt that was graded"),
        ("a", 1, "the best of 2"),
        ("b", 2, "the best of 2"),
    ]


def test_the_last_attempt_counts_where_that_was_chosen_and_the_best_again(run):
    run(Workers(a=[RIGHT]), "a")
    last = run(Workers(a=[WRONG]), "a", resume=True, again="a", policy="last")
    assert last.records["a"].score.points == 55
    stays = run(Workers(), "a", resume=True)
    assert (stays.policy, stays.records["a"].score.points) == ("last", 55)
    assert run(Workers(), "a", resume=True, policy="best").records["a"].score.points == 100


def test_a_machine_that_is_off_or_breaks_later_takes_no_grade_away(run, tmp_path):
    run(Workers(a=[RIGHT]), "a")
    for found in (BROKEN, WORSE, Examined("a", WORSE, "no way", reached=False)):
        grading = run(Workers(a=[found]), "a", resume=True, again="a", policy="last")
        assert grading.records["a"].score.points == 100
    assert "a,100," in (tmp_path / "out/moodle.csv").read_text()


def test_nothing_that_is_done_to_the_handed_out_files_takes_a_grade_away(run, tmp_path):
    run(Workers(a=[RIGHT], b=[WRONG]))
    (tmp_path / "out/students/a/score.json").write_text(BROKEN.to_json())
    shutil.rmtree(tmp_path / "out/students/b")
    workers = Workers()
    grading = run(workers, resume=True)
    assert workers.asked == []
    assert {id: r.choice.attempt.points for id, r in grading.records.items()} == {
        "a": 100,
        "b": 55,
    }
    assert json.loads((tmp_path / "out/students/a/score.json").read_text())["points"] == 100
    (row,) = [row for row in gradebook_rows(tmp_path) if row["id"] == "b"]
    assert (row["points"], row["server2-running"]) == ("55", "failed")
    assert "the points in the journal count" in row["remark"]


@pytest.mark.parametrize("apart", [199, pytest.param(7, marks=pytest.mark.simulation)])
def test_at_whatever_moment_a_grader_is_killed_every_grade_that_was_noted_stays(
    run, tmp_path, apart
):
    """States of the disk that a kill can leave: the journal cut off after each line, and within."""
    run(Workers(a=[RIGHT], b=[WRONG]))
    run(Workers(b=[RIGHT]), resume=True, again="b")
    whole = (tmp_path / "out/journal.jsonl").read_bytes()
    ends = [
        place
        for place in range(len(whole) + 1)
        if place % apart == 0 or whole[:place][-1:] == b"\n"
    ]
    for end in ends:
        (tmp_path / "out/journal.jsonl").write_bytes(whole[:end])
        before = Journal(tmp_path / "out/journal.jsonl")
        if before.begun is None:
            continue
        noted = {}
        for attempt in before.attempts:
            noted[attempt.id] = max(attempt.points, noted.get(attempt.id, 0))
        grading = run(Workers(a=[RIGHT], b=[WRONG]), resume=True)
        for id, points in noted.items():
            assert grading.records[id].choice.attempt.points >= points, (end, id)
    assert json.loads((tmp_path / "out/students/a/attempts/001/score.json").read_text())


def test_what_a_killed_grader_left_of_an_attempt_is_not_written_over(run, tmp_path):
    run(Workers(a=[BROKEN]), "a")
    left = tmp_path / "out/students/a/attempts/003"
    left.mkdir()
    (left / "score.json").write_text("of a grader that was killed before it noted it")
    (tmp_path / "out/students/a/attempts/.004").mkdir()
    grading = run(Workers(a=[RIGHT]), "a", resume=True)
    assert grading.records["a"].choice.attempt.number == 4
    assert (left / "score.json").read_text().startswith("of a grader")


MADE_WHEN = ("journal.jsonl", "scores.jsonl", ".made-from")
"""Files that hold times."""


def test_resume_does_what_is_missing_and_no_more_and_ends_as_if_uninterrupted(run, tmp_path):
    given = {"a": [RIGHT], "b": [BROKEN, WRONG], "c": [RIGHT], "d": [WRONG]}
    whole = run(Workers(**given), "abcd", "whole")
    first = Workers(**given)
    first.after = lambda task, stop: stop.finish("enough") if task.id == "b" else None
    run(first, "abcd")
    assert first.counts == {"a": 1, "b": 1}
    second = Workers(**{**given, "b": first.scores["b"]})
    resumed = run(second, "abcd", resume=True)
    assert second.counts == {"b": 1, "c": 1, "d": 1}
    assert outcome(resumed) == outcome(whole)
    seeds = {task.id: task.options.seed for task in (*first.asked, *second.asked)}
    assert seeds == {id: seed_of(7, id) for id in "abcd"}
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file() and path.name not in MADE_WHEN:
            other = tmp_path / "out" / path.relative_to(tmp_path / "whole")
            assert other.read_bytes() == path.read_bytes(), path
    third = Workers()
    run(third, "abcd", resume=True)
    assert third.asked == []


def test_who_has_another_machine_now_is_graded_there_and_keeps_the_grade_until_then(run):
    run(Workers(a=[RIGHT], b=[RIGHT]))
    moved = [*students("a"), Student("b", "ssh://elsewhere")]
    off = Workers(b=[WORSE])
    grading = run(off, resume=True, members=moved)
    assert off.counts == {"b": 2}
    assert grading.records["b"].score.points == 100
    assert "graded at another target" in grading.records["b"].choice.why
    grading = run(Workers(b=[WRONG]), resume=True, members=moved)
    assert grading.records["b"].score.points == 55


def test_another_grading_of_the_same_folder_is_refused(run):
    run(Workers(a=[RIGHT]), "a")
    with pytest.raises(UsageError, match="already a grading: continue it with --resume"):
        run(Workers(a=[RIGHT]), "a")
    with pytest.raises(UsageError, match="would not be comparable: judge all of it again with"):
        run(Workers(a=[RIGHT]), "a", resume=True, options=RunOptions(settings=("requests=5",)))


def test_a_grading_that_came_to_nobody_may_begin_anew(run):
    run(Workers(), "")
    workers = Workers(a=[RIGHT])
    run(workers, "a")
    assert workers.counts == {"a": 1}


def test_a_second_grader_is_refused_while_the_first_is_at_work(tmp_path):
    with (
        Folder(tmp_path).locked(),
        pytest.raises(UsageError, match="another grader is using this folder"),
        Folder(tmp_path).locked(),
    ):
        pytest.fail("it was let in")
    with Folder(tmp_path).locked():
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write to"), Folder(tmp_path / "file/x").locked():
        pass


def test_two_students_on_one_machine_are_examined_one_after_another(tmp_path):
    members = [Student("a", "ssh://x@h"), Student("b", "ssh://h"), Student("c", "ssh://y@H")]
    groups = []
    grading = Grading(members, LAB, Folder(tmp_path), ALL, 60)
    grading.run(lambda tasks, *_: groups.extend(tasks), Nobody(), Stop(tmp_path), dry=True)
    assert [[task.id for task in group] for group in groups] == [["a", "b", "c"]]


def test_trying_to_reach_everybody_tries_once_and_writes_nothing(tmp_path):
    members = students("a", "b")
    workers = Workers(a=[Examined("a", None)], b=[Examined("b", None, "no way", reached=False)])
    grading = Grading(members, LAB, Folder(tmp_path / "out"), ALL, 60)
    grading.run(workers, Nobody(), Stop(tmp_path), dry=True)
    assert workers.counts == {"a": 1, "b": 1}
    assert all(task.reach_only for task in workers.asked)
    assert grading.records["b"].problem == "no way"
    assert not (tmp_path / "out").exists()


def test_keys_are_pinned_where_they_are_met_first_and_told_to_each_its_own(run, tmp_path):
    met = {id: examined(id, BROKEN, pins=(f"{id} {KEY}",)) for id in "ab"}
    workers = Workers(a=[met["a"], RIGHT], b=[met["b"], RIGHT])
    members = [*students("a", "b"), replace(students("c")[0], host_key=KEY)]
    workers.scores["c"] = [RIGHT]
    run(workers, members=members)
    assert (tmp_path / "out/known_hosts").read_text() == f"a {KEY}\nb {KEY}\n"
    pins = [(task.id, task.pins) for task in workers.asked]
    assert pins[:3] == [("a", ()), ("b", ()), ("c", (f"c {KEY}",))]
    assert pins[3:] == [("a", (f"a {KEY}",)), ("b", (f"b {KEY}",))]


def test_a_key_that_is_pinned_is_not_replaced(tmp_path):
    folder = Folder(tmp_path)
    folder.pin([f"a {KEY}"])
    folder.pin([f"a {KEY[:-4]}bbbb", f"b {KEY}"])
    assert folder.pins() == [f"a {KEY}", f"b {KEY}"]


def test_a_key_of_which_a_crash_cut_off_the_end_is_not_held_against_the_machine(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "known_hosts").write_text(f"a {KEY}\nb {CUT_OFF}")
    assert folder.pins() == [f"a {KEY}"]
    folder.pin([f"b {KEY}"])
    assert Folder(tmp_path).pins() == [f"a {KEY}", f"b {KEY}"]


def test_what_was_seen_is_not_held_in_memory_but_in_the_files(run, tmp_path):
    grading = run(Workers(a=[RIGHT]), "a")
    assert not any(step.evidence for step in grading.records["a"].score.steps)
    kept = json.loads((tmp_path / "out/students/a/score.json").read_text())
    assert any(step["evidence"] for step in kept["steps"])


def test_at_the_end_of_the_time_for_all_the_rest_is_abandoned(tmp_path):
    stop = Stop(tmp_path)
    with Deadline(stop, 0.01) as deadline:
        deadline.timer.join()
    assert stop.abandoned
    assert "0.01 s for the class was reached" in stop.reason


def test_no_more_workers_are_started_than_there_are_students():
    assert workers_for(1) == 1
    assert 1 <= workers_for(500) <= 500


def test_a_platforms_file_that_is_there_already_never_tells_old_grades(run, tmp_path):
    workers = Workers(a=[RIGHT], b=[BROKEN])
    run(workers)
    grading = Grading(students(*"ab"), LAB, Folder(tmp_path / "out"), ALL, 60)
    (tmp_path / "stop").mkdir()
    workers.scores["b"] = [WRONG]
    with grading.folder.locked():
        grading.begin(7, resume=True)
        grading.run(workers, Nobody(), Stop(tmp_path / "stop"))
        outputs.write(grading, LAB, grading.folder, grade_rule.as_scored, (), Assignment())
    assert "\nb,55," in (tmp_path / "out/moodle.csv").read_text()
    assert "B,,b,,,55" in (tmp_path / "out/canvas.csv").read_text()
    assert json.loads((tmp_path / "out/students/b/results.json").read_text())["score"] == 55


# The journal.


def attempt(id: str, **more) -> Attempt:
    values = {"number": 1, "graded": True, "reached": True, "problem": "", "key": "k"}
    values |= {"digest": "d", "identity": Identity(("k",), containers=("c",)), "seconds": 1.5}
    return Attempt(id, **{**values, "steps": {"s": ("passed", 1.0, 1.0)}, **more})


def test_a_line_that_a_crash_cut_off_costs_itself_only(tmp_path):
    path = tmp_path / "journal.jsonl"
    begun = Begun("gorb", "hash", RunOptions(part=1), 7)
    Journal(path).write(begun)
    Journal(path).write(attempt("a"))
    with path.open("a") as file:
        file.write('{"line": "attempt", "id": "b", "nu')
    assert [found.id for found in Journal(path).attempts] == ["a"]
    Journal(path).write(attempt("c"))
    after = Journal(path)
    assert after.begun == begun
    assert [msgspec.structs.replace(e, at="") for e in after.attempts] == [
        attempt("a"),
        attempt("c"),
    ]


def test_a_last_line_counts_though_an_editor_took_its_end(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).write(Begun("gorb", "hash", ALL, 7))
    Journal(path).write(attempt("a"))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [found.id for found in Journal(path).attempts] == ["a"]
    Journal(path).write(attempt("b"))
    assert [found.id for found in Journal(path).attempts] == ["a", "b"]


def test_nulls_that_a_power_failure_left_are_passed_over(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).write(attempt("a"))
    with path.open("ab") as file:
        file.write(bytes(4096))
    Journal(path).write(attempt("b"))
    assert [found.id for found in Journal(path).attempts] == ["a", "b"]


ATTEMPT = msgspec.json.encode(attempt("a")).decode()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{}", "missing required field `line`"),
        ('{"line": "counts", "id": "a", "number": "1", "why": ""}', "Expected `int`, got `str`"),
        ('{"journal": "labwright/journal/v1", "lab": "gorb"}', "another version of labwright"),
        ('{"line": "begun", "journal": "labwright/journal/v2"}', "another version of labwright"),
        ("nonsense", "JSON is malformed"),
        ('{"line": "counts", "id": "a", "number": l, "why": ""}', "JSON is malformed"),
        ('"id": "a", "number": 1, "why": ""}', "Expected `object`"),
        ('{"line":"setting","name":"a","value":1}{"line":"begun"}', "JSON is malformed"),
        ('{"line": "setting", "name": "\udce4", "value": 1}', "."),
        (ATTEMPT.replace("passed", "pased"), "Invalid enum value 'pased'"),
        (ATTEMPT.replace("1.0", "-1.0"), "Expected `float` >= 0"),
        (ATTEMPT.replace('"number":1', '"number":0'), "Expected `int` >= 1"),
    ],
)
def test_a_line_of_somebody_elses_is_refused_with_its_number(tmp_path, line, told):
    path = tmp_path / "journal.jsonl"
    Journal(path).write(Begun("gorb", "hash", ALL, 7))
    with path.open("a", errors="surrogateescape") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=f"journal.jsonl:2: not a line of a journal: .*{told}"):
        _ = Journal(path).begun


def test_a_line_that_was_cut_off_after_any_byte_is_passed_over(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).write(Begun("gorb", "hash", ALL, 7))
    begun = path.read_bytes()
    for end in range(1, len(ATTEMPT)):
        path.write_bytes(begun + ATTEMPT.encode()[:end])
        assert list(Journal(path).attempts) == [], end


def test_a_journal_without_a_beginning_is_not_gone_on_with(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/journal.jsonl").write_text('{"line": "beg\n')
    with pytest.raises(UsageError, match="the beginning of its journal is missing"):
        run(Workers(), "a", resume=True)


def test_keeping_a_score_reads_no_more_the_longer_the_journal_is(run, tmp_path, monkeypatch):
    """The bytes that are read for a class of 30 are not those of a class of 10 squared."""
    read = Counter()
    pread, read_bytes = os.pread, Path.read_bytes
    monkeypatch.setattr(os, "pread", lambda *a: read.update(n=a[1]) or pread(*a))
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read.update(n=p.stat().st_size) or read_bytes(p)
    )
    small = {}
    for count in (10, 30):
        read.clear()
        ids = [f"s{n}" for n in range(count)]
        run(Workers(**{id: [WORSE] for id in ids}), ids, f"out{count}")
        small[count] = read["n"]
    assert small[30] <= 4 * small[10]


def test_a_task_and_what_became_of_it_travel_as_json():
    task = Task(
        "a",
        "ssh://h",
        "gorb",
        "j",
        ("a key",),
        RunOptions(2, ("b",), ("k=v",), 1),
        5,
        reach_only=True,
    )
    assert Task.from_json(task.to_json()) == task
    found = examined("a", BROKEN, identity=Identity(("k",), "m", "b"), pins=("a k",), seconds=2.0)
    assert Examined.from_json(found.to_json()) == found
    reached = Examined("a", None)
    assert Examined.from_json(reached.to_json()) == reached


# Who looks like whom.


def test_machines_that_share_what_no_two_have_by_chance_are_flagged():
    members = [*students("a", "b", "c"), Student("d", "ssh://me@a.example.org")]
    one = Identity(("key1",), "m1", "b1", "e1", ("c1", "c2"))
    found = similar_machines.find(
        members,
        {
            "a": one,
            "b": Identity(("key2",), "m1", "b2", "e2", ("c3",)),
            "c": Identity(("key3",), "", "", "", ()),
            "d": one,
        },
    )
    assert [(flag.students, flag.kinds) for flag in found] == [
        (("a", "b", "d"), ("machine",)),
        (("a", "d"), ("target", "boot", "container", "engine", "host key")),
    ]


def test_in_a_class_of_copies_a_few_are_named_and_the_others_counted(run):
    ids = [f"s{number}" for number in range(9)]
    copy = {"identity": Identity(boot="b1")}
    grading = run(Workers(**{id: [examined(id, RIGHT, **copy)] for id in ids}), ids)
    rows = {row.student.id: row.flags for row in outputs.rows_of(grading, grade_rule.as_scored)}
    assert rows["s0"] == ("the same boot of a machine as s1, s2, s3, s4, s5 and 3 more",)
    assert rows["s8"] == ("the same boot of a machine as s0, s1, s2, s3, s4 and 3 more",)


def test_what_most_machines_have_of_one_image_flags_nobody_and_hides_no_copy(run):
    ids = [f"s{number}" for number in range(9)]
    of_image = Identity(("key",), "m1", "", "e1", ("c1",))
    seen = {id: replace(of_image, boot=f"boot {id}") for id in ids}
    seen["s8"] = replace(seen["s7"])
    given = {id: [examined(id, RIGHT, identity=one)] for id, one in seen.items()}
    grading = run(Workers(**given), ids)
    rows = {row.student.id: row.flags for row in outputs.rows_of(grading, grade_rule.as_scored)}
    assert rows["s7"] == ("the same boot of a machine as s8",)
    assert not any(rows[id] for id in ids[:7])
    (note,) = outputs.image_notes(grading)
    assert note.startswith("9 of 9 machines have a container of the same id, the same Docker Engi")


def test_three_machines_alike_in_a_class_are_flagged(run):
    ids = ["a", "b", "c"]
    given = {id: [examined(id, RIGHT, identity=Identity(("key",)))] for id in ids}
    rows = outputs.rows_of(run(Workers(**given), ids), grade_rule.as_scored)
    assert rows[0].flags == ("the same SSH host key as b, c",)


def test_what_is_not_known_is_nothing_in_common():
    assert similar_machines.find(students("a", "b"), {"a": Identity(), "b": Identity()}) == []


# Rules.


def test_without_a_rule_the_points_are_the_grade():
    assert grade_rule.as_scored(students("a")[0], WRONG) == grade_rule.Grade(55)


def written(tmp_path, body: str) -> grade_rule.Rule:
    path = tmp_path / "late.py"
    path.write_text(f"def grade(student, score):\n    {body}\n")
    return grade_rule.load(path)


def test_a_rule_changes_points_and_may_say_why(tmp_path):
    late = written(tmp_path, "return score.points - int(student.extra['late']), 'late'")
    student = replace(students("a")[0], extra={"late": "10"})
    assert late(student, RIGHT) == grade_rule.Grade(90, "late")
    assert written(tmp_path, "return None")(student, RIGHT) == grade_rule.Grade(None)


@pytest.mark.parametrize(
    "body", ["return 1 / 0", "return float('nan')", "return 'many'", "raise SystemExit(0)"]
)
def test_a_rule_that_fails_gives_no_grade_and_says_so(tmp_path, body):
    grade = written(tmp_path, body)(students("a")[0], RIGHT)
    assert grade.points is None
    assert grade.remark.startswith("the rule late.py failed: ")


def test_a_file_that_is_no_rule_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    with pytest.raises(UsageError, match="a rule must define `def grade"):
        grade_rule.load(tmp_path / "a.py")
    for body in ("import nothing_of_that_name", "import sys; sys.exit(0)"):
        (tmp_path / "b.py").write_text(body)
        with pytest.raises(UsageError, match="the rule cannot be run"):
            grade_rule.load(tmp_path / "b.py")


def test_a_gradebook_that_was_made_with_a_rule_is_not_made_without_it_unasked(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run(Workers(a=[RIGHT]), "a")
    (tmp_path / "class.csv").write_text("id,target\na,a.example.org\n")
    written(tmp_path, "return score.points - 10")

    def resumed(*more: str) -> tuple[int, str]:
        status = main(["grade", "class.csv", "--out", "out", "--resume", *more])
        (row,) = csv.DictReader((tmp_path / "out/gradebook.csv").open())
        return status, row["points"]

    assert resumed() == (0, "100")
    assert "--only ID --again" in capsys.readouterr().err
    assert resumed("--rule", "late.py") == (0, "90")
    capsys.readouterr()
    assert resumed() == (2, "90")
    assert capsys.readouterr().err == (
        "labwright: out: its gradebook was made with a rule: give --rule late.py again, or "
        "--rule none for the points without a rule\n"
    )
    assert resumed("--rule", "late.py") == (0, "90")
    assert resumed("--rule", "none") == (0, "100")
    assert resumed() == (0, "100")


def test_a_worker_that_has_another_lab_examines_nobody():
    task = Task("a", "ssh://127.0.0.1:9", "gorb", definition="another")
    found = grade_one(task, Teller(io.StringIO()))
    assert "has another version of the lab gorb: install the same labwright" in found.problem
    assert not found.graded


def test_why_a_later_attempt_could_not_be_graded_is_said_beside_the_grade(run, tmp_path):
    run(Workers(a=[RIGHT]), "a")
    run(Workers(a=[Examined("a", WORSE, "no way", reached=False)]), "a", resume=True, again="a")
    (row,) = gradebook_rows(tmp_path)
    assert (row["points"], row["attempt"]) == ("100", "1 of 3")
    assert row["remark"] == "attempt 3 could not be graded: no way"
