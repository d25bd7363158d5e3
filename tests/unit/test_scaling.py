"""What a watched load says of a program that scales; each claim fails for its own reason."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from labwright.checks import scaling
from labwright.checks.behaviour import WatchedLoad
from labwright.errors import CheckFailed, MachineError
from labwright.reports.pictures import picture

URL = "http://10.0.2.15:4444/doWork"
STEPS = [[1.0, 10.0], [5.0, 28.0], [0.5, 24.0], [5.0, 28.0], [1.0, 6.0]]
HAPPENS = [
    {"after_s": 56.0, "what": "the program was restarted", "run": "true"},
    {"after_s": 80.0, "what": "a server was killed", "run": "true"},
]
RATE, PERIOD, MOST = 2.0, 2.0, 4
HEAD = "IP Virtual Server version 1.2.1 (size=4096)\nTCP  0A00020F:115C rr\n"


def table(*backends):
    """Write the kernel's table; a backend is (last byte of its address, weight, active)."""
    rows = "".join(f"  -> AC1100{n:02X}:115C Masq {w} {a} 0\n" for n, w, a in backends)
    return HEAD + rows


def up(*numbers):
    return table(*((n, 100, 0) for n in numbers))


RIGHT = [
    [0.0, up(2)],
    [13.0, up(2, 3)],
    [16.0, up(2, 3, 4)],
    [19.0, up(2, 3, 4, 5)],
    [46.0, table((2, 100, 0), (3, 100, 0), (4, 100, 0), (5, 0, 1))],
    [47.0, table((2, 100, 0), (3, 100, 0), (4, 100, 0), (5, 0, 0))],
    [47.5, up(2, 3, 4)],
    [52.0, table((2, 100, 0), (3, 100, 0), (4, 0, 0))],
    [52.5, up(2, 3)],
    [64.0, up(2, 3, 4)],
    [67.0, up(2, 3, 4, 5)],
    [82.0, up(3, 4, 5)],
    [86.0, up(3, 4, 5, 6)],
]


class Machine:
    """Answers as the probe and Docker on a machine would."""

    target = "a machine"

    def __init__(self, samples, *, failed=(), late=0.6, command_status=0):
        self._samples, self._failed, self._late = samples, failed, late
        self._status = command_status

    def probe(self, task, timeout):
        due, start = [], 0.0
        for gap_ms, seconds in task["gaps_ms"]:
            at = start
            while at < start + seconds:
                due.append(at)
                at += gap_ms / 1000
            start += seconds
        rows = [
            {
                "intended_s": at,
                "end_s": None if n in self._failed else at + self._late,
                "status": None if n in self._failed else 200,
                "error": "reset" if n in self._failed else "",
            }
            for n, at in enumerate(due)
        ]
        done = [
            {"after_s": c["after_s"], "status": self._status, "output": "no such container"}
            for c in task["commands"]
        ]
        watch = {"samples": self._samples, "cut": False, "asked": {}, "commands": done}
        return {"started_at": 1000.0, "requests": rows, "watch": watch}

    def run(self, command, *arguments, timeout):
        events = [(12.0, "create"), (13.0, "start"), (80.0, "die")]
        lines = [
            json.dumps(
                {
                    "timeNano": int((1000 + at) * 1e9),
                    "Action": action,
                    "Actor": {"Attributes": {"name": "worker2"}},
                }
            )
            for at, action in events
        ]
        return SimpleNamespace(ok=True, stdout="\n".join(lines), stderr="")


def load(samples, **machine):
    return WatchedLoad(Machine(samples, **machine), URL, STEPS, HAPPENS, 5555)


CLAIMS = {
    "scales-out": lambda seen: scaling.scales_out(
        seen, server_rate=RATE, period=PERIOD, most_servers=MOST
    ),
    "nothing-lost": lambda seen: scaling.nothing_lost(seen, period=PERIOD),
    "bounds": lambda seen: scaling.stays_in_bounds(
        seen, least_servers=1, most_servers=MOST, period=PERIOD
    ),
    "steady": lambda seen: scaling.steady(seen, server_rate=RATE),
    "scales-in": lambda seen: scaling.scales_in(seen, server_rate=RATE),
    "drains": scaling.drains,
    "starts-again": lambda seen: scaling.starts_again(
        seen, server_rate=RATE, period=PERIOD, most_servers=MOST
    ),
    "replaces": lambda seen: scaling.replaces_the_dead(
        seen, server_rate=RATE, period=PERIOD, most_servers=MOST
    ),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_right_program_is_right_by_every_claim(claim):
    assert list(CLAIMS[claim](load(RIGHT)))


def samples_with(changes):
    """Return the right program's samples, from a time on replaced by others."""
    at = changes[0][0]
    return [sample for sample in RIGHT if sample[0] < at] + changes


WRONG = {
    "never scales": ("scales-out", [[0.0, up(2)]], "at most 1"),
    "too slow": ("scales-out", [[0.0, up(2)], [35.0, up(2, 3, 4)]], "it took 25 s"),
    "no servers at all": ("bounds", [[0.0, up()]], "none was ever there"),
    "one too many": ("bounds", samples_with([[30.0, up(2, 3, 4, 5, 6)]]), "5 took part"),
    "down to zero": ("bounds", samples_with([[50.0, up()]]), "after 50 s there were 0"),
    "flaps": (
        "steady",
        samples_with([[n, up(2, 3, 4) if n % 2 else up(2, 3, 4, 5)] for n in range(20, 36)]),
        "up and down",
    ),
    "only up": ("scales-in", RIGHT[:4], "there were 4"),
    "removed with its connections": (
        "drains",
        samples_with([[46.0, table((2, 100, 0), (3, 100, 0), (4, 100, 0), (5, 0, 1))],
                      [46.5, up(2, 3, 4)]]),
        "1 open connections",
    ),
    "removed without weight 0": ("drains", samples_with([[46.0, up(2, 3, 4)]]), "weight 100"),
    "lost its state on restart": ("starts-again", RIGHT[:9], "at most 2"),
    "forgets the dead": ("replaces", RIGHT[:11], "it stayed"),
    "does not replace the dead": ("replaces", [*RIGHT[:11], [82.0, up(3)]], "there were fewer"),
}  # fmt: skip


@pytest.mark.parametrize(("claim", "samples", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_program_fails_for_its_own_reason(claim, samples, words):
    with pytest.raises(CheckFailed, match=words):
        list(CLAIMS[claim](load(samples)))


def test_a_lost_request_is_the_programs_but_not_after_a_server_was_killed():
    with pytest.raises(CheckFailed, match="1 of 308"):
        list(CLAIMS["nothing-lost"](load(RIGHT, failed=(40,))))
    killed_at = 10 + 140 + 12 + (80 - 62) * 5
    assert list(CLAIMS["nothing-lost"](load(RIGHT, failed=(killed_at + 1,))))


def test_what_piled_up_must_be_worked_off():
    with pytest.raises(CheckFailed, match="were waiting at its end"):
        list(CLAIMS["scales-out"](load(RIGHT, late=15.0)))


def test_what_the_grader_could_not_do_is_not_the_programs_fault():
    with pytest.raises(MachineError, match="the program was restarted could not be done"):
        list(CLAIMS["scales-out"](load(RIGHT, command_status=1)))


def test_the_picture_says_in_words_what_it_shows():
    drawn = picture(load(RIGHT).seen.evidence(RATE))
    assert drawn is not None
    assert "From 1 to 4 servers took part" in drawn.words
    assert "After 80 s a server was killed." in drawn.words
