"""Numbers, times and lists are readable."""

from __future__ import annotations

import pytest

from labwright.reports import wording


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
    assert wording.duration(seconds) == shown


def test_points_have_no_needless_fraction() -> None:
    assert [wording.number(value) for value in (5.0, 2.5, 100, 0, 0.333)] == [
        "5",
        "2.5",
        "100",
        "0",
        "0.33",
    ]


def test_a_time_is_read_and_an_odd_one_is_shown_as_it_is() -> None:
    assert wording.when("2024-03-09T11:15:02+01:00") == "9 March 2024, 10:15:02 UTC"
    assert wording.when("2024-03-09T10:15:02Z") == "9 March 2024, 10:15:02 UTC"
    assert wording.when("yesterday\x1b") == "yesterday\\x1b"
    assert wording.between("yesterday", "2024-03-09T10:15:02Z") == ""
    for edge in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        assert wording.when(edge) == edge, "it is no time in UTC"
        assert wording.between(edge, edge) == ""


def test_words_are_listed_as_in_a_sentence() -> None:
    assert [wording.listed(list(words)) for words in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
