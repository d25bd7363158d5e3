"""Evidence is drawn, said in words, and never breaks a report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repeated import repeated

from labwright.outcome import Evidence
from labwright.reports.pictures import KINDS, picture
from labwright.reports.svg import Picture

from . import samples


def draw(data: dict[str, Any]) -> Picture:
    drawn = picture(Evidence("a claim", data=data))
    assert drawn is not None
    return drawn


def nodes(drawn: Picture, look: str) -> list[ET.Element]:
    root = ET.fromstring(drawn.svg)
    return [node for node in root.iter() if look in node.get("class", "").split()]


def test_a_round_robin_sequence_is_a_zigzag_without_a_mark() -> None:
    drawn = draw(samples.sequence("12121212"))
    assert len(nodes(drawn, "s0")) == len(nodes(drawn, "s1")) == 4
    assert not nodes(drawn, "ring")
    assert drawn.words == (
        "8 requests: server1 4 and server2 4. None went to the same server as the one before."
    )


def test_the_odd_one_out_is_framed_and_named() -> None:
    drawn = draw(samples.sequence("1212212"))
    assert len(nodes(drawn, "ring")) == 1
    assert "Request 5 went to the same server as the one before." in drawn.words


def test_a_request_that_failed_is_a_cross_in_words_too() -> None:
    drawn = draw(samples.sequence("1210", failed=(4,)))
    assert len(nodes(drawn, "bad")) == 2
    assert "Request 4 failed: connection refused." in drawn.words


def test_an_answer_from_a_server_that_nobody_named_has_a_lane_of_its_own() -> None:
    assert "server3 1" in draw(samples.sequence("1231")).words


def test_a_long_sequence_continues_on_the_next_row() -> None:
    short, long = draw(samples.sequence("12" * 8)), draw(samples.sequence("12" * 9))
    heights = [float(ET.fromstring(drawn.svg).get("height", "0")) for drawn in (short, long)]
    assert heights[1] == 2 * heights[0]


def test_a_load_says_what_was_offered_answered_and_piled_up() -> None:
    requests = [
        {"intended_s": 0.25 * n, "end_s": end, "server": server, "status": status, "error": error}
        for n, (end, server, status, error) in enumerate(
            [
                (0.5, "server1", 200, ""),
                (0.8, "server2", 200, ""),
                (1.0, "server1", 200, ""),
                (2.0, None, None, "timeout"),
                (None, None, None, ""),
            ]
        )
    ]
    drawn = draw({"kind": "load", "bin_s": 1.0, "capacity_per_s": 3.0, "requests": requests})
    assert drawn.words == (
        "5 requests offered in 1.0 s, at most 4/s against a capacity of 3/s. "
        "server1 answered 2; server2 answered 1. At most 3 were in flight, after 0.8 s. "
        "1 had not been answered when the check ended. 1 failed, the first with: timeout."
    )
    assert len(nodes(drawn, "capacity")) == 2


def test_the_height_of_a_loads_bars_is_what_was_answered() -> None:
    drawn = draw(samples.load())
    tips = [title.text or "" for title in ET.fromstring(drawn.svg).iter("title")]
    assert "0 s: server1 answered 1/s" in tips


def test_a_split_shows_the_band_and_says_the_numbers() -> None:
    drawn = draw(samples.split(6, 6, 0.05))
    assert len(nodes(drawn, "band")) == 1
    assert "server1 has 50 %, within the 45 % to 55 % asked for." in drawn.words
    assert "outside the 50 %" in draw(samples.split(7, 5, 0.0)).words


def test_a_share_at_the_edge_of_the_band_is_within_it_in_spite_of_rounding() -> None:
    assert "within" in draw(samples.split(6, 4, 0.1)).words
    assert "within" in draw(samples.split(4, 6, 0.1)).words


def test_a_band_that_reaches_beyond_all_is_cut_to_0_and_1() -> None:
    assert "0 % to 100 %" in draw(samples.split(1, 1, 0.7)).words


@pytest.mark.parametrize("data", samples.MALFORMED, ids=str)
def test_data_that_is_not_as_it_should_be_is_not_drawn(data: dict[str, Any]) -> None:
    assert picture(Evidence("a claim", data=data)) is None


KEYS = [
    *("servers", "requests", "bin_s", "capacity_per_s"),
    *("counts", "share", "low", "high", "tolerance"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["n", "server", "status", "error", "intended_s", "end_s", "a"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@repeated(25, 2000)
def test_no_data_at_all_raises(times: int) -> None:
    @settings(max_examples=times)
    @given(
        kind=st.sampled_from(sorted(KINDS)), rest=st.dictionaries(st.sampled_from(KEYS), ANYTHING)
    )
    def holds(kind: str, rest: dict[str, Any]) -> None:
        drawn = picture(Evidence("a claim", data={"kind": kind, **rest}))
        if drawn:
            ET.fromstring(drawn.svg)

    holds()


def test_a_servers_name_is_escaped_bounded_and_visible() -> None:
    data = samples.sequence("12")
    data["requests"][0]["server"] = samples.NASTY
    drawn = draw(data)
    assert "<script" not in drawn.svg
    assert "\x1b" not in drawn.svg
    assert "alert(1)" not in drawn.svg


def test_a_picture_as_a_file_brings_its_colours_along() -> None:
    root = ET.fromstring(draw(samples.split()).file())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "--s0" in (root[0].text or "")
