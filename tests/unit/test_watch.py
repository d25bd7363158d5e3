"""A watch tells what becomes right and wrong, asks little while nothing happens, and sends
traffic only when it may."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from tests.pretended import PretendedMachine

from labwright.grading import watch as watching
from labwright.grading.run import plan
from labwright.grading.watch import Examined, Examining, MachineBack, MachineGone, StepChanged
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live.following import watch
from labwright.outcome import Outcome

LAB = load_lab(find_lab("gorb"))
STATE = [step.id for step in LAB.steps[:8]]
DEADLINE_S = 30


class Watched:
    """A watch in a thread of its own, and what it has told."""

    def __init__(self, machine: PretendedMachine, lab=LAB, **options) -> None:
        self.machine = machine
        self._told: queue.Queue = queue.Queue()
        self.events: list = []
        self.watch = watch(plan(lab), self._told.put, lambda: machine, **options)
        self._thread = threading.Thread(target=self.watch.follow, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.watch.stop()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def until(self, wanted):
        """Wait for an event."""
        while True:
            event = self._told.get(timeout=DEADLINE_S)
            self.events.append(event)
            if wanted(event):
                return event

    def until_asked(self, what: str, times: int, meanwhile=lambda: None) -> None:
        """Wait until the machine has been asked something so often."""
        while self.machine.asked.count(what) < times:
            meanwhile()
            time.sleep(0.005)

    def outcomes(self) -> dict[str, Outcome]:
        return {step.id: step.outcome for step in self.watch.score().steps}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watching, "SHORTEST_S", 0.02)
    monkeypatch.setattr(watching, "LONGEST_S", 0.02)
    monkeypatch.setattr(watching, "RETRY_S", 0.1)


def becomes(id: str, outcome: Outcome):
    return lambda e: isinstance(e, StepChanged) and (e.result.id, e.result.outcome) == (id, outcome)


def examined(traffic: bool):
    """Return a test for the end of the next examination of this kind."""
    begun = []

    def wanted(event) -> bool:
        if isinstance(event, Examining):
            begun.append(event.traffic)
        return isinstance(event, Examined) and traffic in begun

    return wanted


def test_every_state_step_is_told_at_first_and_no_traffic_is_sent():
    with Watched(PretendedMachine()) as w:
        w.until(examined(traffic=False))
        told = {e.result.id: e.result.outcome for e in w.events if isinstance(e, StepChanged)}
        assert told["server1-running"] is Outcome.PASSED
        assert told["ip-vs-available"] is Outcome.FAILED
        assert told["service-created"] is Outcome.BLOCKED
        assert set(STATE) <= set(told)
        assert "traffic" not in w.machine.asked


def test_what_becomes_right_and_wrong_again_is_told():
    with Watched(PretendedMachine()) as w:
        w.until(examined(traffic=False))
        w.machine.ip_vs = True
        w.until(becomes("ip-vs-available", Outcome.PASSED))
        w.machine.image = True
        w.until(becomes("gorb-image-present", Outcome.PASSED))
        w.machine.stopped.add("server2")
        event = w.until(becomes("server2-running", Outcome.FAILED))
        assert "exited" in event.result.actual


def test_an_idle_machine_is_only_looked_at_and_its_servers_are_not_made_to_work():
    with Watched(PretendedMachine().do_all(), traffic=False) as w:
        w.until(examined(traffic=False))
        w.machine.asked.clear()
        w.machine.counters += 7  # the kernel counts connections: no news
        w.until_asked("look", 20)
        assert set(w.machine.asked) == {"look"}


def test_traffic_is_sent_when_what_it_needs_has_become_right_and_only_then():
    with Watched(PretendedMachine().do_all()) as w:
        w.machine.backends.pop("1")
        w.until(examined(traffic=False))
        assert "traffic" not in w.machine.asked
        w.machine.register("1", "server2")
        w.until(examined(traffic=True))
        assert w.watch.score().points == 100
        assert w.machine.asked.count("traffic") == 1
        w.machine.stopped.add("server1")
        w.until(becomes("requests-succeed", Outcome.BLOCKED))
        assert w.machine.asked.count("traffic") == 1


def test_traffic_is_sent_on_request():
    with Watched(PretendedMachine().do_all(), traffic=False) as w:
        w.until(examined(traffic=False))
        assert w.outcomes()["requests-succeed"] is Outcome.BROKEN
        assert "traffic" not in w.machine.asked
        w.watch.send_traffic()
        w.until(examined(traffic=True))
        assert w.outcomes()["client-split"] is Outcome.PASSED


def test_a_machine_that_goes_and_comes_back_is_told_and_no_step_fails_for_it():
    with Watched(PretendedMachine().do_all(), traffic=False) as w:
        w.until(examined(traffic=False))
        w.machine.gone = "it cannot be reached: the cable is out"
        gone = w.until(lambda e: isinstance(e, MachineGone))
        assert "cable" in gone.reason
        w.machine.ip_vs = False
        w.machine.gone = ""
        w.until(lambda e: isinstance(e, MachineBack))
        w.until(becomes("ip-vs-available", Outcome.FAILED))
        outcomes = [e.result.outcome for e in w.events if isinstance(e, StepChanged)]
        assert Outcome.BROKEN not in outcomes


def test_a_machine_that_is_gone_from_the_start_is_told_and_waited_for():
    machine = PretendedMachine().do_all()
    machine.gone = "no route to host"
    with Watched(machine, traffic=False) as w:
        w.until(lambda e: isinstance(e, MachineGone))
        machine.gone = ""
        w.until(examined(traffic=False))
        assert w.watch.score().points == 70


def test_a_verdict_that_cannot_be_told_now_keeps_the_last_one_and_says_why(monkeypatch):
    machine = PretendedMachine().do_all()
    with Watched(machine, traffic=False) as w:
        w.until(examined(traffic=False))
        monkeypatch.setattr(machine, "file", lambda path: "not the kernel's words")
        event = w.until(lambda e: isinstance(e, StepChanged) and e.result.id == "ip-vs-available")
        assert event.result.outcome is Outcome.PASSED
        assert "does not begin as the kernel writes it" in event.unsettled
        assert w.outcomes()["ip-vs-available"] is Outcome.BROKEN


def test_the_longer_a_look_takes_the_fewer_there_are_and_fewer_still_while_nothing_changes(
    monkeypatch,
):
    monkeypatch.setattr(watching, "LONGEST_S", 1.5)
    machine = PretendedMachine().do_all()
    followed = watch(plan(LAB), lambda _: None, lambda: machine, traffic=False)
    assert followed.visit() == pytest.approx(0.2)
    machine.look_s = 0.5
    assert followed.visit() == 1.5
    monkeypatch.setattr(watching, "QUIET_S", 0.0)
    assert followed.visit() == 2.0
    machine.stopped.add("server2")
    monkeypatch.setattr(watching, "QUIET_S", 30.0)
    assert followed.visit() == 1.5
    followed.stop()


def test_what_often_changes_and_never_matters_is_not_examined_every_time():
    machine = PretendedMachine().do_all()
    with Watched(machine, traffic=False) as w:
        w.until(examined(traffic=False))
        machine.asked.clear()
        w.until_asked("look", 40, lambda: machine.service.update(uptime=len(machine.asked)))
        assert machine.asked.count("visit") < 20


def test_a_change_of_what_is_not_listened_to_is_told_once_it_is_again(monkeypatch):
    monkeypatch.setattr(watching, "REFRESH_S", 3600.0)
    monkeypatch.setattr(watching, "NOISE_S", 0.5)
    machine = PretendedMachine().do_all()
    with Watched(machine, traffic=False) as w:
        w.until(examined(traffic=False))
        machine.asked.clear()
        w.until_asked("visit", 4, lambda: machine.service.update(uptime=len(machine.asked)))
        machine.asked.clear()
        w.until_asked("look", 3)
        machine.service["port"] = 4445  # only this question tells of it
        w.until(becomes("service-created", Outcome.FAILED))


def test_a_watch_lets_go_of_the_machine():
    machine = PretendedMachine()
    with Watched(machine) as w:
        w.until(examined(traffic=False))
    assert machine.closed
