"""The class page: everybody is on it, who has no grade is blank, and nothing of it is obeyed."""

from __future__ import annotations

import re

from labwright.reports import class_page
from labwright.reports.class_page import ClassRow

from . import samples
from .test_report_html import Page


def row(id: str, score=None, points=None, remark: str = "", **more) -> ClassRow:
    return ClassRow(id, more.pop("name", ""), score, points, remark, **more)


def a_class() -> list[ClassRow]:
    return [
        row("ann", samples.all_passed(), 100.0, name="Ann"),
        row("bob", samples.server2_stopped(), 55.0),
        row("eve", samples.server2_stopped(), 55.0, flags=("the same boot of a machine as bob",)),
        row("kim", samples.ssh_broken(), None, "no connection"),
        row("zoe", None, None, "not examined yet"),
    ]


def test_everybody_is_on_the_page_and_no_grade_is_blank() -> None:
    source = class_page.render("A lab", a_class())
    for id in ("ann", "bob", "eve", "kim", "zoe"):
        assert f'id="s-{id}"' in source
    cells = re.findall(r'<td class="n">([^<]*)</td>\n', source)
    assert [cell for cell in cells if "failed" not in cell] == ["100", "55", "55", "", ""]
    shown = Page(source)
    assert "3 of 5 students graded" in shown.text
    assert "median 55" in shown.text
    assert "no connection" in shown.text


def test_what_most_failed_at_is_told_with_who_did() -> None:
    shown = Page(class_page.render("A lab", a_class()))
    assert "2 server2 runs and answers on port 4444: it exited with status 0" in shown.text
    assert "bob eve" in shown.text


def test_what_a_target_or_a_roster_wrote_is_shown_and_not_obeyed() -> None:
    bad = "<script>alert(1)</script>"
    rows = [row("x", samples.hostile(), None, bad, name=bad, flags=(bad,))]
    shown = Page(class_page.render(bad, rows))
    assert not shown.open
    assert len(shown.all("script")) == 1
    assert shown.text.count(bad) >= 4
    for _, attributes in shown.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_a_class_of_nobody_is_a_page_too() -> None:
    assert "nobody was graded" in class_page.render("A lab", [])
