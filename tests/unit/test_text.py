"""What comes from outside is made harmless for the place where it is shown."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.control import Control
from rich.table import Table
from rich.text import Text

from labwright import text
from labwright.host.console import Console

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("null \x00, delete \x7f", "null \\x00, delete \\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        ("half \ud800", "half \\ud800"),
        ("\ufffe\uffff", "\\ufffe\\uffff"),
        ("a\r\nb\rc", "a\nb\\rc"),
        ("line\u2028separator", "line\\u2028separator"),
        ("tab\tand\nline stay", "tab\tand\nline stay"),
        ("Zürich, 東京, \u0645\u06cc\u200c\u062e", "Zürich, 東京, \u0645\u06cc\u200c\u062e"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(written: str, shown: str) -> None:
    assert text.visible(written) == shown


@given(st.text(st.characters()))
def test_visible_text_holds_no_control_and_fits_utf_8(written: str) -> None:
    shown = text.visible(written)
    shown.encode("utf-8")
    assert not [c for c in shown if ord(c) < 0x20 and c not in "\n\t"]
    assert text.visible(shown) == shown


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    shown = text.excerpt("a" * 600 + "b" * 600, 300)
    assert shown.startswith("a" * 200 + "\n")
    assert shown.endswith("\n" + "b" * 100)
    assert "900 characters left out" in shown


def test_what_is_left_of_a_long_output_is_harmless_too() -> None:
    shown = text.excerpt("\x1b[2J" + "a" * 600 + "\x1b[2J", 300)
    assert shown.startswith("\\x1b[2J")
    assert shown.endswith("\\x1b[2J")


def test_an_output_as_long_as_the_limit_is_shown_whole() -> None:
    assert text.excerpt("abc", 3) == "abc"


def test_a_line_is_one_line_of_limited_length() -> None:
    assert text.line("a\n b\t\tc") == "a b c"
    assert text.line("abcdef", 4) == "abc…"


GFM = MarkdownIt("gfm-like", {"html": True, "linkify": False})
NASTY = [
    "<img src=x onerror=alert(1)>",
    "![image](http://example.org/x.png)",
    "[link](javascript:alert(1))",
    "https://example.org and www.example.org",
    "@everybody, see #1",
    "a | cell | more",
    "`code` **bold** _it_ ~~gone~~ $x$ :smile:",
    "- item",
    "1. item",
    "# heading",
    "===",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("written", NASTY)
def test_markdown_shows_foreign_text_as_it_is(written: str) -> None:
    rendered = GFM.render(f"{text.markdown(written)}\n")
    found = re.fullmatch(r"<p>(.*)</p>\n", rendered)
    assert found, rendered
    assert html.unescape(found[1]).replace("\u200b", "") == written
    assert "<" not in found[1]
    # What GitHub would make a mention, a reference or a link of.
    assert not re.search(r"(?<!\w)@\w|#\d", html.unescape(found[1]))
    assert not re.search(r"://|www\.", text.markdown(written))


def shown_as(cell: str) -> str:
    return html.unescape(cell).replace("\u200b", "").strip()


@given(st.text(st.characters()))
def test_markdown_of_any_text_has_no_element_and_keeps_the_cell(written: str) -> None:
    shown = text.markdown(written)
    table = f"| a | b |\n| --- | --- |\n| {shown} | end |\n"
    rendered = GFM.render(table)
    cells = re.findall(r"<td>(.*?)</td>", rendered, re.DOTALL)
    assert [shown_as(cell) for cell in cells] == [text.line(written).strip(), "end"]


@given(st.text(st.sampled_from("~`\n ab\x1b")))
def test_a_block_of_markdown_ends_where_its_text_does(written: str) -> None:
    rows = text.markdown_block(written, "diff", "  ")
    tokens = MarkdownIt("commonmark").parse("\n".join(["- item", "", *rows, "- next"]))
    assert [token.type for token in tokens].count("fence") == 1
    assert [token.type for token in tokens].count("list_item_open") == 2


def test_html_is_escaped_also_for_an_attribute() -> None:
    assert text.html("<a b='\"'>\x1b&") == "&lt;a b=&#x27;&quot;&#x27;&gt;\\x1b&amp;"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " ="])
def test_a_cell_of_csv_is_never_a_formula(start: str) -> None:
    assert text.csv_cell(f"{start}1+1").startswith("'")


@pytest.mark.parametrize("number", ["-2.5", "0", "100"])
def test_a_number_stays_a_number_in_csv(number: str) -> None:
    assert text.csv_cell(number) == number


@given(st.text(st.characters()))
def test_a_command_of_github_stays_one_line(written: str) -> None:
    shown = text.github(written)
    assert len(shown.splitlines()) <= 1
    assert not set(text.github(written, attribute=True)) & set(":,\r\n")


@given(st.text(), st.sampled_from([str, Text, "table"]))
def test_nothing_that_a_terminal_obeys_gets_through_a_console(written: str, kind: object) -> None:
    out = io.StringIO()
    console = Console(file=out, width=60)
    hostile = f"\x1b]0;t\x07\x1b[2J\u202e{written}"
    if kind == "table":
        shown = Table("a")
        shown.add_row(Text(hostile))
    else:
        shown = kind(hostile)
    console.print(shown, markup=False, highlight=False)
    assert not [c for c in out.getvalue() if c in "\x1b\x07\u202e\x9b"]
    assert "\\x1b]0;" in out.getvalue()


def test_a_consoles_own_colours_and_movements_stay() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard")
    console.print(Text("red", "red"))
    console.control(Control.clear())
    assert out.getvalue() == "\x1b[31mred\x1b[0m\n\x1b[2J"


def test_no_command_has_another_console() -> None:
    """The client of a lab is for itself: it writes its own numbers."""
    ours = [*(ROOT / "src").rglob("*.py"), *(ROOT / "reports").rglob("*.py")]
    made = sorted(
        str(path.relative_to(ROOT))
        for path in ours
        if "Console(" in (source := path.read_text())
        and "host.console import Console" not in source
    )
    assert made == ["src/labwright/components/workload/client.py", "src/labwright/host/console.py"]
