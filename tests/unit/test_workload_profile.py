"""The client's load: the document's distribution, the same for the same seed."""

from __future__ import annotations

from itertools import islice

import pytest

from labwright.components.workload import probe, profile

CAPACITY = 4.0


def test_a_seed_names_one_load_and_another_seed_another():
    assert profile.windows(7, 60) == profile.windows(7, 60)
    assert profile.windows(7, 60) != profile.windows(8, 60)


def test_a_seeds_load_never_changes_so_that_a_score_can_be_reproduced():
    assert profile.windows(7, 15) == [(323.0, 5.0), (150.0, 5.0), (650.0, 5.0)]


def test_gaps_are_drawn_uniformly_from_the_documents_range():
    gaps = [gap for gap, _ in islice(profile.random_windows(1), 20_000)]
    assert min(gaps) == 1.0
    assert max(gaps) == 998.0
    assert sum(gaps) / len(gaps) == pytest.approx(499, abs=10)


def test_about_a_quarter_of_the_windows_exceed_two_servers():
    gaps = [gap for gap, _ in islice(profile.random_windows(1), 20_000)]
    assert sum(1000 / gap > CAPACITY for gap in gaps) / len(gaps) == pytest.approx(0.25, abs=0.02)


def test_a_minute_of_the_client_exceeds_two_servers_almost_surely():
    exceeds = [
        any(1000 / gap > CAPACITY for gap, _ in profile.windows(seed, 60)) for seed in range(2000)
    ]
    assert sum(exceeds) / len(exceeds) == pytest.approx(0.97, abs=0.02)


def test_windows_fill_the_time_exactly_and_the_last_is_cut():
    assert [window for _, window in profile.windows(7, 12)] == [5.0, 5.0, 2.0]
    assert [window for _, window in profile.windows(7, 0.3, 0.1)] == pytest.approx([0.1] * 3)


def test_shorter_windows_compress_the_same_gaps():
    long, short = profile.windows(7, 60), profile.windows(7, 12, 1.0)
    assert [gap for gap, _ in long] == [gap for gap, _ in short]


def test_the_deterministic_variant_is_the_documents_list():
    gaps = [gap for gap, _ in profile.list_windows()]
    assert gaps == [800, 800, 100, 500, 100, 200, 50]
    assert sum(window for _, window in profile.list_windows()) == 35


def test_the_first_request_is_due_at_once_and_the_next_after_the_gap():
    assert list(profile.intended([(250.0, 1.0)])) == [0.0, 0.25, 0.5, 0.75]


def test_a_gap_goes_on_over_the_end_of_its_window():
    due = list(profile.intended([(900.0, 1.0), (100.0, 1.0)]))
    assert due[:4] == pytest.approx([0.0, 0.9, 1.8, 1.9])


def test_windows_shorter_than_their_gap_offer_what_the_gap_says():
    assert profile.offered([(998.0, 0.1)] * 100) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("seed", range(20))
def test_client_and_probe_send_the_same_requests(seed):
    windows = profile.windows(seed, 8, 1.0)
    assert list(probe.intended([list(w) for w in windows])) == list(profile.intended(windows))


@pytest.mark.parametrize("seed", [0, 1, 2, 2**32, -5])
def test_an_overload_exceeds_the_servers_but_leaves_no_endless_backlog(seed):
    windows = profile.overload(seed, 5.0, CAPACITY)
    assert sum(window for _, window in windows) == pytest.approx(5.0)
    assert 30 <= profile.offered([(gap, window) for gap, window in windows]) <= 44
    assert windows == profile.overload(seed, 5.0, CAPACITY)


def test_overloads_differ_from_seed_to_seed():
    assert len({str(profile.overload(seed, 5.0, CAPACITY)) for seed in range(50)}) == 50


@pytest.mark.parametrize("capacity", [0.01, 1e6])
def test_an_overload_that_the_client_cannot_offer_is_refused_in_a_sentence(capacity):
    with pytest.raises(ValueError, match="capacity of"):
        profile.overload(1, 5.0, capacity)


def first(name, count):
    return list(islice(profile.named_windows(name, 7), count))


def test_a_constant_rate_has_no_end():
    assert first("constant:20", 2) == [(50.0, 5.0), (50.0, 5.0)]


def test_steps_take_so_long_each_and_end():
    assert first("step:2,4:10", 9) == [(500.0, 10.0), (250.0, 10.0)]


def test_a_ramp_leads_from_one_rate_to_another_in_the_time():
    windows = first("ramp:10,30:8", 99)
    assert sum(window for _, window in windows) == pytest.approx(8)
    assert 1000 / windows[0][0] == pytest.approx(10, abs=1)
    assert 1000 / windows[-1][0] == pytest.approx(30, abs=1)
    assert profile.offered(windows) == pytest.approx(160, abs=2)


def test_the_document_s_profiles_have_names():
    assert first("list", 99) == list(profile.list_windows())
    assert first("random", 3) == profile.windows(7, 15)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "random:1",
        "constant",
        "constant:0",
        "constant:inf",
        "constant:1e9",
        "constant:nan",
        "step:1,2",
        "step:1,,2:5",
        "step:1:0",
        "ramp:1:5",
        "ramp:1,2,3:5",
        "ramp:1,2:inf",
    ],
)
def test_what_is_no_profile_is_refused_and_all_are_named(name):
    with pytest.raises(ValueError, match=r"choose random, list, constant:RATE"):
        profile.named_windows(name, 7)


def test_a_file_has_a_rate_and_seconds_a_line():
    text = "# a morning\n2 60\n\n20, 1.5  # a peak\n"
    assert profile.file_windows(text) == [(500.0, 60.0), (50.0, 1.5)]


@pytest.mark.parametrize(
    ("text", "line"),
    [("", "1:"), ("2 5\nx 5", "2:"), ("2", "1:"), ("0 5", "1:"), ("5 inf", "1:"), ("1 2 3", "1:")],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(text, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        profile.file_windows(text)
