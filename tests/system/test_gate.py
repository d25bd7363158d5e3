"""The gate performs the gorb lab, and refuses what would not lead a student there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labwright.gate import stages
from labwright.gate.perform import follow
from labwright.gate.variants import tried
from labwright.lab.definition import load_lab
from labwright.lab.document import Document
from labwright.lab.model import find_lab
from labwright.vm.guest import machines

pytestmark = [pytest.mark.system, pytest.mark.thorough]

DOCUMENT = (find_lab("gorb") / "lab.md").read_text(encoding="utf-8")


def step(id: str) -> str:
    """Return a numbered step of the document with its mark."""
    begin = DOCUMENT.index(f"<!-- step: {id} -->")
    return DOCUMENT[begin : DOCUMENT.index("<!-- step:", begin + 1)]


@pytest.fixture
def performed(image, tmp_path):
    """Return a function that performs an edition of the gorb lab, and its document's lines."""

    def perform(old: str = "", new: str = ""):
        folder = shutil.copytree(find_lab("gorb"), tmp_path / "gorb")
        assert DOCUMENT.count(old) == 1 or not old
        text = DOCUMENT.replace(old, new)
        (folder / "lab.md").write_text(text, encoding="utf-8")
        course = stages.read(str(folder), folder)
        stage = stages.run_perform(course, lambda: follow(course, None))
        assert stage.problem == ""
        return stage.findings, text.splitlines()

    return perform


def test_the_gorb_lab_is_performed_to_the_letter(performed):
    assert performed()[0] == ()


def test_a_students_edition_is_performed_to_the_letter(image):
    gorb = load_lab(find_lab("gorb"))
    (values,) = tried(gorb, 1)
    lab = load_lab(gorb.folder, values)
    own = stages.Course(Document.of(lab), lab, None)
    stage = stages.run_perform(own, lambda: follow(own, None))
    assert (stage.problem, stage.findings) == ("", ())
    assert "not performed: line" in stage.summary


SERVICE, SERVER1 = step("service-created"), step("server1-registered")


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "message", "details"),
    [
        pytest.param(
            "sudo modprobe ip_vs",
            "sudo modprobe --dry-run ip_vs",
            "check",
            "sudo modprobe --dry-run",
            "ip-vs-available fails",
            "/proc/net/ip_vs does not exist",
            id="a-command-changed-in-meaning",
        ),
        pytest.param(
            "--privileged --net=host -it kobolog",
            "--privileged -it kobolog",
            "not-ready",
            "docker run --rm --name gorb",
            "ended with exit status 1, but must keep running",
            "there is no network device enp0s3",
            id="an-option-left-out",
        ),
        pytest.param(
            next(row for row in DOCUMENT.splitlines(keepends=True) if "$ IP_ADDR=" in row),
            "",
            "output",
            "10.0.2.15",
            "does not print the output that",
            "- 10.0.2.15",
            id="a-command-deleted",
        ),
        pytest.param(
            SERVICE + SERVER1,
            SERVER1 + SERVICE,
            "http-status",
            "curl --fail-with-body --include",
            "404",
            "unable to locate specified object",
            id="two-steps-swapped",
        ),
        pytest.param(
            '"$IP_ADDR\\", \\"port\\": 4444',
            '"$IP_ADDR\\", \\"port\\": 4445',
            "check",
            "curl --fail-with-body --include",
            "service-created fails",
            "4445",
            id="a-wrong-port",
        ),
    ],
)
def test_the_first_thing_that_goes_wrong_is_refused_at_its_line(
    performed, old, new, rule, line, message, details
):
    (finding,), lines = performed(old, new)
    first = next(n for n, row in enumerate(lines, 1) if row.strip().startswith(line))
    assert (finding.rule, finding.line) == (f"perform/{rule}", first)
    assert message in finding.message
    assert details in finding.details


def test_an_interrupted_gate_leaves_nothing_behind(image):
    mark = secrets.token_hex(8)
    gate = subprocess.Popen(
        [sys.executable, "-m", "labwright", "gate", "gorb", "--only", "perform"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "LABWRIGHT_TEST": mark},
    )
    for row in gate.stderr:
        if "$ sudo modprobe" in row:  # what follows is a check
            break
    ran = _with(mark)
    assert len(ran) > 2, "itself, a guest and a connection to it"
    gate.send_signal(signal.SIGINT)
    said = gate.stderr.read()
    assert gate.wait() == 130
    assert said == "\nlabwright: interrupted\n"
    assert not _with(mark)
    for lock in machines().glob("*/lock"):
        with contextlib.suppress(FileNotFoundError):  # another one's machine, just gone
            assert lock.read_text() not in ran


def _with(mark: str) -> set[str]:
    """Return the processes that were started with a mark in their environment."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.add(path.parent.name)
    return found
