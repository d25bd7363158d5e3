"""The one file of a class's scores is fast, and is believed in nothing."""

from __future__ import annotations

import json

import pytest

from labwright.batch.folder import Folder
from labwright.batch.grading import Grading
from labwright.batch.student import Student
from labwright.batch.task import Examined, bare
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

from . import samples

RIGHT = samples.all_passed()


@pytest.fixture
def graded(tmp_path):
    folder = Folder(tmp_path)
    with folder.locked():
        grading = Grading(
            [Student("a", "ssh://a")], load_lab(find_lab("gorb")), folder, RunOptions(), 60
        )
        grading.begin(1, resume=False)
        grading.keep(Examined("a", RIGHT, text=RIGHT.to_json()))
    (attempt,) = grading.records["a"].attempts
    return tmp_path, attempt


def test_a_score_is_there_without_reading_its_record(graded, monkeypatch):
    place, attempt = graded
    monkeypatch.setattr(Folder, "score_text", lambda *_: pytest.fail("it was read"))
    assert Folder(place).score(attempt) == bare(RIGHT)


@pytest.mark.parametrize(
    ("old", "new"), [(b"passed", b"failed"), (b'"points":5', b'"points":4'), (b'"a",1', b'"a",')]
)
def test_a_line_that_was_edited_is_not_believed(graded, old, new):
    place, attempt = graded
    lines = place / "scores.jsonl"
    changed = lines.read_bytes().replace(old, new, 1)
    assert changed != lines.read_bytes()
    lines.write_bytes(changed)
    assert Folder(place).score(attempt) == bare(RIGHT), "from its own file"


def test_a_line_of_a_file_that_was_changed_since_is_not_believed(graded):
    place, attempt = graded
    file = Folder(place).attempt("a", 1)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"title": "Another"}))
    assert Folder(place).score(attempt) is None
    file.unlink()
    assert Folder(place).score(attempt) is None


def test_what_a_crash_cut_off_or_somebody_removed_is_made_again(graded):
    place, attempt = graded
    lines = place / "scores.jsonl"
    whole = lines.read_bytes()
    for left in (whole[: len(whole) // 2], b""):
        lines.write_bytes(left)
        folder = Folder(place)
        assert folder.score(attempt, keep=True) == bare(RIGHT)
        assert lines.read_bytes().endswith(whole)
    lines.unlink()
    assert Folder(place).score(attempt) == bare(RIGHT)
    assert not lines.exists(), "who only reads writes nothing"
