"""What the README and docs/ show is true: commands exist, examples load, what can run is run."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import shtab
from tests import in_process

from labwright.batch import course, pool, roster, submission
from labwright.batch.student import Student
from labwright.batch.task import Identity
from labwright.cli import main, whole_parser
from labwright.errors import CheckFailed
from labwright.grading.mistakes import load_mistakes
from labwright.lab.definition import load_lab
from labwright.lab.document import Document
from labwright.lab.model import find_lab
from labwright.machines.machine import CommandResult
from labwright.outcome import Evidence
from labwright.reports.pictures import picture
from labwright.score import Score

from .doc_examples import OUR_PROGRAMS, ROOT, Example, examples, of_kind, options_in_sentences

RECORD = Path(__file__).parent / "data" / "deployed.json"
GORB = load_lab(find_lab("gorb"))
COMMANDS = [example for example in of_kind("command") if example.words]
OURS = [example for example in COMMANDS if example.words[0] in OUR_PROGRAMS]
PARSER = whole_parser()

NO_EXAMPLES = {
    "CONTRIBUTING.md": "lab.md + lab.toml -> Lab",  # how the data flows, drawn
    "docs/statistics.md": "P(X(1) + ... + X(n-1) <= f)",  # a formula
    "docs/index.md": "{toctree}",  # Sphinx reads it: tox -e docs
}
"""Blocks in which there is nothing to try, by words of them."""
OTHERS_OPTIONS = {
    *("--build-arg", "--cap-add", "--log-driver", "--privileged", "--rm"),  # docker
    *("--disable-plugin-autoload", "--dist"),  # pytest
    *("--i", "--next"),  # the daemon; curl
}
"""Options of other programs that the pages name."""
NOT_RUN = {
    "board": "follows machines over SSH",
    "check": "needs a machine with a lab",
    "client": "needs a server",
    "conform": "needs a daemon",
    "demo": "needs a lab machine",
    "grade": "needs machines that are reached over SSH",
    "images": "needs Docker",
    "mistakes": "needs a lab machine",
    "open": "needs a machine and a browser",
    "perform": "needs a machine",
    "submit": "needs a machine with a lab",
    "test": "runs these tests",
    "vm": "needs a lab machine",
}
"""Commands that are only parsed here, each with the reason. The system tests run them."""
RUN = ("challenge", "checks", "collect", "completion", "course", "document", "gate", "hand-out")
RUN += ("new", "regrade")
FILES = {"LAB": "gorb", "path/to/lab": "labs/my-lab", "labs/mine": "labs/my-lab"}
"""What stands in an example for the reader's own."""


def ids(found: list[Example]) -> list[str]:
    return [str(example) for example in found]


def each(found: list[Example]):
    return pytest.mark.parametrize("example", found, ids=ids(found))


def test_every_block_is_of_a_kind_that_is_tried_here():
    tried = {"toml", "python", "json", "csv", "markdown", "command", "span"}
    others = [
        example
        for example in examples()
        if example.kind not in tried
        and NO_EXAMPLES.get(str(example.page.relative_to(ROOT)), "\n")
        not in f"{example.kind} {example.text}"
    ]
    assert not others, "say in tests/unit/test_documentation.py how these are tried"


REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))


@pytest.mark.parametrize("page", REFERENCE["PAGES"])
def test_a_page_that_is_made_from_the_code_is_up_to_date(page):
    made = REFERENCE["PAGES"][page]().rstrip("\n") + "\n"
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == made, "python docs/reference.py"


# Commands.


def parse(words: list[str], capsys) -> str:
    """Return what the command line says against some words, or nothing."""
    try:
        PARSER.parse_args(words)
    except SystemExit as ended:
        said = capsys.readouterr().err
        return "" if ended.code == 0 else said
    return ""


@each(OURS)
def test_a_command_that_is_shown_is_accepted(example, capsys):
    assert parse(example.words[1:], capsys) == ""


@each(of_kind("span"))
def test_a_command_that_is_named_in_a_sentence_exists(example, capsys):
    problem = parse(example.words[1:], capsys)
    # A sentence need not repeat what a command must be given.
    assert problem == "" or "the following arguments are required" in problem


def test_an_option_that_is_named_in_a_sentence_exists():
    # shtab lists what argparse knows, which has no public list of it.
    known = set(re.findall(r"--[a-z][a-z-]*", shtab.complete(PARSER, "bash")))
    named = {
        (place, option)
        for place, option in options_in_sentences()
        if option not in known | OTHERS_OPTIONS
    }
    assert named == set()


@each([example for example in COMMANDS if example.words[0] not in OUR_PROGRAMS])
def test_a_command_of_another_program_fits_this_project(example, capsys, tmp_path):
    program, *words = example.words
    name = Path(program).name
    if name in {"pip", "pipx", "uv"}:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
            "optional-dependencies"
        ]
        assert re.fullmatch(r"\.|labwright|dask", words[-1].partition("[")[0])
        assert set(re.findall(r"[a-z]+", words[-1].partition("[")[2])) <= set(extras)
    elif name == "tox":
        known = configparser.ConfigParser(interpolation=None)
        known.read(ROOT / "tox.ini")
        chosen = words[words.index("-e") + 1].split(",")
        assert [e for e in chosen if f"testenv:{e}" not in known] == []
    elif name == "python3":
        assert words[0] == "-m"
        assert importlib.util.find_spec(words[1])
    elif name == "pytest":
        # This computer stands for a machine, which would have to run.
        words = ["local" if word.startswith("vm:") else word for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
            # What else is installed takes seconds to import.
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    elif name == "jq":
        if not shutil.which("jq"):
            pytest.skip("jq is not installed")
        (tmp_path / "score.json").write_text(RECORD.read_text())
        done = subprocess.run(example.words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif name == "run":
        assert os.access(ROOT / program, os.X_OK)
    else:
        assert name in {"dask", "export", "ssh"}, "other people's programs, which are not tried"


def reason_not_to_run(example: Example) -> str:
    """Return why a command is not run here, or nothing."""
    command = example.words[1]
    if any("..." in word for word in example.words):
        return "a value of it is left out"
    if command == "gate" and not {"cover", "lint"} & set(example.words):
        return "performs the document on a lab machine"
    return NOT_RUN.get(command, "")


def test_each_command_is_run_here_or_has_a_reason_why_not():
    assert [e.place for e in OURS if not reason_not_to_run(e) and e.words[1] not in RUN] == []


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    """Return a folder with the files that the documentation's commands are given."""
    folder = tmp_path_factory.mktemp("class")
    (example,) = of_kind("csv")
    # The record is of a machine whose interface is the lab's usual one.
    rows = example.text.replace("eth0", "").splitlines()
    (folder / "class.csv").write_text(
        "\n".join(
            [
                f"{rows[0]},participant",
                *(f"{row},Participant 42{n}" for n, row in enumerate(rows[1:])),
            ]
        )
    )
    old = Score.from_json(RECORD.read_text())
    for student, number in (("s1001", 50), ("s1002", 51)):
        # The record of another run, all times of which are others.
        score = Score.from_json(RECORD.read_text().replace("17958274", f"179582{number}"))
        made = submission.make(score, GORB, student, {}, "", Identity(machine=student * 4))
        (folder / "downloads").mkdir(exist_ok=True)
        (folder / "downloads" / f"gorb-{student}.lab").write_text(made)
    (folder / "ann").mkdir()
    (folder / "ann" / "score.json").write_text(old.to_json())
    (folder / "notes.md").write_text("# Notes\n\nNothing is to be done.\n")
    for example in of_kind("toml"):
        if "[[lab]]" in example.text:
            (folder / "course.toml").write_text(example.text)
    roster, out = str(folder / "class.csv"), folder / "lab1"
    collected = ["collect", str(folder / "downloads"), "--roster", roster, "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "spread", in_process.spread)
        assert main(collected) == 0
    shutil.copytree(out, folder / "lab2")
    return folder


@pytest.fixture
def prepared(class_folder, tmp_path, monkeypatch):
    """Return a folder in which a command can be run, made by the commands before it."""
    shutil.copytree(class_folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABWRIGHT_SECRET", "of the documentation's tests")
    return tmp_path


def run(words: list[str]) -> int:
    return main([FILES.get(word, word) for word in words])


@each([example for example in OURS if not reason_not_to_run(example)])
def test_what_needs_no_machine_runs(example, prepared, capsys, monkeypatch):
    words = example.words[1:]
    if words[0] == "collect":  # this one by processes of its own, as in earnest
        shutil.rmtree("lab1")
    else:
        monkeypatch.setattr(pool, "spread", in_process.spread)
    if "labs/mine" in words or "path/to/lab" in words:
        assert run(["new", "labs/my-lab"]) == 0
    status = run(words)
    assert status == 0, capsys.readouterr()


# Files.


def of_lab(text: str, folder: Path) -> None:
    """Make a lab of an example of lab.toml: what the example leaves out is added."""
    if text.startswith(("[[step.claim]]", "check = ")):
        text = f'[[step]]\nid = "example"\ntitle = "An example"\npoints = 20\n\n{text}'
    shown = tomllib.loads(text)
    steps = {step["id"]: step for step in shown.get("step", ())}
    marks = [*steps, *(entry["id"] for entry in shown.get("waived", ()))]
    marks += [entry["step"] for entry in shown.get("typed", ())]
    given = sum(step["points"] for step in steps.values())
    more = ""
    for id in [*dict.fromkeys(marks[len(steps) :]), "the-rest"]:
        if id not in [entry["id"] for entry in shown.get("waived", ())]:
            points = 100 - given if id == "the-rest" else 0
            more += f'\n[[step]]\nid = "{id}"\ntitle = "{id}"\npoints = {points}\n'
            more += 'check = "kernel.ip_vs_available"\nperform = ["true"]\n'
    for image in shown.get("image", ()):
        (folder / image["folder"]).mkdir(parents=True)
        (folder / image["folder"] / "Dockerfile").write_text("FROM scratch\n")
    if "values" not in shown and "{{port}}" in text:
        more += "\n[values]\nport = 80\n"
    # A key of the whole file stands before its tables.
    own = "" if re.match(r"\w+ = ", text) else "\n"
    (folder / "lab.toml").write_text(
        f'name = "example"\ntitle = "An example"\ndocument = "lab.md"\n{own}{text}{more}'
    )
    commands = "\n".join(entry["begins"] for entry in shown.get("typed", ()))
    says = "\n".join(entry["says"] for entry in shown.get("prose", ()))
    blocks = "\n\n".join(f"```\n{entry['begins']}\n}}\n```" for entry in shown.get("block", ()))
    item = f"1. Do it. {says}\n\n   ```sh\n   {commands or 'true'}\n   ```\n\n"
    items = [f"<!-- step: {id} -->\n{item}" for id in dict.fromkeys([*marks, "the-rest"])]
    (folder / "lab.md").write_text(f"# An example\n\n{''.join(items)}{blocks}")


@each(of_kind("toml"))
def test_an_example_of_toml_is_accepted_by_what_reads_it(example, tmp_path):
    shown = tomllib.loads(example.text)
    if "lab" in shown:
        (tmp_path / "course.toml").write_text(example.text)
        assert course.read(tmp_path / "course.toml")[0].lab
    elif "override" in shown:
        (book,) = (e for e in of_kind("toml") if "lab" in tomllib.loads(e.text))
        (tmp_path / "course.toml").write_text(book.text)
        (tmp_path / "overrides.toml").write_text(example.text)
        assert course.read(tmp_path / "course.toml")[1]
    elif "run" in shown:
        shutil.copytree(find_lab("gorb"), tmp_path / "gorb")
        (tmp_path / "gorb" / "variants" / "shown.toml").write_text(example.text)
        assert "shown" in [m.id for m in load_mistakes(load_lab(tmp_path / "gorb"))]
    else:
        of_lab(example.text, tmp_path)
        assert load_lab(tmp_path).steps


@each(of_kind("csv"))
def test_an_example_of_a_roster_is_read_whole(example, tmp_path):
    (tmp_path / "class.csv").write_text(example.text)
    read = roster.read(tmp_path / "class.csv", GORB)
    assert len(read.students) == len(example.text.splitlines()) - 1
    assert (read.unused, read.skipped) == ((), ())


@each(of_kind("json"))
def test_an_example_of_evidence_is_drawn(example):
    drawn = picture(Evidence("an example", "", "", json.loads(example.text)))
    assert drawn
    assert drawn.words


@each(of_kind("markdown"))
def test_an_example_of_a_document_has_the_mark_that_it_is_about(example, tmp_path):
    (tmp_path / "lab.md").write_text(f"# A lab\n\n{example.text}\n   ```sh\n   true\n   ```\n")
    document = Document.read(tmp_path / "lab.md")
    assert document.steps or "lint: ignore" in example.text


# Python.


class GreetedMachine:
    """Answers the example's command."""

    def __init__(self, stdout: str) -> None:
        self.stdout = stdout

    def run(self, command: str, *arguments: str) -> CommandResult:
        return CommandResult(command, 0, self.stdout, "", 0.0)


def check_example(names):
    check = names["greeting_written"]
    assert [e.saw for e in check(GreetedMachine("hello\n"), greeting_file="greeting")] == [
        "hello\n"
    ]
    with pytest.raises(CheckFailed, match="a greeting in ~/greeting"):
        list(check(GreetedMachine(""), greeting_file="greeting"))


def rule_example(names):
    score = Score.from_json(RECORD.read_text())
    student = Student(id="s1001", target="vm:a", extra={"days_late": "2"})
    points, remark = names["grade"](student, score)
    assert (points, remark) == (score.points * 0.8, "2 days late")


def score_example(names):
    assert names["score"].max_points == 100


PYTHON = {"greeting_written": check_example, "grade": rule_example, "score": score_example}


@each(of_kind("python"))
def test_an_example_of_python_does_what_its_page_says(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.json").write_text(RECORD.read_text())
    (tmp_path / "example.py").write_text(example.text)
    names = runpy.run_path(str(tmp_path / "example.py"))
    (tried,) = (name for name in PYTHON if name in names)
    PYTHON[tried](names)
