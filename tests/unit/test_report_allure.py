"""Allure is told what only the score knows."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

TESTS = """
import sys
sys.path.insert(0, {here!r})
from tests.unit import samples
from labwright.reports import allure


def test_a_failure():
    step = samples.not_round_robin().steps[9]
    allure.record(step, "Balance <two> servers")
    assert False, step.reason


def test_what_a_hostile_target_wrote():
    allure.record(samples.hostile().steps[0], samples.NASTY)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where the results are, and those of each test."""
    folder = tmp_path_factory.mktemp("allure")
    (folder / "test_it.py").write_text(TESTS.format(here=str(Path(__file__).parents[2])))
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("--disable-plugin-autoload", "-p", "allure_pytest.plugin"),
        *(f"--rootdir={folder}", "-c/dev/null", "--alluredir=results", "test_it.py"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    for path in (folder / "results").glob("*-result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        found[result["fullName"].rpartition("#")[2]] = result
    return folder / "results", found


def test_a_step_has_its_title_severity_and_place_in_the_lab(
    results: tuple[Path, dict[str, Any]],
) -> None:
    result = results[1]["test_a_failure"]
    labels = {label["name"]: label["value"] for label in result["labels"]}
    assert result["name"] == "The kernel splits them round-robin"
    assert result["status"] == "failed"
    assert labels["severity"] == "normal"
    assert labels["feature"] == "Balance <two> servers"
    assert labels["story"] == "Part (3/3): Test the load balancing"
    assert {"name": "points", "value": "'0 of 10 points'", "excluded": True} in result["parameters"]


def test_each_piece_of_evidence_is_a_step_with_what_was_run_and_seen(
    results: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = results
    steps = found["test_a_failure"]["steps"]
    attachments = {piece["name"]: folder / piece["source"] for piece in steps[0]["attachments"]}
    assert list(attachments) == ["run", "seen", "in words", "sequence", "data"]
    assert attachments["run"].read_text() == "cat /proc/net/ip_vs_conn"
    assert ET.parse(attachments["sequence"]).getroot().tag.endswith("svg")
    assert json.loads(attachments["data"].read_text())["kind"] == "sequence"


def test_what_the_target_wrote_is_escaped(results: tuple[Path, dict[str, Any]]) -> None:
    described = results[1]["test_what_a_hostile_target_wrote"]["descriptionHtml"]
    assert "<script" not in described
    assert "&lt;script&gt;alert(1)" in described
