"""A whole class is judged again from its records; every attempt and every grade is kept."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests import in_process

from labwright.batch import pool
from labwright.batch.folder import Folder
from labwright.batch.grading import Grading
from labwright.batch.student import Student
from labwright.batch.task import Examined
from labwright.cli import main
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.outcome import Observation, Outcome
from labwright.score import Score

RECORD = Path(__file__).parents[1] / "unit" / "data" / "deployed.json"
LAB = load_lab(find_lab("gorb"))
OLD = Score.from_json(RECORD.read_text())
IN_PROCESSES = pool.spread
"""Each attempt is judged in a process of its own, as it is in earnest."""


def less(score: Score) -> Score:
    """The same score with a record in which next to nothing was asked."""
    first, *others = (replace(step, observations=()) for step in score.steps)
    return replace(
        score, steps=(replace(first, observations=(Observation("run true", {}),)), *others)
    )


@pytest.fixture
def folder(tmp_path) -> Folder:
    """A class of two: ``a`` has a whole record, ``b`` one with gaps."""
    folder = Folder(tmp_path / "out")
    members = [Student("a", "ssh://a", "Ann"), Student("b", "ssh://b", "Bob")]
    with folder.locked():
        grading = Grading(members, LAB, folder, RunOptions(), 60)
        grading.begin(7, resume=False)
        folder.keep_roster(members)
        for id, score in (("a", OLD), ("b", less(OLD))):
            grading.keep(Examined(id, score, text=score.to_json()))
    return folder


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(pool, "spread", in_process.spread)


def counting(folder: Folder) -> dict[str, tuple[float, str]]:
    grading = Grading(folder.roster(), LAB, Folder(folder.path), RunOptions(), 60)
    grading.remember()
    return {
        id: (record.choice.attempt.points, record.choice.why)
        for id, record in grading.records.items()
    }


def regraded(folder: Folder, capsys, *more: str) -> str:
    assert main(["regrade", str(folder.path), *more]) == 0
    return capsys.readouterr().err


def test_who_changes_and_by_how_much_is_said_and_nothing_is_written(folder, capsys, monkeypatch):
    monkeypatch.setattr(pool, "spread", IN_PROCESSES)
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    said = regraded(folder, capsys, "--set=scheduler=wlc")
    assert "  a: 100 of 100 -> 35 of 100 (-65): service-created: passed 15/15 -> failed" in said
    assert "2 attempts judged again; 1 grade changes" in said
    assert "give --apply to save the changes" in said
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before


def test_no_command_writes_over_an_attempt_that_is_kept(folder, capsys):
    kept = folder.attempt("a", 1)
    before = kept.read_bytes()
    judge = ["regrade", str(kept), "--set=scheduler=wlc"]
    for option in (f"--out={kept.parent}", f"--json={kept}"):
        assert main([*judge, option]) == 2
        assert "it contains an attempt of a class: choose another folder" in capsys.readouterr().err
    assert main([*judge, f"--out={kept.parents[2]}"]) == 1, "all else there is made again"
    assert kept.read_bytes() == before


@pytest.mark.parametrize("option", ["--out=x", "--json=-", "--summary=x", "--student=a"])
def test_what_is_for_one_score_is_refused_for_a_class_and_the_other_way(folder, capsys, option):
    assert main(["regrade", str(folder.path), option]) == 2
    assert "is a class's folder" in capsys.readouterr().err
    assert main(["regrade", str(RECORD), "--apply"]) == 2
    assert "is one score" in capsys.readouterr().err


def test_what_is_applied_counts_and_what_was_before_is_kept(folder, capsys):
    regraded(folder, capsys, "--set=scheduler=wlc", "--apply")
    assert counting(folder)["a"] == (
        35,
        "the only attempt that was graded; attempt 1 judged again",
    )
    scores = [
        json.loads((folder.path / f"students/a/attempts/{n:03}/score.json").read_text())["points"]
        for n in (1, 2)
    ]
    assert scores == [100, 35]
    with (folder.path / "gradebook.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["a"]["points"] == "35"
    again = regraded(folder, capsys)
    assert "0 grades change" in again, "the options of before hold until others are given"
    back = regraded(folder, capsys, "--set=scheduler=rr", "--apply")
    assert "a: 35 of 100 -> 100 of 100 (+65)" in back
    assert counting(folder)["a"][0] == 100


def test_who_cannot_be_judged_again_keeps_the_grade_and_is_named(folder, capsys):
    said = regraded(folder, capsys, "--set=scheduler=wlc", "--apply")
    assert "b: attempt 1 cannot be judged again and keeps its points" in said
    assert "was not asked" in said
    assert counting(folder)["b"][0] == 100


def test_after_it_the_grading_goes_on_with_the_new_options(folder, capsys, tmp_path):
    regraded(folder, capsys, "--set=scheduler=wlc", "--apply")
    (tmp_path / "class.csv").write_text("id,target\na,ssh://a\nb,ssh://b\n")
    command = ["grade", str(tmp_path / "class.csv"), "--out", str(folder.path), "--resume"]
    assert main(command) == 2
    assert "judge all of it again with `labwright regrade" in capsys.readouterr().err
    assert main([*command, "--set=scheduler=wlc"]) == 0


def test_a_folder_without_a_class_is_refused(tmp_path, capsys):
    assert main(["regrade", str(tmp_path)]) == 2
    assert "not the folder of a class" in capsys.readouterr().err


def test_a_broken_judgement_is_no_reason_to_take_a_grade(folder):
    grading = Grading(folder.roster(), LAB, folder, RunOptions(), 60)
    grading.remember()
    broken = replace(
        OLD, steps=tuple(replace(s, outcome=Outcome.BROKEN, points=0) for s in OLD.steps)
    )
    of = grading.records["a"].attempts[0]
    grading.keep(Examined("a", broken, "the network", text=broken.to_json()), "record", of)
    assert grading.records["a"].choice.attempt is of
