"""Machines by name: only a machine whose lock is held runs, and a bad name is one sentence."""

from __future__ import annotations

import fcntl
import json

import pytest

from labwright.errors import UsageError
from labwright.vm import guest, states
from labwright.vm.systems import DEFAULT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def noted():
    """Return what a machine's folder holds while it runs, but with nobody holding the lock."""

    def note(name):
        folder = guest.machines() / name
        folder.mkdir()
        body = {
            "name": name, "state": "docker", "port": 2222, "user": "student", "key": "/k",
            "known_hosts": "/h", "pid": 1, "accelerator": "tcg", "since": 0.0,
        }  # fmt: skip
        (folder / "guest.json").write_text(json.dumps(body))
        (folder / "lock").touch()
        return folder

    return note


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "a--b", "-a", "a-", "../a", "a/b", "a b", "x" * 41, "a\n", "ä"]
)
def test_a_name_that_is_none_is_refused_before_anything_is_done(name):
    with pytest.raises(UsageError, match="not a machine's name"):
        guest.up(name, "docker", {})
    assert list(guest.machines().iterdir()) == []


def test_an_unknown_state_is_refused_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"no state 'made-up': the states are docker"):
        guest.up("a", "made-up", {"docker": states.base(DEFAULT)})


def test_a_machine_that_does_not_run_is_named_with_how_to_start_it():
    with pytest.raises(UsageError, match=r"no machine named 'a' runs: .*labwright vm up a"):
        guest.find("a")


def test_a_machine_whose_lock_is_held_runs(noted):
    with (noted("a") / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert [found.name for found in guest.running()] == ["a"]
        assert guest.find("a").port == 2222


def test_a_stale_note_is_no_machine(noted):
    noted("a")
    assert guest.running() == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"name": 1}'])
def test_a_damaged_note_is_no_crash(noted, text):
    folder = noted("a")
    (folder / "guest.json").write_text(text)
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert guest.running() == []


def test_down_is_idempotent_and_removes_what_a_dead_machine_left(noted):
    folder = noted("a")
    assert guest.down("a") is False
    assert not folder.exists()
    assert guest.down("a") is False


def test_down_never_leaves_the_folder_of_the_machines(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "precious").mkdir()
    assert guest.down("../precious") is False
    assert (tmp_path / "cache" / "precious").is_dir()
