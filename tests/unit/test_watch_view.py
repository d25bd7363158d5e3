"""The checklist of `check --watch` fits on the terminal, whatever its size."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from labwright.grading import step_check
from labwright.grading.watch import StepChanged
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live.in_terminal import View
from labwright.outcome import Outcome

LAB = load_lab(find_lab("gorb"))
SAID = "a backend on port 4444 with weight 100 and the address of server2, " * 3


def shown(height: int, failing: str = "server2-registered", width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    view = View(LAB, "vm:a", console)
    for step in LAB.steps:
        result = step_check.pending(step, "lab.md")
        result = replace(result, outcome=Outcome.PASSED, points=step.points)
        if step.id == failing:
            result = replace(
                result, outcome=Outcome.FAILED, points=0, expected=SAID, actual=SAID, hint=SAID
            )
        view.state.handle(StepChanged(result))
    with console.capture() as captured:
        console.print(view.render())
    return captured.get().splitlines()


@pytest.mark.parametrize("height", [6, 10, 16, 20, 24, 30, 60])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_all_of_it_fits_and_what_is_next_and_the_points_are_always_there(height, width):
    rows = shown(height, width=width)
    assert len(rows) <= height
    assert any("\u25b6" in row for row in rows)
    assert any("of 100 points"[: width - 10] in row for row in rows)


def test_with_room_the_parts_have_headings_and_sentences_are_whole():
    text = "\n".join(shown(60, width=100))
    assert "Part (2/3)" in text
    assert "\u2026" not in text
    assert text.count("\n\n") >= 4


def test_on_a_small_terminal_headings_and_long_sentences_give_way():
    text = "\n".join(shown(20))
    assert "Part (2/3)" not in text
    assert "\u2026" in text
