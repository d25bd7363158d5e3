"""An output that is closed or full ends a command with one line, and with the right status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labwright.cli import main


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labs") / "mine"
    assert main(["new", str(folder)]) == 0
    return folder


def check(lab: Path, out: Path, shell: str) -> subprocess.CompletedProcess:
    command = f"{sys.executable} -m labwright check --lab {lab} --target local --out {out} {shell}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"HOME": str(out.parent), "PATH": "/usr/bin:/bin"},
    )


@pytest.mark.parametrize(
    ("shell", "status", "says"),
    [
        ("| head -c 1", 1, "the output was closed before its end"),
        ("> /dev/full", 2, "the output could not be written: No space left on device"),
        (">&-", 1, "the output was closed before its end"),
        ("2>&-", 1, ""),
    ],
)
def test_the_score_is_written_whatever_becomes_of_the_output(
    lab: Path, tmp_path: Path, shell: str, status: int, says: str
) -> None:
    done = check(lab, tmp_path / "out", shell)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert (tmp_path / "out" / "score.json").is_file()


@pytest.mark.parametrize(
    ("command", "shell", "status", "says"),
    [
        ("--help", "> /dev/full", 2, "the output could not be written"),
        ("check --help", "> /dev/full", 2, "the output could not be written"),
        ("--help", ">&-", 0, "the output was closed before its end"),
        ("completion bash", ">&-", 0, "the output was closed before its end"),
        ("challenge", "> /dev/full", 2, "the output could not be written"),
        ("challenge", ">&-", 0, "the output was closed before its end"),
        ("challenge --hours x", "> /dev/full", 2, "invalid float value"),
        ("challenge", "> /dev/null", 0, ""),
    ],
)
def test_a_command_says_that_what_it_printed_is_lost(command, shell, status, says) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m labwright {command} {shell}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, says in done.stderr) == (status, True), done.stderr
    assert bool(done.stderr) == bool(says)
    assert "Traceback" not in done.stderr
