"""A class of five hundred is graded. Minutes of two cores: only run where it is asked for.

tox -e class
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.scale


def test_five_hundred_machines_are_graded_each_by_its_own_state(serve, tmp_path):
    states = ["stopped" if place % 10 == 9 else "right" for place in range(500)]
    states[100], states[200], states[300] = "refused", "hostile", "python"
    ports = serve(*states)
    rows = [f"s{n}-{state},x@127.0.0.1:{ports[n]}" for n, state in enumerate(states)]
    (tmp_path / "class.csv").write_text("\n".join(["id,target", *rows]) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "labwright", "grade", "class.csv", "--out", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 3, done.stderr[-2000:]
    with (tmp_path / "out" / "gradebook.csv").open(newline="") as file:
        found = Counter((r["id"].partition("-")[2], r["points"]) for r in csv.DictReader(file))
    assert found == {
        ("right", "100"): 447,
        ("stopped", "55"): 50,
        **{(state, ""): 1 for state in ("refused", "hostile", "python")},
    }
    assert (tmp_path / "out" / "index.html").stat().st_size < 4 << 20
