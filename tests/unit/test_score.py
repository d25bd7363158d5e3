"""A score that is read back is held to its types: any damage is one sentence."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repeated import repeated

from labwright.errors import LabwrightError, UsageError
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.score import Score

from . import samples

GOOD = samples.server2_stopped().to_json()


def test_a_score_comes_back_as_it_was_written() -> None:
    assert Score.from_json(GOOD) == samples.server2_stopped()


def test_an_older_document_without_later_keys_is_read() -> None:
    body = json.loads(GOOD)
    for step in body["steps"]:
        del step["notices"], step["cause"]
    assert Score.from_json(json.dumps(body)) == samples.server2_stopped()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("points", "100", r"got `str` - at `\$.steps\[0\].points`"),
        ("points", None, "points"),
        ("points", float("nan"), "negative or too large"),
        ("points", float("inf"), "negative or too large"),
        ("points", 10**400, "negative or too large"),
        ("max_points", 1e308, "negative or too large"),
        ("max_points", -1, "negative or too large"),
        ("line", 10**400, "negative or too large"),
        ("id", "server2-running", "two steps 'server2-running'"),
        ("outcome", "excellent", "outcome"),
        ("needs", "a", "needs"),
        ("evidence", [1], "evidence"),
        ("notices", [1], "notices"),
        ("line", 1.5, "line"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(key: str, value, says: str) -> None:
    body = json.loads(GOOD)
    body["steps"][0][key] = value
    with pytest.raises(LabwrightError, match=says):
        Score.from_json(json.dumps(body))


def test_a_seed_that_no_other_program_could_read_is_refused() -> None:
    for seed in (2**63, -(10**400)):
        with pytest.raises(LabwrightError, match="the seed is too large"):
            Score.from_json(json.dumps({**json.loads(GOOD), "seed": seed}))
        with pytest.raises(UsageError, match="the seed has more than 63 bits"):
            plan(load_lab(find_lab("gorb")), seed=seed)


def test_what_is_not_json_is_named_with_its_line() -> None:
    with pytest.raises(LabwrightError, match="line 3: not JSON"):
        Score.from_json("{\n\n oops")


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"schema": 1}'])
def test_what_is_no_score_is_said_so(text: str) -> None:
    with pytest.raises(LabwrightError):
        Score.from_json(text)


@repeated(10, 1000)
def test_any_damage_is_one_sentence_or_none(times: int) -> None:
    @settings(max_examples=times)
    @given(st.integers(0, 1 << 48))
    def holds(seed: int) -> None:
        damage(Random(seed))

    holds()


def damage(random: Random) -> None:
    """Read a score that is damaged in one place, some times."""
    for _ in range(20):
        body = json.loads(GOOD)
        holder, key = body, random.choice(list(body))
        while isinstance(holder[key], dict | list) and holder[key] and random.random() < 0.8:
            holder = holder[key]
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            key = random.choice(list(keys))
        holder[key] = random.choice(
            [None, 1, -1, "x", [], {}, [[]], True, 1e400, 10**400, {"a": "\ud800"}]
        )
        said = ""
        try:
            found = Score.from_json(json.dumps(body))
            Score.from_json(found.to_json())
        except LabwrightError as problem:
            said = str(problem)
        assert "\n" not in said
