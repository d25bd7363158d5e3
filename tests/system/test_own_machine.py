"""A student's own machine is checked on itself, from the wheel, as an ordinary user."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from labwright.vm.target import guest_machine

pytestmark = [pytest.mark.system, pytest.mark.thorough]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> bytes:
    """Return labwright's own wheel and all it depends on, installed for the machine's Python."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300
    )
    (wheel,) = folder.glob("labwright-*.whl")
    machine = ["--python-version=3.11", "--platform=manylinux2014_x86_64", "--only-binary=:all:"]
    installed = folder / "installed"
    subprocess.run(
        [*pip, "install", *machine, "--target", str(installed), f"{wheel}[deploy]"],
        check=True,
        timeout=300,
    )
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(installed, "installed")
    return data.getvalue()


def check_on(guest, packed: bytes, *arguments: str) -> tuple[int, dict, str]:
    """Run `labwright check` on the guest itself, without a target."""
    with closing(guest_machine(guest)) as machine:
        assert machine.run("tar -xf -", stdin=packed, timeout=120).ok
        command = "PYTHONPATH=installed python3 -m labwright check --json - " + " ".join(arguments)
        result = machine.run(command, timeout=400)
        assert result.stdout.startswith("{"), result.stderr
        return result.exit_status, json.loads(result.stdout), result.stderr


def test_a_deployed_lab_gets_all_points_on_itself(lab_machine, packed):
    status, score, said = check_on(lab_machine("deployed"), packed)
    assert (status, score["points"], score["target"]) == (0, 100, "local"), said
    assert "this computer has Docker and ip_vs" in said


def test_deploying_works_on_the_machine_itself_and_leaves_nothing(lab_machine, packed):
    guest = lab_machine("docker")
    status, score, said = check_on(guest, packed, "--deploy")
    assert (status, score["points"]) == (0, 100), said
    with closing(guest_machine(guest)) as machine:
        assert machine.run("docker ps --all --quiet").stdout == ""
