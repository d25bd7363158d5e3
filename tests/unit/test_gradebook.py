"""The gradebook has all that is known: no grade is blank there, and nothing is run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from labwright.batch import gradebook
from labwright.batch.grade_rule import Grade
from labwright.batch.gradebook import Row
from labwright.batch.student import Student
from labwright.batch.task import Examined
from labwright.batch.view import ClassView

from . import samples

ANN = Student("s1", "ssh://h1", "Ann Ames", "ann@example.org", extra={"login": "ann"})
BOB = Student("s2", "ssh://h2", "Bob Bird")
EVE = Student("s3", "ssh://h3", "=HYPERLINK(1)", extra={"section": "@x", "canvas_id": "-7"})


def rows() -> list[Row]:
    return [
        Row(ANN, samples.all_passed(), Grade(110, "bonus"), ""),
        Row(BOB, samples.ssh_broken(), Grade(None), "no way\nto it", ("the same boot as s3",)),
        Row(EVE, samples.server2_stopped(), Grade(-2.5, "+1"), ""),
        Row(replace(BOB, id="s4", name=""), None, Grade(None), "not examined yet"),
    ]


def table(text: str) -> list[dict[str, str]]:
    assert "\n" not in text.replace("\r\n", "")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_the_general_gradebook_has_all_that_is_known():
    ann, bob, eve, left = table(gradebook.general(rows(), ["server2-running", "client-split"]))
    assert (ann["points"], ann["max_points"], ann["graded"]) == ("110", "100", "yes")
    assert (ann["server2-running"], ann["remark"]) == ("passed", "bonus")
    assert (bob["points"], bob["graded"], bob["flags"]) == ("", "no", "the same boot as s3")
    assert bob["remark"] == "no way to it"
    assert (eve["points"], eve["server2-running"]) == ("-2.5", "failed")
    assert (left["points"], left["server2-running"], left["target"]) == ("", "", "ssh://h2")


def test_cells_that_a_spreadsheet_would_run_are_text():
    eve = table(gradebook.general(rows(), []))[2]
    assert (eve["name"], eve["remark"]) == ("'=HYPERLINK(1)", "'+1")


# What is seen while it runs.


@pytest.mark.parametrize("terminal", [False, True])
def test_a_class_is_watched_by_ids_not_by_names(terminal):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=90)
    with ClassView(console, 4, {}) as view:
        view.round(2, 1)
        view.started("s1")
        view.ended(Examined("s1", samples.all_passed(), seconds=8.0))
        view.ended(Examined("s2", None, "no way\x1b[2J to it", reached=False))
    shown = Text.from_ansi(out.getvalue()).plain
    assert "grading 2 students, 2 at once" in shown
    assert "100 of 100 in 8.0 s" in shown
    assert "no way\\x1b[2J to it" in shown
    assert "Ann" not in shown
    assert not terminal or "1 graded  0 not graded  1 unreachable  0 being graded" in shown


def test_a_name_is_no_markup_of_the_terminals():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=90)
    with ClassView(console, 1, {"s1": "Ann [/] [red]Ames"}) as view:
        view.round(1, 1)
        view.started("s1")
    assert "s1 (Ann [/] [red]Ames)" in Text.from_ansi(out.getvalue()).plain


def test_names_are_shown_to_whoever_asks_for_them():
    out = io.StringIO()
    with ClassView(Console(file=out, width=90), 1, {"s1": "Ann"}) as view:
        view.round(1, 1)
        view.ended(Examined("s1", None))
    assert "s1 (Ann)  can be reached" in out.getvalue()
