"""The action for course repositories gives commands that there are, and its workflow fits it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from labwright import cli

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
SCRIPTS = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_bash_and_takes_what_is_not_ours_from_its_environment(name):
    script = SCRIPTS[name]["run"]
    assert subprocess.run(["bash", "-n"], input=script.encode(), check=False).returncode == 0
    assert "${{" not in script, "an input in a script could be a command"


@pytest.mark.parametrize("name", ["gate", "check", "mistakes"])
def test_a_stage_gives_a_command_that_there_is(name):
    command = SCRIPTS[name]["run"].replace("\\\n", " ")
    program, *arguments = shlex.split(re.sub(r"\$\w+", "x", command))
    assert program == "labwright"
    assert callable(cli._parser().parse_args(arguments).run)


def test_the_workflow_gives_the_action_inputs_that_it_has():
    workflow = yaml.safe_load((ROOT / "docs" / "course-workflow.yml").read_text(encoding="utf-8"))
    (step,) = (s for s in workflow["jobs"]["lab"]["steps"] if "labwright@" in s.get("uses", ""))
    required = {name for name, given in ACTION["inputs"].items() if given.get("required")}
    assert required <= set(step["with"]) <= set(ACTION["inputs"])
