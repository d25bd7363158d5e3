"""The summary of a job: a table that no text of the target's can break out of."""

from __future__ import annotations

from dataclasses import replace

from markdown_it import MarkdownIt
from tests.unit import samples

from labwright.host.files import append_text
from labwright.outcome import Outcome
from labwright.reports import markdown


def cells(text: str) -> list[list[str]]:
    """Return the rows of the tables as a reader of Markdown sees them."""
    rows: list[list[str]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and len(rows[-1]) < 4:
            rows[-1].append("".join(child.content for child in token.children or ()))
    return [row for row in rows if row and row[0] != "step"]


def test_each_step_has_a_row_with_its_outcome_points_and_reason():
    score = samples.all_passed()
    text = markdown.render(score)
    assert text.startswith("## ")
    assert "100 of 100 points" in text
    assert [row[2] for row in cells(text)] == [
        f"{step.points:g}/{step.max_points:g}" for step in score.steps
    ]


def test_what_is_broken_is_no_grade_and_says_so():
    score = samples.all_passed()
    first = replace(score.steps[0], outcome=Outcome.BROKEN, points=0, reason="it is gone")
    text = markdown.render(replace(score, steps=(first, *score.steps[1:])))
    assert "**Not a grade: 1 step could not be checked" in text
    assert "why: it is gone" in text
    assert "| ! **broken** |" not in text, "an exclamation mark before a bracket is an image"


def test_the_text_of_a_hostile_target_stays_text():
    said = "a | b ` c\n# d <img src=x onerror=y> **e** [f](http://x) @g www.h.org \\| \x1b[2J"
    score = samples.all_passed()
    first = replace(score.steps[0], outcome=Outcome.FAILED, actual=said, expected=said, hint="")
    rest = score.steps[1:]
    text = markdown.render(replace(score, target=said, title=said, steps=(first, *rest)))
    kinds = {
        (child.type, child.content)
        for token in MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
        for child in token.children or ()
        if child.type not in ("text", "text_special", "softbreak")
    }
    assert {kind for kind, _ in kinds} == {"html_inline", "strong_open", "strong_close"}
    assert {content for kind, content in kinds if kind == "html_inline"} == {"<br>"}
    assert len(cells(text)) == len(score.steps)
    assert "\x1b" not in text
    assert "http:" not in text
    assert "www." not in text
    assert "@" not in text


def test_a_summary_is_added_to_what_is_there(tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    append_text(file, "after\n")
    assert file.read_text() == "before\nafter\n"
