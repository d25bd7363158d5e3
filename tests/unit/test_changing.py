"""A watch does not wait for a step whose check waits: the step is changing, until its time is
over."""

from __future__ import annotations

import queue
from dataclasses import replace

import pytest
from tests.pretended import PretendedMachine
from tests.unit.test_watch import LAB, Watched, becomes, examined

from labwright.errors import NotYet
from labwright.grading import step_check, watch
from labwright.grading.changing import Changing
from labwright.grading.watch import StepChanged
from labwright.outcome import Outcome

ID = "ip-vs-available"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watch, "SHORTEST_S", 0.02)
    monkeypatch.setattr(watch, "LONGEST_S", 0.02)


def lab_that_waits(seconds: float):
    steps = [replace(step, wait_s=seconds if step.id == ID else 0.0) for step in LAB.steps]
    return replace(LAB, steps=tuple(steps))


def result(outcome: Outcome, reason: str = "it is absent"):
    return replace(step_check.pending(LAB.step(ID), "lab.md"), outcome=outcome, reason=reason)


def test_a_step_that_fails_is_changing_until_its_time_is_over():
    changing = Changing(lab_that_waits(60))
    changing.see(result(Outcome.FAILED), 0)
    assert ID in changing
    changing.see(result(Outcome.FAILED, "half of it is there"), 50)
    assert changing.end(59) == []
    assert changing.end(60) == [ID]
    assert ID not in changing
    assert not changing
    assert changing.end(61) == []


def test_after_that_it_is_changing_again_only_when_it_fails_for_another_reason():
    changing = Changing(lab_that_waits(60))
    changing.see(result(Outcome.FAILED), 0)
    changing.end(60)
    changing.see(result(Outcome.FAILED), 70)
    assert ID not in changing
    changing.see(result(Outcome.FAILED, "half of it is there"), 80)
    assert ID in changing
    assert changing.end(139) == []
    assert changing.end(140) == [ID]


def test_a_step_that_passes_or_was_waited_for_is_not_changing():
    changing = Changing(lab_that_waits(60))
    changing.see(result(Outcome.FAILED), 0)
    changing.see(result(Outcome.PASSED), 1)
    assert not changing
    changing.see(result(Outcome.FAILED), 2, waited=True)
    assert not changing
    changing.see(result(Outcome.FAILED), 3)
    assert not changing


def test_a_step_whose_check_does_not_wait_is_never_changing():
    changing = Changing(LAB)
    changing.see(result(Outcome.FAILED), 0)
    assert not changing


def test_a_step_that_waits_does_not_hold_up_the_others_and_is_told_as_changing():
    with Watched(PretendedMachine(), lab=lab_that_waits(3600)) as w:
        told = w.until(becomes(ID, Outcome.FAILED))
        assert told.changing
        w.until(examined(traffic=False))
        w.machine.stopped.add("server2")
        assert not w.until(becomes("server2-running", Outcome.FAILED)).changing
        # It is nobody's failure yet.
        assert w.outcomes()[ID] is Outcome.BROKEN
        w.machine.ip_vs = True
        assert not w.until(becomes(ID, Outcome.PASSED)).changing


def test_a_step_whose_time_is_over_is_told_as_failed():
    with Watched(PretendedMachine(), lab=lab_that_waits(0.3)) as w:
        assert w.until(becomes(ID, Outcome.FAILED)).changing
        assert not w.until(becomes(ID, Outcome.FAILED)).changing
        assert w.outcomes()[ID] is Outcome.FAILED


def test_a_grading_on_request_waits_and_only_then_is_a_failure_reported():
    graded: queue.Queue = queue.Queue()
    lab = lab_that_waits(1.0)
    with Watched(PretendedMachine(), lab=lab, traffic=False, on_grade=graded.put) as w:
        w.until(examined(traffic=False))
        assert graded.empty()
        w.watch.grade()
        score = graded.get(timeout=30)
        step = next(step for step in score.steps if step.id == ID)
        assert step.outcome is Outcome.FAILED
        assert any(piece.data.get("kind") == "wait" for piece in step.evidence)
        assert not [e for e in w.events if isinstance(e, StepChanged) and e.unsettled]


def test_a_lab_without_traffic_is_graded_on_request():
    graded: queue.Queue = queue.Queue()
    lab = replace(LAB, steps=LAB.steps[:4])
    with Watched(PretendedMachine(), lab=lab, on_grade=graded.put) as w:
        assert not w.watch.sends_traffic
        w.until(examined(traffic=False))
        w.watch.grade()
        assert len(graded.get(timeout=30).steps) == len(lab.steps)


def test_a_check_that_would_wait_itself_does_not_hold_up_the_others(monkeypatch):
    """A backend whose server was started again waits for Gorb's next pulse, up to a minute."""
    monkeypatch.setattr(watch, "REFRESH_CHANGING_S", 0.1)
    machine = PretendedMachine().do_all()
    with Watched(machine, traffic=False) as w:
        w.until(examined(traffic=False))
        machine.down.add("1")
        told = w.until(lambda e: isinstance(e, StepChanged) and e.changing)
        assert told.result.id == "server2-registered"
        machine.stopped.add("server1")
        w.until(becomes("server1-running", Outcome.FAILED))
        machine.down.clear()
        told = w.until(lambda e: isinstance(e, StepChanged) and e.result.id == "server2-registered")
        assert (told.result.outcome, told.changing) == (Outcome.PASSED, False)


def test_what_a_check_would_wait_for_itself_is_waited_for_once_its_time_is_over():
    not_yet = result(Outcome.BROKEN, NotYet.SENTENCE)
    changing = Changing(LAB)
    changing.see(not_yet, 0)
    assert ID in changing
    assert changing.end(100) == [ID]
    changing.see(result(Outcome.FAILED), 170, waited=True)
    changing.see(not_yet, 180)
    assert ID not in changing
    assert changing.end(1000) == []
    changing.see(result(Outcome.PASSED), 1001)
    changing.see(not_yet, 1002)
    assert ID in changing
