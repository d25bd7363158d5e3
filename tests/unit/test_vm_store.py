"""The cache holds only what is whole: half-made and damaged things never pass for done."""

from __future__ import annotations

import fcntl

import pytest

from labwright.errors import SetupError
from labwright.vm import store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))
    # How much room this computer has is not what is tested.
    monkeypatch.setattr(store, "NEEDED_BYTES", 0)
    return tmp_path / "cache"


def make(folder):
    (folder / "disk").write_bytes(b"x" * 100)


def never(folder):
    raise AssertionError("it was made although it is in the cache")


def test_what_is_in_the_cache_is_not_made_again():
    folder = store.ensure("thing", make)
    assert store.ensure("thing", never) == folder
    assert (folder / "disk").stat().st_size == 100


def test_a_file_that_was_cut_off_is_noticed_and_the_thing_made_again(capsys):
    folder = store.ensure("thing", make)
    (folder / "disk").write_bytes(b"x" * 50)
    assert not store.is_complete(folder)
    store.ensure("thing", make)
    assert (folder / "disk").stat().st_size == 100
    assert "is damaged and is made again" in capsys.readouterr().err


@pytest.mark.parametrize("note", ["", "[]", "{", "null"])
def test_a_damaged_note_makes_a_thing_damaged_and_is_no_crash(note):
    folder = store.ensure("thing", make)
    (folder / store.NOTE).write_text(note)
    assert not store.is_complete(folder)


def test_a_build_that_fails_leaves_nothing_under_any_name(cache):
    def fail(folder):
        make(folder)
        raise SetupError("no")

    with pytest.raises(SetupError, match="no"):
        store.ensure("thing", fail)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_what_a_killed_build_left_is_removed_by_the_next(cache):
    left = cache / "tmp-killed"
    left.mkdir(parents=True)
    make(left)
    store.ensure("thing", make)
    assert not left.exists()


def test_a_lock_that_no_process_holds_any_more_stops_nobody(cache):
    cache.mkdir()
    with (cache / "build.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
    assert store.ensure("thing", make).is_dir()


def test_a_disk_without_room_is_one_sentence_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(store, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(SetupError, match=r"GiB left.*labwright vm prune.*LABWRIGHT_CACHE"):
        store.ensure("thing", never)


def test_a_cache_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SetupError, match="set LABWRIGHT_CACHE to another folder"):
        store.root()


def test_other_parts_are_another_key_and_parts_do_not_run_together():
    assert store.key("a", "b") == store.key("a", "b")
    assert len({store.key("a", "b"), store.key("ab"), store.key("b", "a"), store.key("a")}) == 4
