"""A score is assembled from the definition: nothing that pytest does can raise it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repeated import repeated

from labwright.grading.assemble import assemble
from labwright.grading.run import Run
from labwright.grading.step_check import pending
from labwright.lab.model import Lab, Step
from labwright.outcome import Evidence, Outcome
from labwright.score import Score, StepResult

SEEN = (Evidence("seen"),)


def lab(needs: dict[str, list[str]], points: float = 10) -> Lab:
    """Return a lab of steps with what they need, in an order that can be performed."""
    steps = tuple(
        Step(id, f"Title of {id}", "Part", points, tuple(needs[id]), "a.b", {}, "", (), 1)
        for id in needs
    )
    return Lab("toy", "Toy", Path("/toy"), Path("/toy/lab.md"), {}, {}, "", steps)


def whole(made: Lab) -> Run:
    return Run(made, "vm:a", tuple(step.id for step in made.steps), seed=7)


def result(made: Lab, id: str, outcome: Outcome, **more) -> StepResult:
    """Return what the check of a step says, by itself."""
    step = made.step(id)
    texts = {"reason": "expected x, but y", "actual": "y"} if outcome is Outcome.FAILED else {}
    texts = {"reason": "the network"} if outcome is Outcome.BROKEN else texts
    texts = {"reason": ""} if outcome is Outcome.PASSED else texts
    points = step.points if outcome is Outcome.PASSED else 0
    base = replace(pending(step, "lab.md"), outcome=outcome, points=points, evidence=SEEN)
    return replace(base, **{**texts, **more})


def outcomes(score: Score) -> dict[str, str]:
    return {step.id: step.outcome.value for step in score.steps}


CHAIN = lab({"a": [], "b": ["a"], "c": ["b"], "d": []})


def test_what_is_blocked_names_the_root_cause_and_not_the_link_before_it() -> None:
    told = [result(CHAIN, "a", Outcome.FAILED), result(CHAIN, "d", Outcome.PASSED)]
    score = assemble(whole(CHAIN), told)
    assert outcomes(score) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "passed"}
    assert [step.reason for step in score.steps[1:3]] == ["it needs a, which failed"] * 2
    assert (score.points, score.max_points, score.graded) == (10, 40, True)


def test_a_need_that_could_not_be_checked_is_named_as_that() -> None:
    score = assemble(whole(CHAIN), [result(CHAIN, "a", Outcome.BROKEN)])
    assert score.steps[2].reason == "it needs a, which could not be checked"
    assert not score.graded


def test_a_step_without_a_result_is_broken_and_counts() -> None:
    score = assemble(whole(CHAIN), [], missing="the machine was lost")
    assert outcomes(score) == {"a": "broken", "b": "blocked", "c": "blocked", "d": "broken"}
    assert score.steps[3].reason == "the machine was lost"
    assert (score.points, score.max_points) == (0, 40)


def test_a_pass_without_evidence_is_broken() -> None:
    told = [result(CHAIN, id, Outcome.PASSED, evidence=()) for id in "abcd"]
    score = assemble(whole(CHAIN), told)
    assert score.points == 0
    assert not score.graded


def test_the_order_is_the_documents_and_the_points_are_the_definitions() -> None:
    told = [result(CHAIN, id, Outcome.PASSED, points=1e6, max_points=1) for id in "dcba"]
    score = assemble(whole(CHAIN), told)
    assert [step.id for step in score.steps] == list("abcd")
    assert (score.points, score.max_points) == (40, 40)


@pytest.mark.parametrize("again", [Outcome.FAILED, Outcome.BROKEN])
def test_a_step_whose_results_differ_is_broken(again: Outcome) -> None:
    for told in ([again, Outcome.PASSED], [Outcome.PASSED, again]):
        score = assemble(whole(CHAIN), [result(CHAIN, "d", outcome) for outcome in told])
        assert score.steps[3].outcome is Outcome.BROKEN
        assert "checked 2 times, with different results" in score.steps[3].reason


def test_one_cause_is_charged_once_and_to_the_first_step_of_the_document() -> None:
    made = lab({"a": [], "b": [], "c": ["b"]})
    told = [result(made, id, Outcome.FAILED, cause="swapped") for id in "ba"]
    score = assemble(whole(made), told)
    assert outcomes(score) == {"a": "failed", "b": "blocked", "c": "blocked"}
    assert score.steps[1].reason == "it fails for the same cause as a: y"
    assert score.steps[2].reason == "it needs a, which failed"


def test_a_step_that_is_blocked_anyway_is_charged_with_no_cause() -> None:
    made = lab({"a": [], "b": ["a"], "c": []})
    told = [result(made, "a", Outcome.FAILED)]
    told += [result(made, id, Outcome.FAILED, cause="swapped") for id in "bc"]
    assert outcomes(assemble(whole(made), told)) == {"a": "failed", "b": "blocked", "c": "failed"}


def test_a_need_that_is_not_selected_is_not_in_the_way() -> None:
    run = whole(CHAIN).only(["b"], needs=False)
    score = assemble(run, [result(CHAIN, "b", Outcome.PASSED)])
    assert outcomes(score) == {"b": "passed"}
    assert [step.id for step in whole(CHAIN).only(["b"]).steps] == ["a", "b"]


def drawn(random: Random) -> tuple[Lab, dict[str, StepResult]]:
    """Draw a lab, each step of which needs some of those before it, and what its checks say."""
    ids = [f"s{number}" for number in range(random.randint(1, 9))]
    needs = {
        id: random.sample(ids[:place], min(place, random.choice([0, 1, 1, 2])))
        for place, id in enumerate(ids)
    }
    made, said = lab(needs), {}
    for id in ids:
        kind = random.choice([Outcome.PASSED, Outcome.PASSED, Outcome.FAILED, Outcome.BROKEN])
        cause = random.choice(["", "x", "y"]) if kind is Outcome.FAILED else ""
        said[id] = result(made, id, kind, cause=cause)
    return made, said


def mishap(random: Random, said: dict[str, StepResult]) -> list[StepResult]:
    """Draw what comes back of it: anything lost, doubled, reordered, altered or unknown."""
    told: list[StepResult] = []
    for true in said.values():
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            told.append(random.choice([true, true, true, replace(true, evidence=())]))
    if random.random() < 0.5:
        told.append(replace(said["s0"], id="unknown", points=1e9, max_points=1e9))
    if random.random() < 0.5:  # blocked by somebody who knew less, or more
        one = random.choice(list(said.values()))
        told.append(replace(one, outcome=Outcome.BLOCKED, points=0, cause=""))
    random.shuffle(told)
    return told


DRAWS = range(50)
"""So often is drawn for each seed: Hypothesis itself takes longer than a score does."""


def each_seed(times: int) -> Callable:
    """Try a property with so many seeds."""
    return lambda tried: settings(max_examples=times)(given(st.integers(0, 1 << 48))(tried))


@repeated(8, 1000)
def test_no_loss_order_repetition_or_stranger_raises_a_score(times: int) -> None:
    @each_seed(times)
    def holds(seed: int) -> None:
        random = Random(seed)
        for _ in DRAWS:
            made, said = drawn(random)
            right = assemble(whole(made), said.values())
            score = assemble(whole(made), mishap(random, said))
            assert [step.id for step in score.steps] == [step.id for step in made.steps]
            assert score.max_points == right.max_points == 10 * len(made.steps)
            assert score.points <= right.points
            if not any(step.outcome is Outcome.BROKEN for step in score.steps):
                assert outcomes(score) == outcomes(right)
            for step in score.steps:
                assert (step.reason == "") == (step.outcome is Outcome.PASSED)
                assert step.points == (10 if step.outcome is Outcome.PASSED else 0)
                if step.outcome is Outcome.PASSED:
                    assert step.evidence
                    needed = {need.id for need in made.with_needs([step.id])}
                    assert all(o.outcome is Outcome.PASSED for o in score.steps if o.id in needed)

    holds()


@repeated(8, 1000)
def test_a_score_follows_from_the_results_and_not_from_their_order(times: int) -> None:
    @each_seed(times)
    def holds(seed: int) -> None:
        random = Random(seed)
        for _ in DRAWS:
            made, said = drawn(random)
            told = list(said.values())
            random.shuffle(told)
            score = assemble(whole(made), told)
            assert score == assemble(whole(made), said.values())
            assert outcomes(assemble(whole(made), score.steps)) == outcomes(score)
            for step in score.steps:
                if step.reason.startswith("it needs "):
                    named = [part.split(",")[0] for part in step.reason[9:].split("; and ")]
                    assert {outcomes(score)[id] for id in named} <= {"failed", "broken"}

    holds()
