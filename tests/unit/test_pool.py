"""Students are graded in processes of their own, and none can hold up or harm another."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest

from labwright.batch.grading import JUMP_AT_ONCE, by_jump_host
from labwright.batch.pool import ForkServer, examine, spread
from labwright.batch.stop import Stop
from labwright.batch.task import Examined, Task
from labwright.errors import SetupError

REFUSED = "ssh://127.0.0.1:9"


class Told:
    def __init__(self, after=lambda examined: None) -> None:
        self.begun: list[str] = []
        self.found: dict[str, Examined] = {}
        self.after = after

    def started(self, id: str) -> None:
        self.begun.append(id)

    def ended(self, examined: Examined) -> None:
        self.found[examined.id] = examined
        self.after(examined)


@pytest.fixture
def silent():
    """A target whose server takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ssh://127.0.0.1:{server.getsockname()[1]}"


def children(of: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == of and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_machine_that_stalls_costs_only_its_own_student(silent, tmp_path):
    told = Told()
    tasks = [
        [Task("stalls", silent, "gorb", limit_s=2)],
        *([Task(i, REFUSED, "gorb")] for i in "ab"),
    ]
    spread(tasks, 3, Stop(tmp_path), tmp_path / "lock", told)
    assert told.found["stalls"].problem == "the time limit of 2 s for a student was reached"
    assert all("Connection refused" in told.found[id].problem for id in "ab")
    assert all(len(found.score.steps) == 12 for found in told.found.values())


def is_fork_server(pid: int) -> bool:
    return b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_process_that_is_killed_costs_its_own_student_and_says_so(silent, tmp_path):
    def kill(examined: Examined) -> None:
        # Other tests in this process may have left children of their own.
        for server in filter(is_fork_server, children(os.getpid())):
            for victim in children(server):
                os.kill(victim, signal.SIGKILL)

    told = Told(lambda examined: kill(examined) if examined.id == "a" else None)
    tasks = [[Task("victim", silent, "gorb")], [Task("a", REFUSED, "gorb")]]
    spread(tasks, 2, Stop(tmp_path), tmp_path / "lock", told)
    assert "labwright itself failed: its process was killed" in told.found["victim"].problem
    assert not told.found["victim"].graded


def test_a_fork_server_that_is_killed_is_started_again(tmp_path):
    def kill(examined: Examined) -> None:
        for pid in children(os.getpid()) if examined.id == "a" else ():
            if is_fork_server(pid):
                os.kill(pid, signal.SIGKILL)

    told = Told(kill)
    spread([[Task(id, REFUSED, "gorb")] for id in "abc"], 1, Stop(tmp_path), tmp_path / "l", told)
    assert list(told.found) == ["a", "b", "c"]
    assert "Connection refused" in told.found["c"].problem


def test_a_group_is_one_after_another_and_no_more_are_at_once_than_were_asked_for(tmp_path):
    at_once = []
    told = Told(lambda examined: at_once.append(len(told.begun) - len(told.found)))
    groups = [[Task("a1", REFUSED, "gorb"), Task("a2", REFUSED, "gorb")]]
    groups += [[Task(f"b{n}", REFUSED, "gorb")] for n in range(4)]
    spread(groups, 2, Stop(tmp_path), tmp_path / "lock", told)
    assert len(told.found) == 6
    assert told.begun.index("a2") > 1
    assert max(at_once) <= 2


def test_finishing_begins_nobody_else_and_abandoning_ends_those_that_are_begun(silent, tmp_path):
    stop = Stop(tmp_path)
    told = Told(lambda examined: stop.finish("enough"))
    spread([[Task(id, REFUSED, "gorb")] for id in "abc"], 1, stop, tmp_path / "lock", told)
    assert told.begun == ["a"]
    (tmp_path / "other").mkdir()
    stop = Stop(tmp_path / "other")
    told = Told(lambda examined: stop.abandon("now"))
    tasks = [[Task("stalls", silent, "gorb")], [Task("a", REFUSED, "gorb")]]
    spread(tasks, 2, stop, tmp_path / "lock", told)
    assert list(told.found) == ["a"]
    assert free(tmp_path / "lock")


def test_who_cannot_keep_a_score_ends_everything_and_leaves_nothing(silent, tmp_path):
    def full(examined: Examined) -> None:
        raise SetupError("no room")

    tasks = [[Task("stalls", silent, "gorb")], [Task("a", REFUSED, "gorb")]]
    with pytest.raises(SetupError, match="no room"):
        spread(tasks, 2, Stop(tmp_path), tmp_path / "lock", Told(full))
    assert free(tmp_path / "lock")


def test_one_student_is_graded_for_a_thread_and_let_go_when_not_wanted(silent):
    with ForkServer() as server:
        found = examine(server, Task("a", REFUSED, "gorb"))
        assert found is not None
        assert "Connection refused" in found.problem
        wanted = iter([False, True])
        assert examine(server, Task("b", silent, "gorb"), lambda: next(wanted, True)) is None


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """Try to reach two machines; return what was found, and whether the lock was held."""
    folder, held = tmp_path_factory.mktemp("reached"), []
    told = Told(lambda examined: held.append(not free(folder / "lock")))
    direct = Task("direct", REFUSED, "gorb", reach_only=True)
    behind = Task("behind", "ssh://198.51.100.1", "gorb", jump="me@127.0.0.1:9", reach_only=True)
    spread([[direct], [behind]], 1, Stop(folder), folder / "lock", told)
    return told.found, [*held, not free(folder / "lock")]


def test_the_lock_is_held_as_long_as_a_process_lives(reached):
    assert reached[1] == [True, True, False]


def test_trying_to_reach_a_machine_makes_no_score(reached):
    assert reached[0]["direct"].score is None


def test_the_jump_host_is_named_where_the_way_was_lost(reached):
    said = reached[0]["behind"].problem
    assert said.endswith("(through the jump host me@127.0.0.1:9)")


def test_few_at_once_go_through_one_jump_host_with_pauses_and_nobody_is_lost():
    behind = [[Task(f"s{n}", f"ssh://h{n}", "gorb", jump="gate")] for n in range(40)]
    direct = [[Task(f"d{n}", f"ssh://d{n}", "gorb")] for n in range(10)]
    groups = by_jump_host([*behind, *direct])
    through = [group for group in groups if group[0].jump]
    assert len(through) == JUMP_AT_ONCE
    assert len(groups) == JUMP_AT_ONCE + 10
    assert sorted(t.id for group in groups for t in group) == sorted(
        t.id for group in (*behind, *direct) for t in group
    )
    firsts = sorted(group[0].pause_s for group in through)
    assert firsts == sorted(set(firsts)), "two knock at the same time"
    assert all(task.pause_s for group in through for task in group[1:])
    assert not any(task.pause_s for group in groups for task in group if not task.jump)
