"""What the target wrote is made harmless, and numbers readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labwright.reports import text


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


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (0.9999, "1.0 s"),
        (6.12, "6.1 s"),
        (59.99, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3 * 3600 + 300, "3 h 05 min"),
        (-1, "0 ms"),
    ],
)
def test_a_duration_is_in_the_unit_that_suits_it(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_points_have_no_needless_fraction() -> None:
    assert [text.number(value) for value in (5.0, 2.5, 100, 0, 0.333)] == [
        "5",
        "2.5",
        "100",
        "0",
        "0.33",
    ]


def test_a_time_is_read_and_an_odd_one_is_shown_as_it_is() -> None:
    assert text.when("2024-03-09T11:15:02+01:00") == "9 March 2024, 10:15:02 UTC"
    assert text.when("2024-03-09T10:15:02Z") == "9 March 2024, 10:15:02 UTC"
    assert text.when("yesterday\x1b") == "yesterday\\x1b"
    assert text.between("yesterday", "2024-03-09T10:15:02Z") == ""


def test_words_are_listed_as_in_a_sentence() -> None:
    assert [text.listed(list(words)) for words in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
