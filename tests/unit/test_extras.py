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
sys.exit(main({arguments}))
"""


def run(*arguments):
    """Run the command line where no extra is installed."""
    script = CORE.format(absent=set(extras.EXTRAS), arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize(
    "command", ["check", "perform", "regrade", "grade", "vm", "gate", "client"]
)
def test_the_help_of_a_command_needs_no_extra(command):
    with_help = run(command, "--help")
    assert with_help.returncode == 0, with_help.stderr


def test_a_missing_extra_is_one_sentence_that_says_what_to_install():
    done = run("gate", "gorb", "--only", "lint")
    assert done.returncode == 2
    assert "pip install 'labwright[author]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_of_an_extra_that_is_not_there_is_named_with_its_purpose(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"--deploy needs .*labwright\[deploy\]"):
        extras.require("testcontainers", "--deploy")


def test_a_package_that_every_user_needs_is_named_too():
    said = str(extras.explain(ModuleNotFoundError("no", name="junitparser.junitparser")))
    assert "lacks the Python package junitparser, which labwright needs: install labwright" in said


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
