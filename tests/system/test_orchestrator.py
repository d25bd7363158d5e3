"""The orchestrator lab on a machine: a right program, twice, and the same judged again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.system, pytest.mark.untried]


def labwright(*arguments: str) -> tuple[int, dict]:
    """Grade, and return the exit status and the score."""
    done = subprocess.run(
        [sys.executable, "-m", "labwright", *arguments, "--json", "-"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_an_orchestrator_gets_all_points_twice_and_when_it_is_judged_again(lab_machine, tmp_path):
    guest = lab_machine("deployed", "orchestrator")
    for n in (1, 2):  # the second begins where the first ended
        status, score = labwright(
            "check", "--lab", "orchestrator", "--target", f"vm:{guest.name}", "--seed", str(n)
        )
        problems = [(step["id"], step["reason"]) for step in score["steps"] if step["reason"]]
        assert (status, problems) == (0, [])
    kept = tmp_path / "score.json"
    kept.write_text(json.dumps(score))
    status, again = labwright("regrade", str(kept))
    assert status == 0
    assert again["points"] == score["points"]
