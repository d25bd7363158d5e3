"""The board orders a class by need of help, and whoever does not move is visited less often."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from tests.pretended import PretendedMachine

from labwright.batch import reach
from labwright.batch.student import Student
from labwright.batch.task import Task
from labwright.grading import step_check
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live import visitor
from labwright.live.board import Board
from labwright.outcome import Outcome

LAB = load_lab(find_lab("gorb"))
STATE = [step.id for step in LAB.steps[:8]]


@pytest.fixture
def board():
    students = [Student(id=name, target=f"ssh://{name}", name=f"{name} <b>") for name in "abcd"]
    return Board(LAB, students, [])


def tell(board: Board, student: str, outcome: Outcome, *ids: str, actual: str = "") -> None:
    for id in ids:
        pending = step_check.pending(LAB.step(id), "lab.md")
        points = pending.max_points if outcome is Outcome.PASSED else 0
        result = replace(pending, outcome=outcome, points=points, actual=actual)
        board.rows[student].handle("step", [asdict(result), "", False])
    board.rows[student].handle("visited", 0.05)


def names(board: Board) -> list[str]:
    return [row["name"][0] for row in board.as_data()["rows"]]


def test_first_comes_whoever_has_been_stuck_longest_then_who_is_gone_then_who_is_done(board):
    tell(board, "a", Outcome.PASSED, *STATE)
    tell(board, "b", Outcome.FAILED, "server1-running")
    tell(board, "c", Outcome.FAILED, "server1-running")
    board.rows["d"].handle("gone", "no route")
    board.rows["b"].moved -= 10
    board.rows["c"].moved -= 600
    assert names(board) == ["c", "b", "d", "a"]
    first = board.as_data()["rows"][0]
    assert first["next"] == "server1-running"
    assert first["quiet_min"] >= 10


def test_a_step_that_changes_ends_the_time_of_being_stuck(board):
    tell(board, "b", Outcome.FAILED, *STATE)
    board.rows["b"].moved -= 600
    tell(board, "b", Outcome.FAILED, *STATE)
    assert board.rows["b"].as_data()["quiet_min"] >= 10
    tell(board, "b", Outcome.PASSED, STATE[0])
    assert board.rows["b"].as_data()["quiet_min"] == 0


def test_the_commonest_failure_of_the_step_at_which_students_are_is_named(board):
    for student in "abc":
        tell(board, student, Outcome.PASSED, "server1-running")
        what = "exited" if student != "c" else "absent"
        tell(board, student, Outcome.FAILED, "server2-running", actual=what)
    assert board.as_data()["common"] == ["server2-running", "exited", 2]


def test_what_a_machine_says_is_one_visible_line(board):
    tell(board, "a", Outcome.FAILED, STATE[0], actual="x\x1b]0;owned\x07\n<b>")
    assert "\\x1b]0;owned\\x07 <b>" in board.rows["a"].as_data()["why"]


def test_a_result_of_a_step_that_the_lab_does_not_have_is_passed_over(board):
    result = replace(step_check.pending(LAB.steps[0], "lab.md"), id="../../x")
    board.rows["a"].handle("step", [asdict(result), "", False])
    assert "../../x" not in board.rows["a"].page.state.steps


@pytest.fixture
def visited(tmp_path, monkeypatch):
    machine = PretendedMachine().do_all()
    monkeypatch.setattr(reach, "connection", lambda task, folder: machine)
    told: list[list] = []
    task = Task(id="a", target="local", lab="gorb")
    one = visitor.Visited(task, tmp_path / "a", lambda *event: told.append(list(event)))
    yield one, machine, told
    one.close()


def test_whoever_does_not_move_is_visited_less_and_less_often_and_whoever_moves_soon(visited):
    one, machine, _ = visited
    assert one.visit() == visitor.SOON_S
    pauses = [one.visit() for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == visitor.LATE_S
    machine.stopped.add("server2")
    assert one.visit() == visitor.SOON_S
    assert "traffic" not in machine.asked


def test_a_visit_tells_what_is_new_without_the_record(visited):
    one, _, told = visited
    one.visit()
    steps = {body[0]["id"]: body[0] for _, what, body in told if what == "step"}
    assert set(STATE) <= set(steps)
    assert steps["server1-running"]["observations"] == ()
    assert not any(what == "gone" for _, what, _ in told)
    told.clear()
    one.visit()
    assert [what for _, what, _ in told] == ["visited"]


def test_a_machine_that_cannot_be_reached_is_told_and_visited_again(visited):
    one, machine, told = visited
    machine.gone = "no route to host"
    one.visit()
    assert ["a", "gone", "no route to host"] in told
    machine.gone = ""
    one.visit()
    assert ["a", "back", None] in told
