"""The gate performs the gorb lab, and refuses what would not lead a student there."""

from __future__ import annotations

import shutil

import pytest

from labwright.course import gate
from labwright.gate_perform import follow
from labwright.lab import find_lab

pytestmark = pytest.mark.system


@pytest.fixture
def performed(tmp_path):
    """Return a function that performs an edition of the gorb lab, and its document's lines."""

    def perform(*edits: tuple[str, str]):
        folder = shutil.copytree(find_lab("gorb"), tmp_path / "gorb")
        text = (folder / "lab.md").read_text(encoding="utf-8")
        for old, new in edits:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / "lab.md").write_text(text, encoding="utf-8")
        course = gate.read(str(folder), folder)
        stage = gate.run_perform(course, lambda: follow(course, None))
        assert stage.problem == ""
        return stage.findings, text.splitlines()

    return perform


def test_the_gorb_lab_is_performed_to_the_letter(performed):
    assert performed()[0] == ()


def test_a_wrong_port_is_refused_after_the_command_that_has_it(performed):
    edit = ('"$IP_ADDR\\", \\"port\\": 4444', '"$IP_ADDR\\", \\"port\\": 4445')
    (finding,), lines = performed(edit)
    assert finding.rule == "perform/check"
    assert lines[finding.line - 1].strip().startswith("curl --fail-with-body --include")
    assert "service-created" in finding.message
    assert "4445" in finding.details


def test_a_server_that_is_registered_before_the_service_is_refused_there(performed):
    (finding,), lines = performed(
        ("http://localhost:4672/service/0/0", "http://localhost:4672/service/1/0")
    )
    assert finding.rule == "perform/http-status"
    assert "404" in finding.message
    assert "service/1/0" in lines[finding.line + 2]
    assert "unable to locate specified object" in finding.details
