"""What a watched load says of a program that scales; each claim fails for its own reason."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import pytest

from labwright.checks import scaling, server_life
from labwright.checks.watched_load import WatchedLoad
from labwright.errors import CheckFailed, MachineError
from labwright.reports import behaviour_text
from labwright.reports.pictures import picture

URL = "http://10.0.2.15:4444/doWork"
STEPS = [[1.0, 10.0], [5.0, 28.0], [0.5, 24.0], [5.0, 28.0], [1.0, 6.0]]
HAPPENS = [
    {"after_s": 56.0, "kind": "restart", "what": "the program was restarted", "run": "restart"},
    {"after_s": 75.0, "kind": "kill", "what": "a server was killed", "run": "kill"},
]
RATE, PERIOD, MOST = 2.0, 2.0, 4
SEED = next(seed for seed in range(1000) if random.Random(seed).randint(-8, 8) == 0)
"""One that leaves the times as they are."""
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
    [48.0, up(2, 3, 4)],
    [52.0, table((2, 100, 0), (3, 100, 0), (4, 0, 0))],
    [53.0, up(2, 3)],
    [64.0, up(2, 3, 4)],
    [67.0, up(2, 3, 4, 5)],
    [78.0, up(3, 4, 5)],
    [82.0, up(3, 4, 5, 6)],
]


class Machine:
    """Answers as the probe and Docker on a machine would."""

    target = "a machine"

    def __init__(
        self,
        samples,
        *,
        failed=(),
        late=0.6,
        undone="",
        unseen=(),
        left=("running",),
        started=1,
        inspected=(),
        died=76.0,
    ):
        self._samples, self._failed, self._late = samples, failed, late
        self._undone, self._unseen = undone, list(unseen)
        self._left, self._started, self._inspected = left, started, inspected
        self._died = died

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
            {
                "after_s": command["after_s"],
                "took_s": 1.0,
                "status": 1 if command["run"].splitlines()[-1] == self._undone else 0,
                "output": "killed id2 172.17.0.2",
            }
            for command in task["commands"]
        ]
        watch = {
            "samples": self._samples,
            "cut": False,
            "unseen": self._unseen,
            "asked": {},
            "commands": done,
        }
        return {"started_at": 1000.0, "requests": rows, "watch": watch}

    def run(self, command, *arguments, timeout):
        if "inspect" in command:
            return SimpleNamespace(ok=True, stdout="\n".join(self._inspected), stderr="")
        if " ps " in command:
            rows = [
                {"ID": f"id{n + 3}", "Names": f"worker{n + 3}", "Image": "server", "State": state}
                for n, state in enumerate(self._left)
            ]
        else:
            events = [(self._died, "die", 2)]
            for n in range(self._started):
                events += [(12.0, "create", n + 3), (13.0, "start", n + 3)]
            rows = [
                {
                    "timeNano": int((1000 + at) * 1e9),
                    "Action": action,
                    "id": f"id{n}",
                    "Actor": {"Attributes": {"name": f"worker{n}"}},
                }
                for at, action, n in events
            ]
        return SimpleNamespace(ok=True, stdout="\n".join(map(json.dumps, rows)), stderr="")


def load(samples, **machine):
    return WatchedLoad(Machine(samples, **machine), URL, STEPS, HAPPENS, 5555, SEED)


CLAIMS = {
    "scales-out": lambda seen: scaling.scales_out(
        seen, server_rate=RATE, period=PERIOD, most_servers=MOST
    ),
    "nothing-lost": lambda seen: server_life.nothing_lost(seen, period=PERIOD),
    "bounds": lambda seen: scaling.stays_in_bounds(
        seen, least_servers=1, most_servers=MOST, period=PERIOD
    ),
    "steady": lambda seen: scaling.steady(seen, server_rate=RATE),
    "scales-in": lambda seen: scaling.scales_in(seen, server_rate=RATE, period=PERIOD),
    "drains": lambda seen: server_life.drains(seen, period=PERIOD),
    "starts-again": lambda seen: scaling.starts_again(
        seen, server_rate=RATE, period=PERIOD, most_servers=MOST
    ),
    "cleans-up": lambda seen: server_life.cleans_up(seen, server_image="server", most_servers=MOST),
    "replaces": lambda seen: server_life.replaces_the_dead(
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
    "no servers at all": ("bounds", [[0.0, up()]], "after 0 s there were 0"),
    "one too many": ("bounds", samples_with([[30.0, up(2, 3, 4, 5, 6)]]), "5 took part"),
    "down to zero": ("bounds", samples_with([[50.0, up()]]), "after 50 s there were 0"),
    "flaps": (
        "steady",
        samples_with([[n, up(2, 3, 4) if n % 2 else up(2, 3, 4, 5)] for n in range(20, 36)]),
        "up and down",
    ),
    "only up": ("scales-in", RIGHT[:4], "there were 4"),
    "removed as soon as it has the weight 0": (
        "drains",
        samples_with([[46.0, table((2, 100, 0), (3, 100, 0), (4, 100, 0), (5, 0, 1))],
                      [46.2, up(2, 3, 4)]]),
        "0.2 s after it got it, with 1 open",
    ),
    "removes all when it starts again": ("starts-again", samples_with([[58.0, up()]]), "2 that"),
    "removed without weight 0": ("drains", samples_with([[46.0, up(2, 3, 4)]]), "weight 100"),
    "lost its state on restart": ("starts-again", RIGHT[:9], "at most 2"),
    "forgets the dead": ("replaces", RIGHT[:11], "it stayed"),
    "does not replace the dead": ("replaces", [*RIGHT[:11], [78.0, up(3)]], "there were fewer"),
}  # fmt: skip


@pytest.mark.parametrize(("claim", "samples", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_program_fails_for_its_own_reason(claim, samples, words):
    with pytest.raises(CheckFailed, match=words):
        list(CLAIMS[claim](load(samples)))


def test_a_lost_request_is_the_programs_but_not_after_a_server_was_killed():
    with pytest.raises(CheckFailed, match="1 of 308"):
        list(CLAIMS["nothing-lost"](load(RIGHT, failed=(40,))))
    killed_at = 10 + 140 + 12 + (76 - 62) * 5
    assert list(CLAIMS["nothing-lost"](load(RIGHT, failed=(killed_at + 1,))))


def test_what_piled_up_must_become_less():
    with pytest.raises(CheckFailed, match="requests to wait when the load of 5"):
        list(CLAIMS["scales-out"](load(RIGHT, late=15.0)))


@pytest.mark.parametrize(("undone", "claim"), [("restart", "starts-again"), ("kill", "replaces")])
def test_what_the_grader_could_not_do_is_not_the_programs_fault(undone, claim):
    with pytest.raises(MachineError, match="could not be done"):
        list(CLAIMS[claim](load(RIGHT, undone=undone)))
    assert list(CLAIMS["scales-out"](load(RIGHT, undone=undone)))


def test_a_removal_that_nobody_could_see_is_not_judged():
    removed = samples_with([[46.0, up(2, 3, 4)], [52.0, table((2, 100, 0), (3, 0, 0), (4, 100, 0))],
                            [53.0, up(2, 4)]])  # fmt: skip
    with pytest.raises(CheckFailed):
        list(CLAIMS["drains"](load(removed)))
    assert list(CLAIMS["drains"](load(removed, unseen=[(45.0, 46.0)])))


def test_a_connection_that_ended_just_before_the_removal_is_no_fault():
    busy = table((2, 100, 0), (3, 100, 0), (4, 100, 0), (5, 0, 1))
    samples = samples_with([[46.0, busy], [47.2, up(2, 3, 4)]])
    assert list(CLAIMS["drains"](load(samples)))
    with pytest.raises(CheckFailed, match="with 1 open"):
        list(CLAIMS["drains"](load(samples, failed=(10 + 140 + 4,))))


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (["running"] * 6, "6 run, and 4 are in the list"),
        (["running"] * 4 + ["exited"] * 3, "3 are left that are stopped"),
    ],
)
def test_containers_that_stay_behind_are_found(left, words):
    with pytest.raises(CheckFailed, match=words):
        list(CLAIMS["cleans-up"](load(RIGHT, left=left, started=7)))


@pytest.mark.parametrize(
    "left",
    [
        ["running"] * 4,
        ["running"] * 5,  # one is just being started
        ["running", "exited", "exited", "exited"],  # they are started again when they are needed
        ["running"] * 4 + ["exited"],  # the one that was killed
    ],
)
def test_containers_that_are_of_use_do_not_count_as_left(left):
    assert list(CLAIMS["cleans-up"](load(RIGHT, left=left, started=7)))


def test_the_seed_moves_the_whole_load():
    loads = [WatchedLoad(Machine(RIGHT), URL, STEPS, HAPPENS, 5555, seed).seen for seed in range(9)]
    shifts = {seen.phases[0].end_s - 10 for seen in loads}
    assert len(shifts) > 3
    assert all(-2 <= shift <= 2 for shift in shifts)
    for seen in loads:
        shift = seen.phases[0].end_s - 10
        assert [one.at_s - shift for one in seen.happened] == [56, 75]


def test_a_terminal_shows_it_over_time_in_whatever_it_can_print():
    data = load(RIGHT, failed=(40,)).seen.evidence(RATE).data
    for encoding, marks in (("utf-8", behaviour_text.BLOCKS), ("ascii", behaviour_text.PLAIN)):
        shown = behaviour_text.rows(data, encoding)
        labels = [row[: behaviour_text.LABEL + 1].strip() for row in shown]
        assert labels[:5] == [
            "requests/s offered",
            "requests/s answered",
            "waiting",
            "servers that suffice",
            "servers there",
        ]
        assert set(shown[0][behaviour_text.LABEL + 2 :][: behaviour_text.COLUMNS]) <= set(marks)
        assert shown[4].endswith(" 4")
        assert any("2 a server was killed" in row for row in shown)
        assert max(map(len, shown)) <= 88
    assert behaviour_text.rows({"kind": "behaviour", "phases": "none"}) == []
    assert behaviour_text.rows({"kind": "split"}) == []


def test_the_picture_says_in_words_what_it_shows():
    drawn = picture(load(RIGHT).seen.evidence(RATE))
    assert drawn is not None
    assert "From 1 to 4 servers took part" in drawn.words
    assert "After 76 s a server was killed." in drawn.words


@pytest.mark.parametrize(
    ("inspected", "stretch"),
    [
        ((), 1.0),
        (["0 2026-11-28T08:00:00.5Z 2026-11-28T08:00:00.900000001Z"], 1.0),
        (["0 2026-11-28T08:00:00Z 2026-11-28T08:00:08Z"], 1.9),
        (["0 2026-11-28T08:00:00Z 2026-11-28T08:00:40Z"], 2.5),
        # It was started again, or long after it was made: that says nothing.
        (["1 2026-11-28T08:00:00Z 2026-11-28T08:00:08.5Z"], 1.0),
        (["0 2026-11-28T08:00:00Z 2026-11-28T09:00:00Z"], 1.0),
        (["0 2026-11-28T08:00:00Z 0001-01-01T00:00:00Z"], 1.0),
        (["template parsing error"], 1.0),
    ],
)
def test_the_load_takes_longer_on_a_machine_whose_containers_start_slowly(inspected, stretch):
    watched = load(RIGHT, inspected=inspected)
    assert watched.stretch == stretch
    assert watched.seen.end_s == pytest.approx(stretch * sum(seconds for _, seconds in STEPS))
    restart = watched.seen.happening("restart")
    assert restart.at_s == pytest.approx(stretch * 56.0)


@pytest.mark.parametrize("back", [93.0, None])
def test_a_server_that_was_replaced_in_time_counts_though_the_load_was_over(back):
    samples = [*RIGHT[:11], [87.0, up(3, 4)], *([[back, up(3, 4, 5)]] if back else [])]
    seen = load(samples, died=85.0)
    if back:
        assert list(CLAIMS["replaces"](seen))
    else:
        with pytest.raises(MachineError, match="the load ended before another server was due"):
            list(CLAIMS["replaces"](seen))
