"""What was seen of a machine is judged again without it; and whatever goes wrong below a
check, the step neither passes nor fails for it.

The record is of a real lab machine on which the lab was done.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from labwright.batch import submission
from labwright.batch.task import Identity
from labwright.cli import main
from labwright.errors import (
    CommandTimedOut,
    Disturbed,
    HostUnreachable,
    MachineError,
    ProbeError,
    UsageError,
)
from labwright.grading import judge_again
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.machines.recorded import CLOCK, RecordedMachine
from labwright.outcome import Observation, Outcome
from labwright.plugin.grade import grade
from labwright.score import Score

RECORD = Path(__file__).parents[1] / "unit" / "data" / "deployed.json"
OLD = Score.from_json(RECORD.read_text())
LAB = load_lab(find_lab("gorb"))
SEEN = [seen for step in OLD.steps for seen in step.observations]
QUESTIONS = list(dict.fromkeys(seen.asked for seen in SEEN))


def judged(machine: RecordedMachine, *settings: str, **more) -> Score:
    run = plan(LAB, steps=judge_again.selected(OLD, LAB), settings=settings, seed=OLD.seed, **more)
    return grade(run, machine=machine)


def outcomes(score: Score) -> dict[str, Outcome]:
    return {step.id: step.outcome for step in score.steps}


def test_a_record_is_judged_as_the_machine_was():
    again = judge_again.with_original_metadata(judged(judge_again.recorded(OLD)), OLD)
    assert again.points == OLD.points == 100
    assert judge_again.changes(OLD, again) == []
    assert [s.evidence for s in again.steps] == [s.evidence for s in OLD.steps]


def test_a_record_whose_checks_looked_at_the_clock_is_judged_alike_however_often():
    first = judged(judge_again.recorded(OLD))
    asked = [seen.asked for step in first.steps for seen in step.observations]
    assert asked.count(CLOCK) == 4, "two servers' consoles, after each load"
    second = judged(judge_again.recorded(first))
    assert outcomes(second) == outcomes(judged(judge_again.recorded(second))) == outcomes(first)


def test_another_threshold_changes_what_it_is_about_and_says_so():
    again = judged(judge_again.recorded(OLD), "scheduler=wlc")
    assert outcomes(again)["service-created"] is Outcome.FAILED
    (first, *_) = judge_again.changes(OLD, again)
    assert first.startswith("service-created: passed 15/15 -> failed 0/15: expected")


def test_a_record_is_never_counted_as_new_data():
    again = judged(judge_again.recorded(OLD), "false_pass_limit=1e-10")
    split = next(step for step in again.steps if step.id == "split-round-robin")
    assert split.outcome is Outcome.BROKEN
    assert "the 12 requests that were recorded" in split.reason
    assert "grade the machine again" in split.reason


def test_what_was_not_asked_then_is_broken_and_not_guessed():
    again = judged(judge_again.recorded(OLD), "requests=15")
    assert outcomes(again)["requests-succeed"] is Outcome.BROKEN
    assert outcomes(again)["server2-registered"] is Outcome.PASSED


@pytest.mark.parametrize("moved", [True, False], ids=["points moved", "more points"])
@pytest.mark.parametrize(
    ("gained", "outcome"), [("split-round-robin", "passed"), ("gorb-image-present", "broken")]
)
def test_a_step_that_the_lab_has_gained_is_judged_and_counts_in_the_maximum(gained, outcome, moved):
    """The record of a lab without that step; another step had its points, or none."""
    points = next(step.points for step in LAB.steps if step.id == gained)
    steps = [step for step in OLD.steps if step.id != gained]
    more = steps[0].max_points + (points if moved else 0)
    first = replace(steps[0], max_points=more, points=more)
    older = replace(OLD, steps=(first, *steps[1:]), whole=True)
    run = plan(LAB, steps=judge_again.selected(older, LAB), seed=OLD.seed)
    again = grade(run, machine=judge_again.recorded(older))
    assert (len(again.steps), again.max_points) == (len(LAB.steps), 100)
    assert f"{gained}: new, {outcome}" in judge_again.changes(older, again)
    assert again.graded == (outcome == "passed"), "what was not asked is not guessed"


def test_the_steps_of_a_part_are_judged_and_no_others():
    part = replace(OLD, steps=OLD.steps[:2])
    assert judge_again.selected(part, LAB) == [step.id for step in OLD.steps[:2]]


def test_the_command_says_what_changed_and_writes_the_new_score(tmp_path, capfd):
    new = tmp_path / "new.json"
    assert main(["regrade", str(RECORD), "--set", "scheduler=wlc", "--json", str(new)]) == 1
    told = capfd.readouterr().err
    assert "service-created: passed 15/15 -> failed 0/15" in told
    assert "100 of 100 -> 35 of 100" in told
    assert Score.from_json(new.read_text()).target == OLD.target
    assert main(["regrade", str(new)]) == 0


def test_a_file_that_was_handed_in_is_judged_by_its_record_alone(tmp_path, capfd):
    made = json.loads(submission.make(OLD, LAB, "ann", {}, "", Identity()))
    for step in made["score"]["steps"]:
        step["outcome"], step["points"] = "failed", 0
    path = tmp_path / "gorb-ann.lab"
    path.write_text(json.dumps(made))
    command = ["regrade", str(path), "--lab", "gorb", "--json", str(tmp_path / "new.json")]
    assert main([*command, "--summary", str(tmp_path / "summary.md")]) == 0
    told = capfd.readouterr().err
    assert "it names the student ann" in told
    assert "the file was changed after it was made" in told
    assert "the file was changed after it was made" in (tmp_path / "summary.md").read_text()
    assert "0 of 100 -> 100 of 100" in told
    assert Score.from_json((tmp_path / "new.json").read_text()).points == 100
    assert main(["regrade", str(path), "--lab", "docker-server"]) == 2
    assert "it is for the lab 'gorb', not for docker-server" in capfd.readouterr().err
    path.write_text(json.dumps({**made, "student": "ann\n::error::all is lost"}))
    main(command)
    assert "\n::error" not in capfd.readouterr().err, "GitHub takes such a line for a command"


def test_control_characters_of_a_record_do_not_reach_the_terminal(tmp_path, capfd):
    path = tmp_path / "score.json"
    path.write_text(replace(OLD, target="ssh://a\x1b[2J\x07").to_json())
    assert main(["regrade", str(path), "--set", "scheduler=\x1b[31mwrr"]) in (1, 2, 3)
    told = capfd.readouterr()
    assert not set("\x1b\x07") & set(told.out + told.err)


@pytest.mark.parametrize(
    ("text", "says"), [("{}", "not a score: schema is None"), (None, "No such")]
)
def test_what_is_no_score_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "score.json"
    if text:
        path.write_text(text)
    with pytest.raises(UsageError, match=says):
        judge_again.read_score(path)


def test_a_score_without_a_record_is_refused(tmp_path):
    path = tmp_path / "score.json"
    path.write_text(
        replace(OLD, steps=tuple(replace(s, observations=()) for s in OLD.steps)).to_json()
    )
    with pytest.raises(UsageError, match="no record"):
        judge_again.read_score(path)


@pytest.mark.parametrize(
    ("level", "hint"),
    [("none", ""), ("short", "from the document's image"), ("full", "Make it again")],
)
def test_hints_can_be_held_back(level, hint):
    again = judged(judge_again.recorded(OLD), "work_answer=done", hints=level)
    step = next(step for step in again.steps if step.id == "server1-running")
    assert hint in step.hint
    assert level == "full" or "again" not in step.hint
    assert (level == "none") == (step.hint == "")


FAULTS = {
    "unreachable": HostUnreachable("ssh://x cannot be reached: it is gone"),
    "timeout": CommandTimedOut("it did not end in time"),
    "probe": ProbeError("the probe answered nonsense"),
    "disturbed": Disturbed("others use it"),
    "machine": MachineError("the machine failed"),
    "os": OSError(5, "Input/output error"),
    "value": ValueError("a bug of ours"),
    "key": KeyError("another one"),
    "assertion": AssertionError("and a third"),
    "recursion": RecursionError("too deep"),
    "exit": SystemExit(0),
    "garbage": None,
}


class FaultyMachine(RecordedMachine):
    """A record in which one question goes wrong, in one way, for ever."""

    def __init__(self, question: str, fault: str) -> None:
        super().__init__(OLD.target, SEEN)
        self.question, self.fault = question, fault
        self.met = False

    def answer(self, asked: str):
        if asked != self.question:
            return super().answer(asked)
        self.met = True
        problem = FAULTS[self.fault]
        if problem is not None:
            raise problem
        right = super().answer(asked)
        if isinstance(right, dict) and "stdout" in right:
            noise = "\x1b[2J<script>\ud800=cmd|' /C calc'!A0" * 50
            return {**right, "stdout": noise, "stderr": noise}
        return right


FEW = [(number % len(QUESTIONS), fault) for number, fault in enumerate(FAULTS)]
"""A fault at each question, and each fault at one; the others are for tox -e simulation."""
PAIRS = [
    pytest.param(*pair, marks=() if pair in FEW else pytest.mark.simulation)
    for pair in product(range(len(QUESTIONS)), FAULTS)
]


@pytest.mark.parametrize(("place", "fault"), PAIRS)
def test_whatever_goes_wrong_below_a_check_neither_passes_nor_fails_it(place, fault):
    question = QUESTIONS[place]
    machine = FaultyMachine(question, fault)
    score = judged(machine)
    told = f"{fault} at {question[:100]}"
    assert machine.met, told
    by_fault = {step.id for step in score.steps if step.outcome is Outcome.FAILED}
    assert by_fault == set(), f"{told}: {[s.reason for s in score.steps if s.id in by_fault]}"
    asked = {step.id for step in score.steps for o in step.observations if o.asked == question}
    if FAULTS[fault] is not None or question.startswith("run"):
        wrong = {id for id in asked if outcomes(score)[id] is Outcome.PASSED}
        # The plan of the visit asks Docker as a courtesy; the check itself asks again.
        assert wrong == set(), told
        assert not score.graded, told


def test_each_question_and_each_fault_is_tried_here():
    assert {place for place, _ in FEW} == set(range(len(QUESTIONS)))
    assert {fault for _, fault in FEW} == set(FAULTS)


def test_the_record_holds_an_error_and_the_answer_of_each_kind_of_question():
    assert {question.split()[0] for question in QUESTIONS} == {"run", "docker"}
    assert all(isinstance(seen, Observation) and not seen.error for seen in SEEN)
    assert json.loads(RECORD.read_text())["graded"] is True
