"""A temporary folder is removed, also when whoever made it was killed."""

from __future__ import annotations

import os
import time

import pytest

from labwright.host import temporary


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "PLACE", tmp_path)
    return tmp_path


def aged(path) -> None:
    before = time.time() - 2 * temporary.SETTLED_S
    os.utime(path, (before, before))


def test_a_folder_is_gone_when_its_maker_is_done_with_it(place):
    with temporary.Scratch() as path:
        (path / "inside").write_text("")
    assert list(place.iterdir()) == []


def test_what_was_left_behind_is_removed_by_whoever_is_next(place):
    left = place / "labwright-left"
    (left / "inside").mkdir(parents=True)
    (left / temporary.MARK).touch()
    aged(left)
    with temporary.Scratch() as path:
        assert list(place.iterdir()) == [path]


def test_a_folder_of_a_maker_at_work_or_one_just_made_stays(place):
    (place / "labwright-new").mkdir()
    (place / "labwright-new" / temporary.MARK).touch()
    with temporary.Scratch() as path:
        aged(path)
        with temporary.Scratch():
            assert path.is_dir()
    assert [left.name for left in place.iterdir()] == ["labwright-new"]


def test_nothing_but_our_own_folders_is_touched(place):
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / temporary.MARK).touch()
    (place / "labwright-report").mkdir()
    (place / "labwright-report" / "score.json").touch()
    (place / "labwright-link").symlink_to(place / "elsewhere")
    (place / "labwright-file").write_text("")
    (place / "other").mkdir()
    for path in place.iterdir():
        aged(path)
    temporary.sweep()
    assert len(list(place.iterdir())) == 5
