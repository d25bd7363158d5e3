"""What students hand in is judged by its record alone; what is unusual is printed."""

from __future__ import annotations

import csv
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import in_process

from labwright.batch import pool, submission
from labwright.batch.challenge import Challenge
from labwright.batch.task import Examined, Identity
from labwright.cli import main
from labwright.errors import UsageError
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.outcome import Outcome
from labwright.score import Score

RECORD = (Path(__file__).parents[1] / "unit" / "data" / "deployed.json").read_text()
LAB = load_lab(find_lab("gorb"))
OLD = Score.from_json(RECORD)
IN_PROCESSES = pool.spread
"""Each file is judged in a process of its own, as it is in earnest."""


def run_of(number: int) -> Score:
    """The record of another run, all times of which are others."""
    assert RECORD.count("17958274") == 7
    return Score.from_json(RECORD.replace("17958274", f"179582{number:02}"))


def made(student: str, score: Score, challenge: str = "", machine: str = "") -> dict:
    identity = Identity(machine=machine or student * 4)
    return json.loads(submission.make(score, LAB, student, {}, challenge, identity))


@pytest.fixture
def collect(tmp_path, capsys, monkeypatch):
    (tmp_path / "class.csv").write_text(
        "id,name,canvas_id,participant\n"
        "ann,Ann,101,Participant 4201\nbob,Bob,102,Participant 4202\ncal,Cal,103,Participant 4203\n"
    )
    (tmp_path / "in").mkdir()

    def collect(
        files: dict[str, object], *more: str, spread=in_process.spread
    ) -> tuple[int, str, dict[str, dict[str, str]]]:
        monkeypatch.setattr(pool, "spread", spread)
        for name, body in files.items():
            path = tmp_path / "in" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(body if isinstance(body, str) else json.dumps(body))
        roster = ["--roster", str(tmp_path / "class.csv"), "--out", str(tmp_path / "out")]
        status = main(["collect", str(tmp_path / "in"), *roster, *more])
        said = capsys.readouterr().err
        if not (tmp_path / "out/gradebook.csv").exists():
            return status, said, {}
        with (tmp_path / "out/gradebook.csv").open(newline="") as file:
            return status, said, {row["id"]: row for row in csv.DictReader(file)}

    return collect


def test_points_in_a_file_are_not_believed(collect):
    lied = replace(
        run_of(50), steps=tuple(replace(s, max_points=900, points=900) for s in OLD.steps)
    )
    lied = replace(
        lied,
        steps=tuple(
            replace(s, observations=o.observations)
            for s, o in zip(lied.steps, run_of(50).steps, strict=True)
        ),
    )
    status, said, book = collect({"a.lab": made("ann", lied), "b.lab": made("bob", run_of(51))})
    assert status == 0
    assert (book["ann"]["points"], book["ann"]["max_points"]) == ("100", "100")
    assert "ann: 100: it claims 10800 points, but its record gives 100" in said
    assert "it claims 10800 points" in book["ann"]["flags"]
    assert (book["bob"]["points"], book["bob"]["flags"]) == ("100", "")


def test_a_file_that_was_edited_is_told(collect):
    edited = made("ann", run_of(50))
    step = next(s for s in edited["score"]["steps"] if s["id"] == "server2-running")
    step["evidence"][0]["saw"] = "all is well"
    _, said, book = collect({"a.lab": edited})
    assert "the file was changed after it was made" in book["ann"]["flags"]
    assert "its evidence does not match its record: server2-running" in said


@pytest.mark.parametrize("key", ["student", "machine", "values", "challenge"])
def test_whatever_is_edited_in_a_file_is_told(collect, key):
    body = made("ann", run_of(50))
    body[key] = {
        "student": "bob",
        "machine": {**body["machine"], "machine": "b" * 64},
        "values": {"a": "b"},
        "challenge": "x",
    }[key]
    _, said, _ = collect({"a.lab": body})
    assert "the file was changed after it was made" in said


def test_a_record_of_another_time_than_it_says_is_told(collect):
    real = run_of(50)
    _, said, _ = collect({"a.lab": made("ann", real)})
    assert "do not match the times" not in said
    early = replace(run_of(51), started="2026-01-01T10:00:00Z", finished="2026-01-01T10:01:00Z")
    _, said, _ = collect({"b.lab": made("bob", early)})
    assert "bob: 100: the times in its record do not match the times in the file" in said


def test_a_file_with_points_and_no_record_is_no_grade_and_names_no_file_of_ours(collect):
    steps = tuple(replace(step, observations=()) for step in OLD.steps)
    status, _, book = collect({"a.lab": made("ann", replace(OLD, steps=steps))})
    assert status == 3
    assert book["ann"]["points"] == ""
    assert book["ann"]["remark"] == ("it contains no record, only points, which are not trusted")


def test_what_is_neither_file_nor_folder_is_refused_and_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.lab")
    (tmp_path / "class.csv").write_text("id\nann\n")
    roster = ["--roster", str(tmp_path / "class.csv"), "--out", str(tmp_path / "out")]
    assert main(["collect", str(tmp_path / "pipe.lab"), *roster]) == 2
    assert "neither a file nor a folder" in capsys.readouterr().err


def test_a_record_without_what_the_lab_asks_is_no_grade_and_no_zero(collect):
    score = run_of(50)
    less = replace(score, steps=score.steps[:3])
    status, said, book = collect({"a.lab": made("ann", less)})
    assert status == 3
    assert book["ann"]["points"] == ""
    assert "its record is incomplete for this lab" in book["ann"]["remark"]
    assert "ann: not graded" in said


def test_a_copied_record_is_told_of_both_whatever_name_it_was_given(collect):
    score = run_of(50)
    collect({"a.lab": made("ann", score)})
    renamed = replace(score, target="ssh://mine", started="2026-01-01T00:00:00+00:00")
    _, said, book = collect({"b.lab": made("bob", renamed)})
    assert "bob: 100: ann handed in the same record" in said
    assert "ann handed in the same record" in book["bob"]["flags"]
    assert "bob handed in the same record" in book["ann"]["flags"], "nobody knows whose it was"
    _, _, book = collect({"c.lab": made("cal", run_of(52), machine="ann" * 4)})
    assert "the same machine-id as cal" in book["ann"]["flags"]


def test_a_file_of_another_lab_of_nobody_or_no_file_at_all_is_refused_and_the_others_taken(collect):
    other = {**made("bob", run_of(51)), "lab": "docker-server"}
    status, said, book = collect(
        {
            "a.lab": made("ann", run_of(50)),
            "b.lab": other,
            "c.lab": made("eve", run_of(52)),
            "d.lab": '{"format": "labwright/submission/v1"}',
            "e.lab": "[" * 100_000,
            "f.lab": b"PK\x03\x04".decode("latin-1"),
        },
        spread=IN_PROCESSES,
    )
    assert status == 3
    assert "b.lab: it is for the lab 'docker-server', not for gorb" in said
    assert "c.lab: it names the student 'eve', who is not in the roster" in said
    assert said.count("not a file made by `labwright submit`") == 3
    assert {id: row["points"] for id, row in book.items()} == {"ann": "100", "bob": "", "cal": ""}


def test_another_edition_or_variant_of_the_lab_is_told(collect):
    edition = {**made("ann", run_of(50)), "definition": "0" * 64}
    variant = {**made("bob", run_of(51)), "document": "0" * 64}
    _, _, book = collect({"a.lab": edition, "b.lab": variant})
    assert "another version of the lab" in book["ann"]["flags"]
    assert "another variant of the document" in book["bob"]["flags"]


def test_what_was_taken_in_before_is_not_taken_twice(collect, tmp_path):
    collect({"a.lab": made("ann", run_of(50))})
    status, said, _ = collect({})
    assert status == 0
    assert "1 file had been collected earlier" in said
    lines = [json.loads(line) for line in (tmp_path / "out/journal.jsonl").open()]
    assert len([line for line in lines if line["line"] == "attempt"]) == 1


def test_what_could_not_be_judged_for_our_own_fault_is_judged_when_it_comes_again(
    collect,
):
    def killed(groups, workers, stop, lock, listener):
        for (task,) in groups:
            listener.ended(Examined(task.id, None, "its process was killed", reached=False))

    status, _, book = collect({"a.lab": made("ann", run_of(50))}, spread=killed)
    assert (status, book["ann"]["points"]) == (3, "")
    status, said, book = collect({})
    assert (status, book["ann"]["points"], book["ann"]["flags"]) == (0, "100", ""), said
    assert "collected earlier" in collect({})[1]


def test_what_is_wrong_with_a_file_itself_is_said_once(collect):
    steps = tuple(replace(step, observations=()) for step in OLD.steps)
    assert collect({"a.lab": made("ann", replace(OLD, steps=steps))})[0] == 3
    assert "1 file had been collected earlier" in collect({})[1]


@pytest.mark.parametrize(
    "name",
    [
        "Bob Bird_4202_assignsubmission_file/x.lab",
        "birdbob_102_5555_x.lab",
        "birdbob_LATE_102_5_x.lab",
    ],
)
def test_who_handed_a_file_in_is_read_from_the_platforms_names(collect, name):
    _, _, book = collect({name: made("ann", run_of(50))})
    assert book["bob"]["points"] == "100"
    assert "it names the student 'ann', but bob handed it in" in book["bob"]["flags"]
    assert book["ann"]["points"] == ""


def test_a_number_that_two_students_have_says_of_neither_whose_a_file_is(collect, tmp_path):
    roster = tmp_path / "class.csv"
    roster.write_text(roster.read_text().replace("4203", "4202"))
    _, _, book = collect({"Bob Bird_4202_assignsubmission_file/x.lab": made("bob", run_of(50))})
    assert (book["bob"]["points"], book["cal"]["points"]) == ("100", "")


def test_a_file_that_is_larger_than_any_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "LARGEST", 100)
    (tmp_path / "a.lab").write_text("x" * 101)
    with pytest.raises(UsageError, match="labwright did not make it"):
        submission.read(tmp_path / "a.lab")


def test_a_link_in_a_folder_is_not_followed(collect, tmp_path):
    (tmp_path / "in/a.lab").symlink_to("/etc/passwd")
    status, said, _ = collect({})
    assert status == 2
    assert "no .lab file" in said


# Challenges.


def test_no_room_for_the_records_is_one_sentence_and_loses_nothing(collect, tmp_path, monkeypatch):
    (tmp_path / "full").touch()
    with monkeypatch.context() as patch:
        patch.setattr("labwright.cli.collect.Scratch", lambda: nullcontext(tmp_path / "full"))
        status, said, _ = collect({"a.lab": made("ann", run_of(50))})
    assert (status, len(said.splitlines())) == (2, 1)
    assert "cannot write" in said
    assert collect({})[2]["ann"]["points"] == "100"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("points", 10**400),
        ("duration_s", 10**400),
        ("started", "0001-01-01T00:00:00+23:59"),
        ("finished", "9999-12-31T23:59:59-23:59"),
        ("seed", 10**400),
        ("seed", 2**70),
    ],
    ids=lambda value: str(value)[:24],
)
def test_no_file_keeps_the_others_from_being_taken_in(collect, key, value):
    hostile = made("ann", run_of(50))
    within = (
        hostile["score"] if key in ("started", "finished", "seed") else hostile["score"]["steps"][0]
    )
    within[key] = value
    _, said, book = collect({"a.lab": hostile, "b.lab": made("bob", run_of(51))})
    assert book["bob"]["points"] == "100", said


def test_a_files_name_does_nothing_to_the_terminal(collect):
    names = ["\x1b[2J\u202e.lab", "[/].lab", "b\x1b]0;t\x07.lab"]
    _, said, _ = collect({names[0]: "no file of ours", names[1]: "{}", names[2]: "[]"})
    assert not {"\x1b", "\x07", "\u202e"} & {*said}
    assert "/\\x1b[2J\\u202e.lab: not a file made by" in said
    assert "/[/].lab: not a file made by" in said


def test_a_program_among_what_was_handed_in_is_not_run(collect, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    program = f"open({str(ran)!r}, 'w').close()\nraise SystemExit('not a module of ours')\n"
    monkeypatch.chdir(tmp_path)
    for name in ("json.py", "msgspec.py", "labwright.py"):
        (tmp_path / name).write_text(program)
    status, said, book = collect({"a.lab": made("ann", run_of(50))}, spread=IN_PROCESSES)
    assert (status, book["ann"]["points"], ran.exists()) == (0, "100", False), said


def test_only_an_answer_to_the_challenge_is_graded(collect):
    challenge = Challenge.new(2)
    right = replace(
        run_of(50),
        seed=challenge.seed("ann"),
        started=datetime.now(UTC).isoformat(),
        finished=datetime.now(UTC).isoformat(),
    )
    status, said, book = collect(
        {
            "a.lab": made("ann", right, challenge.text),
            "b.lab": made("bob", replace(run_of(51), seed=right.seed), challenge.text),
            "c.lab": made("cal", run_of(52)),
        },
        "--challenge",
        challenge.text,
    )
    assert status == 3
    assert {row["points"] for row in book.values()} == {""}
    assert "its record is incomplete for this lab" in book["ann"]["remark"], "an older record"
    assert "its seed is not the one that this challenge gives this student" in book["bob"]["remark"]
    assert "it was made without a challenge" in book["cal"]["remark"]
    assert "bob: not graded" in said


def test_a_challenge_says_when_it_holds_and_another_clock_is_told():
    begins = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
    challenge = Challenge.new(2, begins)
    assert challenge.text.startswith("2026-11-28T10:00Z/2026-11-28T12:00Z/")
    assert challenge.seed("S1") == challenge.seed("s1"), "one student, however it is typed"
    assert challenge.seed("a") != challenge.seed("b") != Challenge.new(2, begins).seed("b")
    late = replace(
        OLD,
        started=(begins + timedelta(hours=1)).isoformat(),
        finished=(begins + timedelta(hours=3)).isoformat(),
    )
    assert challenge.findings(late) == ["by its own clock it finished outside the challenge's time"]
    assert len(challenge.findings(replace(late, started="?"))) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-11-28T12:00Z/2026-11-28T10:00Z/abcdefgh",
        "2026-13-28T12:00Z/2026-14-28T10:00Z/abcdefgh",
    ],
)
def test_what_is_no_challenge_is_refused(text):
    with pytest.raises(UsageError, match="not a challenge"):
        Challenge.parse(text)


@pytest.mark.parametrize("begins", ["9999-12-31T23:59", "0001-01-01T00:00+14:00"])
def test_a_challenge_beyond_the_calendar_is_refused(begins, capsys):
    assert main(["challenge", "--begins", begins]) == 2
    assert "no challenge can begin at" in capsys.readouterr().err
    text = "0001-01-01T00:00Z/9999-12-31T23:59Z/abcdefgh"
    assert Challenge.parse(text).findings(run_of(50)) == []


def test_a_challenge_is_printed(capsys):
    assert main(["challenge", "--hours", "3", "--begins", "2026-11-28T10:00:00+01:00"]) == 0
    text = capsys.readouterr().out.strip()
    assert Challenge.parse(text).begins == datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
    assert main(["challenge", "--hours", "0"]) == 2


def test_every_step_of_the_lab_is_judged_whatever_steps_a_file_has(collect):
    score = run_of(50)
    renamed = replace(
        score, steps=(replace(score.steps[0], id="mine", outcome=Outcome.PASSED), *score.steps[1:])
    )
    _, _, book = collect({"a.lab": made("ann", renamed)})
    assert book["ann"]["server1-running"] == "passed"
    assert "mine" not in book["ann"]
