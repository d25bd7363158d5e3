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
    assert callable(cli.parser_for(arguments).parse_args(arguments).run)


def steps_of(workflow: str) -> list[dict]:
    body = yaml.safe_load((ROOT / "docs" / workflow).read_text(encoding="utf-8"))
    return [step for job in body["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", ["course-workflow.yml", "student-workflow.yml"])
def test_a_workflow_gives_the_action_inputs_that_it_has(workflow):
    required = {name for name, given in ACTION["inputs"].items() if given.get("required")}
    ours = [step for step in steps_of(workflow) if "labwright@" in step.get("uses", "")]
    assert ours
    for step in ours:
        assert required <= set(step["with"]) <= set(ACTION["inputs"])


def test_the_reporter_is_told_the_results_under_the_names_that_it_looks_for():
    *_, reporter = steps_of("student-workflow.yml")
    ids = [step["id"] for step in steps_of("student-workflow.yml") if "id" in step]
    for runner in reporter["with"]["runners"].split(","):
        given = reporter["env"][f"{runner.strip().upper()}_RESULTS"]
        assert any(f"steps.{id}.outputs.result" in given for id in ids)
    assert "result" in ACTION["outputs"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_given_every_variable_that_it_reads(name):
    step = SCRIPTS[name]
    text = step["run"]
    read = set(re.findall(r"\$\{?([A-Za-z_]+)", text))
    made = set(re.findall(r"\b([A-Za-z_]+)=", text))
    given = set(step.get("env", {})) | made
    assert {v for v in read - given if not v.startswith(("GITHUB_", "RUNNER_"))} == set()


def test_a_file_that_was_handed_in_is_judged_without_a_machine(tmp_path):
    common = {"LAB": "gorb", "HINTS": "short", "REPORTS": str(tmp_path)}
    run_step("grade", tmp_path, TARGET="", SCRIPT="", SUBMISSION="gorb-ann.lab", **common)
    called = (tmp_path / "calls").read_text().splitlines()
    assert called[0].startswith("labwright regrade gorb-ann.lab --lab gorb --hints short --out")
    assert called[1].startswith("labwright classroom ")
    assert len(called) == 2
    guests = SCRIPTS["install"]["env"]["GUESTS"]
    assert "inputs.submission == ''" in guests, "no lab machine is installed for it"


@pytest.mark.parametrize(("status", "ends", "calls"), [(0, 0, 2), (1, 0, 2), (3, 0, 2), (2, 2, 1)])
def test_a_file_that_cannot_be_read_ends_the_step_and_points_that_are_lost_do_not(
    tmp_path, status, ends, calls
):
    common = {"LAB": "gorb", "HINTS": "short", "REPORTS": str(tmp_path)}
    given = {"TARGET": "", "SCRIPT": "", "SUBMISSION": "x.lab", **common}
    if ends:
        with pytest.raises(subprocess.CalledProcessError, match=f"status {ends}"):
            run_step("grade", tmp_path, status, **given)
    else:
        run_step("grade", tmp_path, status, **given)
    assert len((tmp_path / "calls").read_text().splitlines()) == calls


def run_step(name: str, tmp_path: Path, status: int = 0, **env: str) -> dict[str, str]:
    """Run a script of the action with programs that only say how they were called.

    :param status: how those end that grade.
    """
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for program in ("python", "sudo", "labwright"):
        path = programs / program
        ends = f'case "$1" in regrade|check) exit {status};; esac\n'
        path.write_text(f'#!/bin/sh\necho {program} "$@" >>"$CALLS"\n{ends}')
        path.chmod(0o755)
    output = tmp_path / "output"
    output.unlink(missing_ok=True)
    subprocess.run(
        ["bash", "-e", "-c", SCRIPTS[name]["run"]],
        check=True,
        cwd=tmp_path,
        env={
            "PATH": f"{programs}:/usr/bin:/bin",
            "CALLS": str(tmp_path / "calls"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_ACTION_PATH": "/action",
            "RUNNER_TEMP": str(tmp_path),
            "GUESTS": "false",
            **env,
        },
    )
    lines = output.read_text().splitlines() if output.exists() else []
    return dict(text.split("=", 1) for text in lines if "=" in text)


def test_two_labs_in_one_workflow_keep_reports_and_an_artifact_each(tmp_path):
    found = [
        run_step("install", tmp_path, LAB=lab, GRADE=grade, ARTIFACT=name)
        for lab, grade, name in (
            ("labs/one", "false", ""),
            ("labs/two", "false", ""),
            ("labs/two", "true", ""),
            ("labs/two", "true", "mine"),
        )
    ]
    assert [one["artifact"] for one in found] == [
        "labwright-one",
        "labwright-two",
        "labwright-two-grade",
        "mine",
    ]
    assert len({one["reports"] for one in found}) == 4


def test_a_student_is_graded_on_their_machine_or_by_their_script_on_a_fresh_one(tmp_path):
    common = {"LAB": "gorb", "HINTS": "short", "REPORTS": str(tmp_path)}
    run_step("grade", tmp_path, TARGET="ssh://me@host", SCRIPT="", **common)
    first = (tmp_path / "calls").read_text().splitlines()
    assert first[0].startswith("labwright check --lab gorb --target ssh://me@host --hints short")
    (tmp_path / "calls").unlink()
    (tmp_path / "answer.sh").write_text("docker ps")
    run_step("grade", tmp_path, TARGET="", SCRIPT="answer.sh", **common)
    called = (tmp_path / "calls").read_text().splitlines()
    assert called[:2] == [
        "labwright vm up student --lab gorb",
        "labwright vm ssh student -- bash -s",
    ]
    assert "--target vm:student" in called[2]
