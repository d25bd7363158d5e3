"""What a check yields and raises, and how it is repeated while a step waits."""

from __future__ import annotations

import pytest

from labwright.errors import CheckFailed
from labwright.grading.step_check import Bound, NoEvidence, Seen, examine
from labwright.machines.recorded import NotRecorded, RecordedMachine, RecordingMachine
from labwright.outcome import Evidence, Notice


def bound(*, holds_at: int = 1) -> Bound:
    """Return a check that holds at the n-th attempt."""
    attempts = []

    def check(clock: Clock):
        attempts.append(clock)
        yield Evidence("attempt", str(len(attempts)))
        yield Notice(f"attempt {len(attempts)}")
        if len(attempts) < holds_at:
            raise CheckFailed("it", "not yet")

    return Bound(check, {}, ("clock",))


class Clock:
    """A clock that stands still but for pauses, and counts how often it was asked again."""

    def __init__(self) -> None:
        self.time = 0.0
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds


def test_a_notice_is_kept_beside_the_evidence() -> None:
    seen = Seen()
    examine(bound(), {"clock": Clock()}, seen)
    assert [piece.claim for piece in seen.evidence] == ["attempt"]
    assert seen.notices == ["attempt 1"]


def test_a_check_is_repeated_until_it_holds_and_says_how_long_that_took() -> None:
    clock, seen = Clock(), Seen()
    examine(bound(holds_at=4), {"clock": clock}, seen, 60, clock)
    assert [piece.claim for piece in seen.evidence] == ["attempt", "it holds after 6.0 s"]
    assert seen.evidence[1].data == {"kind": "wait", "waited_s": 6.0, "wait_s": 60, "attempts": 4}
    assert seen.notices == ["attempt 4"]
    assert clock.refreshed == 3


def test_a_check_that_does_not_hold_in_time_fails_and_says_how_long_it_was_tried() -> None:
    clock, seen = Clock(), Seen()
    with pytest.raises(CheckFailed):
        examine(bound(holds_at=100), {"clock": clock}, seen, 8, clock)
    assert clock.time == 8
    assert seen.evidence[-1].claim == "it did not hold after 8.0 s"


def test_a_check_of_a_step_that_does_not_wait_is_made_once() -> None:
    clock = Clock()
    with pytest.raises(CheckFailed):
        examine(bound(holds_at=2), {"clock": clock}, Seen(), 0, clock)
    assert clock.time == 0


@pytest.mark.parametrize(
    "piece",
    [
        None,
        "text",
        Notice(""),
        Notice(5),
        Evidence(5),
        Evidence("x", "", b"bytes"),
        Evidence("x", data=[]),
        Evidence("x", data={"a": object()}),
        Evidence("x", data={"a": {1, 2}}),
    ],
)
def test_what_is_no_evidence_breaks_the_step(piece) -> None:
    def check():
        yield Evidence("good")
        yield piece

    with pytest.raises(NoEvidence, match="yielded something that is not evidence"):
        examine(Bound(check, {}, ()), {}, Seen())


def test_a_check_that_is_no_generator_breaks_the_step() -> None:
    with pytest.raises(TypeError):
        examine(Bound(lambda: None, {}, ()), {}, Seen())


class Waiting(RecordedMachine):
    """A machine whose pauses take no time here."""

    def __init__(self) -> None:
        super().__init__("vm:a", ())
        self.time = 100.0

    def now(self) -> float:
        self.time += 0.25
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds


def test_a_record_waits_as_often_as_was_waited_then_and_no_longer() -> None:
    tape = []
    machine = RecordingMachine(Waiting(), tape)
    seen = Seen()
    examine(bound(holds_at=3), {"clock": Clock()}, seen, 60, machine)
    record, again = RecordedMachine("vm:a", tape), Seen()
    examine(bound(holds_at=3), {"clock": Clock()}, again, 60, record)
    assert again == seen
    assert seen.evidence[-1].claim == "it holds after 3.5 s"


def test_a_record_that_would_have_to_wait_longer_breaks_the_step() -> None:
    tape = []
    examine(bound(holds_at=3), {"clock": Clock()}, Seen(), 60, RecordingMachine(Waiting(), tape))
    with pytest.raises(NotRecorded, match="ends before this time"):
        examine(bound(holds_at=4), {"clock": Clock()}, Seen(), 60, RecordedMachine("vm:a", tape))
    with pytest.raises(NotRecorded, match="ends before this time"):
        examine(bound(holds_at=2), {"clock": Clock()}, Seen(), 60, RecordedMachine("vm:a", ()))
