"""Whoever lacks an extra is told which, in one sentence; the core needs none of them."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labwright.errors import SetupError
from labwright.host import extras
from labwright.lab.definition import load_lab
from labwright.lab.model import own_labs

CORE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from labwright.cli import main
for arguments in {commands}:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    print("ended:", *arguments, status, file=sys.stderr)
"""
HELP = ["check", "perform", "regrade", "grade", "vm", "gate", "client"]


@pytest.fixture(scope="module")
def said():
    """Return what commands say where no extra is installed, and their status at the end."""
    commands = [*([command, "--help"] for command in HELP), ["gate", "gorb", "--only", "lint"]]
    script = CORE.format(absent=set(extras.EXTRAS), commands=commands)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    return done.stderr


def test_the_help_of_a_command_needs_no_extra(said):
    ended = [f"ended: {command} --help 0" for command in HELP]
    assert said.splitlines()[: len(HELP)] == ended, said


def test_a_missing_extra_is_one_sentence_that_says_what_to_install(said):
    sentence, ended = said.splitlines()[len(HELP) :]
    assert "pip install 'labwright[author]'" in sentence
    assert ended == "ended: gate gorb --only lint 2"


def test_a_module_of_an_extra_that_is_not_there_is_named_with_its_purpose(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"--deploy needs .*labwright\[deploy\]"):
        extras.require("testcontainers", "--deploy")


def test_a_package_that_every_user_needs_is_named_too():
    said = str(extras.explain(ModuleNotFoundError("no", name="junitparser.junitparser")))
    assert "the Python package junitparser, which labwright needs, is missing" in said


def test_a_module_of_our_own_that_is_not_there_is_our_defect_and_not_explained():
    assert extras.explain(ModuleNotFoundError("no", name="labwright.gone")) is None


def required(distribution: str, extra: str, python: str) -> set[str]:
    """Return what pip installs for a distribution with an extra, under a version of Python."""
    found: set[str] = set()
    left = [(distribution, extra)]
    while left:
        name, wanted = left.pop()
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            environment = {"extra": wanted, "python_version": python, "python_full_version": python}
            if needed.marker is None or needed.marker.evaluate(environment):
                key = canonicalize_name(needed.name)
                if key not in found:
                    found.add(key)
                    left += [(needed.name, extra) for extra in (*needed.extras, "")]
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_what_the_images_of_our_labs_need_comes_with_the_extra_for_components(python):
    installed = required("labwright", "components", python)
    for folder in own_labs():
        for image in load_lab(folder).images:
            assert {canonicalize_name(name) for name in image.dependencies} <= installed, folder
