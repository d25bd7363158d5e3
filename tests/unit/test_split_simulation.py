"""What docs/statistics.md states of the verdict on a split, tried on labs without number.

``tox -e simulation`` tries as many as the page states; the other runs try fewer.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from math import exp, lgamma, log
from pathlib import Path

import pytest
from tests.repeated import repeated

from labwright.checks.distribution import about_half, round_robin
from labwright.errors import CheckFailed, Disturbed

from . import balancers
from .balancers import WRONG, Lab

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
LIMIT = 0.001
SEED = 20_260_101
ROW = re.compile(r"^\| ([a-z0-9: ]+) \| (\d+(?:\.\d+)?(?:e-\d+)?) \| (\d+) of (\d+) \|", re.M)
STATED = {name: float(limit) for name, limit, *_ in ROW.findall(PAGE.read_text())}


def verdict(check, lab: Lab, **values) -> str:
    try:
        list(check(lab, false_pass_limit=LIMIT, **values))
    except CheckFailed:
        return "failed"
    except Disturbed:
        return "undecided"
    return "passed"


def of_sequence(lab: Lab) -> str:
    return verdict(round_robin, lab, tolerance=0.0)


def of_load(lab: Lab) -> str:
    return verdict(about_half, lab, container="server1", tolerance=0.1)


def draw_from(name: str) -> random.Random:
    print(f"seed: {SEED} {name}")  # noqa: T201  pytest shows it when the test fails
    return random.Random(f"{SEED} {name}")


def most(trials: int, probability: float) -> int:
    """Return the most successes that are no more improbable than one in a million."""

    def log_chance(k: int) -> float:
        choose = lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1)
        return choose + k * log(probability) + (trials - k) * log(1 - probability)

    if not probability:
        return 0
    tail, k = 0.0, trials
    while k > 0 and tail + exp(log_chance(k)) < 1e-6:
        tail += exp(log_chance(k))
        k -= 1
    return k


def correct_labs(labs: int) -> Counter[tuple[bool, str]]:
    """Return how labs are judged whose balancer is right; whether with others' connections."""
    draw, seen = draw_from("correct"), Counter()
    for n in range(labs):
        others = draw.choice([0.0, 0.0, 0.02, 0.1, 0.5, 2.0])
        lab = Lab(draw, balancers.round_robin, draw.randint(2, 5), draw.randint(2, 40), others)
        seen[others > 0, (of_load if n % 2 else of_sequence)(lab)] += 1
    return seen


def check_correct_labs(labs: int) -> None:
    seen = correct_labs(labs)
    assert sum(seen.values()) == labs
    assert seen[True, "failed"] == seen[False, "failed"] == 0
    assert seen[True, "passed"] > labs / 10
    assert seen[True, "undecided"] > 0


def false_passes(name: str, labs: int, others: bool) -> int:
    draw, passed = draw_from(name), 0
    for n in range(labs):
        beside = draw.choice([0.02, 0.1, 0.3, 1.0]) if others else 0.0
        judge = of_load if others and n % 2 else of_sequence
        passed += judge(Lab(draw, WRONG[name], 2, 12, beside)) == "passed"
    return passed


def check_wrong_balancer(name: str, labs: int) -> None:
    alone, beside = (false_passes(name, labs, others) for others in (False, True))
    print(f"{name}: {alone} alone and {beside} beside others, of {labs} each")  # noqa: T201
    assert alone <= most(labs, STATED[name])
    assert beside <= most(labs, max(STATED[name], LIMIT))


def test_the_page_states_a_limit_for_each_wrong_balancer():
    assert set(STATED) == set(WRONG)


@repeated(400, 100_000)
def test_no_correct_lab_fails(times):
    check_correct_labs(times)


@pytest.mark.parametrize("requests", [2, 3, 12, 13, 40])
def test_a_correct_lab_without_others_passes_whatever_the_number_of_requests(requests):
    draw = draw_from(f"alone {requests}")
    for servers in (2, 3, 4):
        for _ in range(20):
            lab = Lab(draw, balancers.round_robin, servers, requests, 0.0)
            decided = servers ** (4 * (requests - 1)) > 1 / LIMIT
            assert of_sequence(lab) == ("passed" if decided else "undecided")


@repeated(200, 100_000)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_balancer_passes_no_more_often_than_stated(name, times):
    check_wrong_balancer(name, times)
