"""A new lab passes the gate at once, and a lab anywhere brings its own checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labwright.cli import main
from labwright.errors import CheckFailed, DefinitionError
from labwright.gate import stages
from labwright.grading import step_check
from labwright.grading.mistakes import load_mistakes
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.model import DOCKER
from labwright.machines.machine import CommandResult
from labwright.plugin.grade import grade
from labwright.vm import lab_states, states
from labwright.vm.systems import DEFAULT


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "course" / "qxyzzy-docker-1"
    assert main(["new", str(folder)]) == 0
    return folder


CHECKS = '''\
"""What can be claimed about a machine of this lab."""

from labwright.errors import CheckFailed
from labwright.outcome import Evidence


def greeting_written(machine, *, greeting_file):
    """The file in the home directory says something."""
    result = machine.run('cat "$HOME"/%s', greeting_file)
    yield Evidence("the greeting", f"cat ~/{greeting_file}", result.stdout or result.stderr)
    if not result.stdout.strip():
        raise CheckFailed(f"a greeting in ~/{greeting_file}", "there is none")
'''


@pytest.fixture
def own(lab: Path) -> Path:
    """The new lab with a check of its own instead of the claim."""
    (lab / "checks.py").write_text(CHECKS)
    text = (lab / "lab.toml").read_text()
    text = text[: text.index("# What must hold")] + 'check = "checks.greeting_written"\n'
    (lab / "lab.toml").write_text(text)
    return lab


def test_a_new_lab_has_no_python(lab):
    assert sorted(path.name for path in lab.iterdir()) == [
        *("lab.lock", "lab.md", "lab.toml", "mistakes"),
    ]


def test_a_new_lab_passes_cover_and_lint(lab):
    course = stages.read(str(lab), lab)
    assert stages.run_cover(course).findings == ()
    assert stages.run_lint(course).findings == ()
    assert [path.name for path in lab.parent.iterdir()] == [lab.name]


def test_a_new_lab_has_a_mistake_that_starts_from_one_of_its_states(lab):
    found = load_lab(lab)
    (mistake,) = load_mistakes(found)
    known = lab_states.states(found)
    assert mistake.state in known
    assert known[DOCKER] is states.base(DEFAULT)


@pytest.mark.parametrize("name", ["Odd", "a_b", "a--b", "x" * 31, "a\nb", "ä"])
def test_an_odd_name_is_one_sentence_and_makes_nothing(tmp_path, capsys, name):
    assert main(["new", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(lab, capsys):
    (lab / "lab.md").write_text("mine")
    assert main(["new", str(lab)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (lab / "lab.md").read_text() == "mine"


class Home:
    """A machine with one file in the home directory."""

    target = "vm:x"

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, _command, *_arguments):
        return CommandResult("", 0, self.text, "", 0.0)


def test_a_labs_own_check_is_found_beside_its_definition(own):
    found = load_lab(own)
    bound = step_check.bind(found, found.steps[0], found.values)
    seen = step_check.Seen()
    step_check.examine(bound, {"machine": Home("hello")}, seen)
    assert [evidence.saw for evidence in seen.evidence] == ["hello"]
    with pytest.raises(CheckFailed, match="there is none"):
        step_check.examine(bound, {"machine": Home("")}, seen)


def test_two_labs_have_each_its_own_checks(own):
    found = load_lab(own)
    first = step_check.bind(found, found.steps[0], found.values).check
    text = (own / "checks.py").read_text()
    (own / "checks.py").write_text(text.replace("there is none", "there is not one"))
    assert step_check.bind(found, found.steps[0], found.values).check is not first


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("def greeting_written", "def greeting_writen", None, "no check 'checks.greeting_written'"),
        ("def greeting_written", "deaf greeting_written", 7, "cannot be loaded: SyntaxError"),
        ("from labwright.errors import", "from labwright.errs import", 3, "ModuleNotFoundError"),
    ],
)
def test_own_checks_that_cannot_be_used_are_one_sentence_with_their_line(own, old, new, line, says):
    path = own / "checks.py"
    path.write_text(path.read_text().replace(old, new))
    found = load_lab(own)
    with pytest.raises(DefinitionError, match=says) as caught:
        step_check.bind(found, found.steps[0], found.values)
    assert "\n" not in str(caught.value)
    assert line is None or caught.value.line == line


def test_a_step_without_perform_is_performed_by_the_documents_own_commands(lab):
    (step,) = load_lab(lab).steps
    assert [command.run for command in step.perform] == ['echo "Good morning" >~/greeting']


def test_a_lab_outside_of_the_package_is_graded(lab, monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    score = grade(plan(load_lab(lab)))
    assert (score.lab, score.steps[0].outcome) == (lab.name, "failed")
    (home / "greeting").write_text("hello")
    assert grade(plan(load_lab(lab))).points == 100
    summary = tmp_path / "summary.md"
    assert main(["check", f"--lab={lab}", "--target=local", f"--summary={summary}"]) == 0
    assert "100 of 100 points" in summary.read_text()


def test_a_lab_that_does_not_say_how_it_is_deployed_is_broken_with_that_reason(lab):
    score = grade(plan(load_lab(lab), deploy=True))
    assert score.steps[0].outcome == "broken"
    assert "no fixture `deployment`" in score.steps[0].reason


def test_a_value_that_a_witness_goes_by_is_named_when_it_is_missing(own):
    text = (own / "checks.py").read_text().replace("(machine,", "(sender,")
    (own / "checks.py").write_text(text)
    (step,) = grade(plan(load_lab(own))).steps
    assert step.outcome == "broken"
    assert "[values] has no 'interface', which service_url needs" in step.reason


def test_a_labs_name_and_states_are_held_to_their_form(lab):
    text = (lab / "lab.toml").read_text()
    for old, new, says in (
        (f'name = "{lab.name}"', 'name = "My Lab"', "kebab-case"),
        ("[states]", '[machine]\nstart = "none"\n[states]', "'none' is not a state"),
        ("[states]", '[states]\ndocker = ["greeting-written"]', "not 'docker'"),
        ("[states]", '[[image]]\nname = "a"\nfolder = "b"\n[states]', "there is no .*Dockerfile"),
    ):
        (lab / "lab.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(DefinitionError, match=says):
            load_lab(lab)


def test_states_differ_with_the_lab(lab):
    found = load_lab(lab)
    assert (
        lab_states.states(found)["deployed"].key
        != lab_states.states(replace(found, prelude="A=1"))["deployed"].key
    )
