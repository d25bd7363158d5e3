"""The checklist on the terminal: readable, plain where it must be, and safe."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from labwright.lab.model import Lab
from labwright.reports import terminal
from labwright.score import Score

from . import samples


def printed(score: Score, width: int = 80, colours: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    system: Literal["standard"] | None = "standard" if colours else None
    console = Console(
        file=file, width=width, force_terminal=colours, color_system=system, _environ={}
    )
    terminal.render(score, console)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture
def lab() -> Lab:
    nowhere = Path("nowhere")
    return Lab("gorb", "Balance two servers", nowhere, nowhere, {}, {}, "", ())


def test_each_step_is_a_line_under_its_part_with_outcome_and_points() -> None:
    lines = printed(samples.server2_stopped()).splitlines()
    assert lines[3:5] == [
        "Before you begin",
        "  ✓ passed    5/5     server1 runs and answers on port 4444",
    ]
    assert "  ✗ failed    0/5     server2 runs and answers on port 4444" in lines
    assert "  \u2013 blocked   0/10    server2 is registered as backend 1" in lines


def test_under_a_step_that_did_not_pass_stands_what_to_know_and_do() -> None:
    lines = printed(samples.server2_stopped()).splitlines()
    at = lines.index("  ✗ failed    0/5     server2 runs and answers on port 4444")
    assert [line.split(maxsplit=1)[0] for line in lines[at + 1 : at + 4]] == [
        "expected",
        "seen",
        "hint",
    ]
    assert "needs server2-running (server2 runs and answers on port 4444)" in "\n".join(lines)


def test_the_last_line_is_the_total() -> None:
    assert printed(samples.all_passed()).splitlines()[-1] == (
        "100 of 100 points: 12 passed, in 31.5 s"
    )


def test_a_score_that_is_no_grade_ends_with_saying_so() -> None:
    assert printed(samples.ssh_broken()).splitlines()[-1].startswith("Not a grade: 1 step")


def test_a_failed_sequence_is_told_in_words() -> None:
    assert "Request 4 went to the same server as the one before." in printed(
        samples.not_round_robin()
    )


def test_where_there_is_no_terminal_nothing_is_folded_or_coloured() -> None:
    shown = printed(samples.hostile(), width=40)
    assert "\x1b" not in shown
    title = "The client's variable load runs, and two servers cannot handle all of it"
    assert any(line.endswith(title) for line in shown.splitlines())


def test_on_a_terminal_lines_are_folded_to_its_width() -> None:
    plain = printed(samples.server2_stopped(), width=60, colours=True)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", plain).splitlines()
    assert max(map(len, lines)) <= 60
    assert " " * 22 + "two servers cannot handle all of it" in lines


@pytest.mark.parametrize("colours", [False, True])
def test_escapes_and_markup_of_the_target_are_shown_and_not_obeyed(colours: bool) -> None:
    shown = printed(samples.hostile(), width=4000, colours=colours)
    assert "\\x1b[2J\\x1b[31mred\\x1b]0;title\\x07" in shown
    assert "[bold]markup[/bold]" in shown
    assert not set(shown) & {"\x00", "\x07", "\x9b", "\u202e"}
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    terminal.render(
        samples.server2_stopped(),
        Console(file=file, force_terminal=True, _environ={"NO_COLOR": "1"}),
    )
    assert "\x1b[3" not in file.getvalue()
    assert "✗ failed" in file.getvalue()


def test_a_terminal_that_knows_only_ascii_is_spoken_to_in_ascii() -> None:
    shown = printed(samples.hostile(), encoding="ascii")
    assert "\\u2717 failed    0/5     server1 runs" in shown


@pytest.mark.parametrize("kind", samples.EVERY_KIND)
def test_every_score_can_be_printed(kind: str) -> None:
    score = samples.EVERY_KIND[kind]()
    assert len(printed(score)) < 60_000
    assert len(printed(score, width=20, colours=True)) < 200_000


def test_on_a_terminal_the_step_in_work_stands_below_until_it_is_done(lab: Lab) -> None:
    file = io.StringIO()
    checklist = terminal.Checklist(Console(file=file, force_terminal=True, _environ={}), "vm:a")
    checklist.begin(lab, 2)
    score = samples.all_passed()
    for number in (1, 2):
        assert file.getvalue().rstrip("\x1b[0m\n").endswith(f"\u2026 step {number} of 2")
        checklist.step(score.steps[number - 1])
    checklist.end(score)
    assert file.getvalue().count("\x1b[1A\x1b[2K") == file.getvalue().count("\u2026") == 2


def test_a_checklist_grows_step_by_step(lab: Lab) -> None:
    file = io.StringIO()
    checklist = terminal.Checklist(Console(file=file), "vm:a")
    checklist.begin(lab, 12)
    assert file.getvalue() == "Balance two servers\nvm:a, 12 steps\n"
    score = samples.all_passed()
    for step in score.steps[:2]:
        checklist.step(step)
    grown = file.getvalue()
    assert grown.count("Before you begin") == 1
    assert grown.count("passed") == 2
    checklist.end(score)
    assert file.getvalue().startswith(grown)
