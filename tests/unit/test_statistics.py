"""The error rates that docs/statistics.md states are those of the verdict."""

from __future__ import annotations

import itertools
import re
import tomllib
from math import comb
from pathlib import Path

import pytest

from labwright.checks.statistics import false_pass, requests_needed

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)


def test_the_table_of_the_documentation_is_recomputed():
    rows = ROW.findall((ROOT / "docs" / "statistics.md").read_text())
    assert len(rows) == 4
    for requests, stated, counts in rows:
        n = int(requests)
        assert false_pass(n - 1, 0, 2) == pytest.approx(float(stated), rel=0.03)
        even = sum(comb(n, k) for k in range(n + 1) if abs(n - 2 * k) <= 1) / 2**n
        assert even == pytest.approx(float(counts), abs=0.006)


def test_the_lab_sends_enough_requests_for_its_own_limit():
    values = tomllib.loads((ROOT / "labs" / "gorb" / "lab.toml").read_text())["values"]
    assert requests_needed(values["false_pass_limit"], 2) <= values["requests"]


@pytest.mark.parametrize(("turns", "foreign"), [(5, 0), (5, 1), (6, 2), (4, 9)])
def test_a_false_pass_is_as_probable_as_counting_says(turns, foreign):
    passed = sum(sum(wrong) <= foreign for wrong in itertools.product((0, 1), repeat=turns))
    assert false_pass(turns, foreign, 2) == pytest.approx(passed / 2**turns)
