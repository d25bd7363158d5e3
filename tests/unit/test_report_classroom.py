"""GitHub Classroom is told the points as its reporter adds them up, and no zero of ours."""

from __future__ import annotations

import base64
import json

import pytest

from labwright.cli import main
from labwright.reports import classroom
from labwright.score import Score

from . import samples


def added_up(result: dict) -> tuple[float, float] | None:
    """Return what the reporter writes: the sums, or nothing where there is no maximum."""
    if not result["max_score"]:
        return None
    return sum(test["score"] for test in result["tests"]), result["max_score"]


@pytest.mark.parametrize(
    ("score", "status", "points"),
    [
        (samples.all_passed(), "pass", (100, 100)),
        (samples.server2_stopped(), "fail", (55, 100)),
        (samples.ssh_broken(), "error", None),
    ],
)
def test_the_reporter_adds_up_the_score_s_points_and_none_where_there_is_no_grade(
    score, status, points
):
    result = classroom.render(score)
    assert (result["status"], added_up(result)) == (status, points)
    assert {test["status"] for test in result["tests"]} <= {"pass", "fail", "error"}


def test_a_hostile_machine_begins_no_line_of_the_log():
    text = json.dumps(classroom.render(samples.hostile()))
    assert all(
        test[key].isprintable()
        for test in json.loads(text)["tests"]
        for key in ("name", "message", "filename")
    )


def test_the_outputs_are_lines_of_a_step(tmp_path, capsys):
    path = tmp_path / "score.json"
    path.write_text(samples.server2_stopped().to_json())
    assert main(["classroom", str(path)]) == 0
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["points"] == "55"
    assert json.loads(base64.b64decode(lines["result"])) == classroom.render(
        Score.from_json(path.read_text())
    )
    path.write_text(samples.ssh_broken().to_json())
    main(["classroom", str(path)])
    assert "points=\n" in capsys.readouterr().out
    assert main(["classroom", str(tmp_path / "none.json")]) == 2
