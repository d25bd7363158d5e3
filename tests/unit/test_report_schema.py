"""What is written is what docs/score.schema.json says, and the reverse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from labwright.outcome import Evidence
from labwright.score import Score

from . import samples

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "score.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def body(score: Score) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(score.to_json())
    return result


def test_the_schema_itself_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("kind", sorted(set(samples.EVERY_KIND) - {"malformed"}))
def test_every_score_is_valid_and_comes_back_as_it_was(kind: str) -> None:
    text = samples.EVERY_KIND[kind]().to_json()
    VALIDATOR.validate(json.loads(text))
    assert Score.from_json(text).to_json() == text


ADDED = {"cause", "notices", "whole"}
"""Keys that older documents of v1 lack."""


def test_the_schema_describes_exactly_the_keys_that_are_written() -> None:
    score = body(samples.all_passed())
    step = score["steps"][0]
    for written, described in (
        (score, SCHEMA),
        (step, SCHEMA["$defs"]["step"]),
        (step["evidence"][0], SCHEMA["$defs"]["evidence"]),
    ):
        assert set(written) == set(described["properties"])
        assert set(described["required"]) == set(written) - ADDED


def test_the_documents_examples_of_data_are_valid() -> None:
    text = (DOCS / "score-format.md").read_text(encoding="utf-8")
    examples = [json.loads(block.split("```")[0]) for block in text.split("```json\n")[1:]]
    assert [example["kind"] for example in examples] == ["sequence", "load", "split"]
    for data in examples:
        piece = Evidence("an example", data=data)
        score = samples.changed(samples.all_passed(), "split-round-robin", evidence=(piece,))
        VALIDATOR.validate(body(score))


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("score", "schema", "labwright/score/v2"),
        ("score", "graded", False),
        ("score", "started", None),
        ("step", "outcome", "skipped"),
        ("step", "outcome", "failed"),
        ("step", "reason", "a reason, though it passed"),
        ("step", "duration_s", -1),
        ("step", "id", "Not Kebab"),
        ("evidence", "data", {"kind": "sequence"}),
        ("evidence", "data", {"kind": "split", "counts": {"a": -1}}),
    ],
)
def test_a_score_that_contradicts_itself_is_not_valid(where: str, key: str, value: Any) -> None:
    score = body(samples.all_passed())
    step = score["steps"][0]
    {"score": score, "step": step, "evidence": step["evidence"][0]}[where][key] = value
    with pytest.raises(ValidationError):
        VALIDATOR.validate(score)


def test_a_number_that_json_cannot_hold_becomes_null() -> None:
    data = {"a": float("nan"), "b": [float("inf"), 1.5]}
    score = samples.changed(
        samples.all_passed(), "ip-vs-available", evidence=(Evidence("a claim", data=data),)
    )
    step = next(step for step in body(score)["steps"] if step["id"] == "ip-vs-available")
    assert step["evidence"][0]["data"] == {"a": None, "b": [None, 1.5]}
