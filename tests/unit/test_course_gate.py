"""The gate's first two stages refuse what they should, at the right line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from labwright.cli import main
from labwright.gate import formats, lock, stages
from labwright.lab.model import find_lab

from .edits import edits

GORB = find_lab("gorb")
DOCUMENT = (GORB / "lab.md").read_text(encoding="utf-8")
TOY = """\
# A toy lab

<!-- step: first -->
1. Make a file:

   ```sh
   touch notes
   ```

It is there now.

<!-- step: second -->
2. Observe the file.
"""
DEFINITION = """\
name = "toy"
title = "A toy lab"
document = "lab.md"

[[step]]
id = "first"
title = "The first"
points = 40
check = "kernel.ip_vs_available"

[[step]]
id = "second"
title = "The second"
points = 60
check = "kernel.ip_vs_available"
perform = ["cat notes"]
"""


@pytest.fixture
def toy(tmp_path: Path):
    """Return a function that writes a toy lab, locked unless told otherwise."""

    def write(document: str = TOY, definition: str = DEFINITION, *, locked: bool = True) -> Path:
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        (folder / "lab.toml").write_text(definition, encoding="utf-8")
        (folder / "lab.md").write_text(document, encoding="utf-8")
        if locked:
            main(["gate", str(folder), "--update"])
        return folder

    return write


def found(folder: Path) -> list[tuple[str, str, int]]:
    """Return what cover and lint find: file, rule and line."""
    course = stages.read(str(folder), folder)
    both = (stages.run_cover(course), stages.run_lint(course))
    return [(f.path.name, f.rule, f.line) for stage in both for f in stage.findings]


def rules(folder: Path) -> set[str]:
    return {rule for _, rule, _ in found(folder)}


@pytest.fixture
def gorb(tmp_path: Path) -> Path:
    """A copy of the gorb lab; what it requires is beside it."""
    for name in ("gorb", "docker-server"):
        if (GORB.parent / name).is_dir():
            shutil.copytree(GORB.parent / name, tmp_path / name)
    return tmp_path / "gorb"


def test_the_labs_that_come_along_pass_cover_and_lint():
    for definition in GORB.parent.glob("*/lab.toml"):
        assert found(definition.parent) == []


def test_there_are_twenty_edits_of_which_no_two_are_the_same():
    made = [edit.apply(DOCUMENT) for edit in edits(DOCUMENT)]
    assert len({*made, DOCUMENT}) == 21


@pytest.mark.parametrize("edit", edits(DOCUMENT), ids=lambda edit: edit.name.replace(" ", "-"))
def test_a_single_edit_of_the_document_is_refused_at_its_line(gorb, edit):
    text = edit.apply(DOCUMENT)
    (gorb / "lab.md").write_text(text, encoding="utf-8")
    lines = [line for name, _, line in found(gorb) if name == "lab.md"]
    assert edit.line(text) in lines, found(gorb)


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("touch notes", "touch note", "cover/changed", 7),
        ("It is there now.", "Remove it.", "cover/unbound", 10),
        ("It is there now.", "It is there, so you can now remove it.", "cover/unbound", 10),
        ("It is there now.", "It needs to be removed.", "cover/unbound", 10),
        ("It is there now.", "It is there: `sudo rm notes`.", "cover/unbound", 10),
        ("It is there now.", "<b>Remove it</b> with care.", "cover/unbound", 10),
        ("It is there now.", "| a | b |\n| --- | --- |\n| c | Remove it |", "cover/new", 12),
        ("It is there now.", "1. Remove it.", "cover/new", 10),
        ("It is there now.", "- Remove it.", "cover/unbound", 10),
        ("It is there now.", "> Remove it.", "cover/unbound", 10),
        ("It is there now.", "> ```\n> rm notes\n> ```", "cover/new", 11),
        ("It is there now.", "It was there.", "cover/changed", 10),
        ("It is there now.\n", "", "cover/gone", 12),
        ("2. Observe the file.\n", "", "cover/empty-step", 12),
    ],
)
def test_what_a_document_says_anew_is_refused_at_its_line(toy, old, new, rule, line):
    folder = toy()
    assert found(folder) == []
    (folder / "lab.md").write_text(TOY.replace(old, new), encoding="utf-8")
    assert ("lab.md", rule, line) in found(folder)


def test_lines_may_be_broken_anew(toy):
    folder = toy()
    (folder / "lab.md").write_text(TOY.replace("Observe the", "Observe\n   the"), encoding="utf-8")
    assert found(folder) == []


def test_a_document_in_which_nothing_is_to_be_done_does_not_pass(tmp_path):
    page = tmp_path / "notes.md"
    page.write_text("# Notes\n\nServers are nice.\n")
    assert rules(page) == {"cover/nothing-to-do"}


def test_a_document_without_definition_has_all_its_instructions_unbound(tmp_path):
    page = tmp_path / "notes.md"
    page.write_text("# Notes\n\n1. Look around:\n\n   ```sh\n   ls\n   ```\n\nClose the door.\n")
    assert [(r, n) for _, r, n in found(page)] == [
        ("cover/unbound", 3),
        ("cover/unbound", 6),
        ("cover/unbound", 9),
    ]


def test_a_document_that_was_never_locked_does_not_pass(toy):
    assert rules(toy(locked=False)) == {"cover/unlocked"}


@pytest.mark.parametrize(
    ("document", "definition", "expected"),
    [
        # A step of the definition that the document lacks, and the reverse.
        (TOY.replace("step: second", "step: other"), DEFINITION,
         ("lab.toml", "cover/definition", 12)),
        (TOY, DEFINITION[: DEFINITION.rindex("[[step]]")].replace("40", "100"),
         ("lab.md", "cover/definition", 12)),
        (TOY, DEFINITION + '\n[[waived]]\nid = "third"\nreason = "why not"\n',
         ("lab.toml", "cover/definition", 19)),
        (TOY, DEFINITION + '\n[[waived]]\nid = "second"\nreason = "  "\n',
         ("lab.toml", "cover/definition", 20)),
        (TOY, DEFINITION + '\n[[prose]]\nsays = "Nobody said this"\nreason = "why"\n',
         ("lab.toml", "cover/orphaned", 18)),
        (TOY, DEFINITION + '\n[[prose]]\nsays = "file"\nreason = "why"\n',
         ("lab.toml", "cover/orphaned", 18)),
        (TOY, DEFINITION + '\n[[prose]]\nsays = "file"\n', ("lab.toml", "cover/definition", 18)),
        (TOY, DEFINITION + '\n[[typed]]\nstep = "first"\nbegins = "cat"\nready = "true"\n',
         ("lab.toml", "cover/definition", 18)),
        (TOY, DEFINITION.replace('perform = ["cat notes"]\n', ""),
         ("lab.md", "cover/unperformed", 12)),
        (TOY, DEFINITION.replace("points = 40", 'points = 40\nneeds = ["second"]'),
         ("lab.md", "cover/order", 3)),
    ],
)  # fmt: skip
def test_a_document_and_a_definition_that_do_not_fit_are_refused(
    toy, document, definition, expected
):
    assert expected in found(toy(document, definition))


def test_a_prose_instruction_passes_with_a_reason_or_a_command(toy):
    document = TOY.replace("It is there now.", "Close the door.")
    reason = '\n[[prose]]\nsays = "Close the door"\nreason = "There is none."\n'
    assert found(toy(document, DEFINITION + reason)) == []
    command = reason.replace('reason = "There is none."', 'perform = ["true"]')
    assert found(toy(document, DEFINITION + command)) == []


def test_updating_shows_every_change_in_full(toy, capsys):
    folder = toy()
    text = TOY.replace("touch notes", "touch notes\n   chmod 600 notes").replace(
        "It is there now.", "All is well."
    )
    (folder / "lab.md").write_text(text + "\n3. Sleep.\n", encoding="utf-8")
    capsys.readouterr()
    main(["gate", str(folder), "--update"])
    shown = capsys.readouterr().out
    for line in ("+ chmod 600 notes", "- It is there now.", "+ All is well.", "+ Sleep."):
        assert line in shown
    assert "4 changes" in shown
    assert rules(folder) == set(), "what stands under a mark belongs to its step"


def test_a_lock_changed_by_hand_is_refused_and_shown_as_new_when_updated(toy, capsys):
    folder = toy()
    file = folder / lock.NAME
    file.write_text(file.read_text().replace('"touch notes"', '"touch note"'), encoding="utf-8")
    assert main(["gate", str(folder), "--only", "cover"]) == 2
    assert "was changed by hand" in capsys.readouterr().err
    assert main(["gate", str(folder), "--update"]) == 0
    assert "+ touch notes" in capsys.readouterr().out


def test_the_exit_status_tells_passed_found_and_wrong_usage(toy, capsys, tmp_path):
    folder = toy()
    both = ["--only", "cover", "--only", "lint"]
    assert main(["gate", str(folder), *both]) == 0
    (folder / "lab.md").write_text(TOY.replace("touch", "cat"), encoding="utf-8")
    assert main(["gate", str(folder), *both]) == 1
    assert main(["gate", str(tmp_path / "none.md")]) == 2
    assert main(["gate", "nolab"]) == 2
    assert main(["gate", str(folder / "lab.toml")]) == 2
    assert main(["gate", str(folder), "--update", "--only", "lint"]) == 2
    assert "no such document" in capsys.readouterr().err


@pytest.fixture
def verdicts(toy) -> list[stages.Verdict]:
    folder = toy()
    (folder / "lab.md").write_text(TOY.replace("touch notes", "cat notes %\x1b"), encoding="utf-8")
    course = stages.read(str(folder), folder)
    return [stages.Verdict(course, (stages.run_cover(course), stages.run_lint(course)))]


def test_sarif_has_each_finding_with_its_rule_file_and_line(verdicts):
    log = json.loads(formats.sarif(verdicts))
    (run,) = log["runs"]
    known = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert log["version"] == "2.1.0"
    assert {r["ruleId"] for r in run["results"]} == {"cover/changed", "lint/unmade-file"}
    for result in run["results"]:
        assert known[result["ruleIndex"]] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].endswith("lab.md")
        assert place["region"]["startLine"] == 7


def test_a_stage_that_could_not_be_run_is_told_by_each_format(verdicts):
    broken = [replace(verdicts[0], stages=(stages.Stage("perform", (), 0, "", problem="no disk"),))]
    (run,) = json.loads(formats.sarif(broken))["runs"]
    assert (run["results"], run["invocations"][0]["executionSuccessful"]) == ([], False)
    assert "no disk" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert formats.github(broken).startswith("::error title=no verdict::")
    assert ET.fromstring(formats.junit(broken))[0].get("errors") == "1"
    assert "**broken**: no disk" in formats.markdown(broken)


def test_annotations_are_escaped_lines(verdicts):
    lines = formats.github(verdicts).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("::error file=")
    assert ",line=7,col=1,title=cover/changed::" in lines[0]
    assert "notes %25" in lines[0]
    assert "\x1b" not in lines[0]


def test_junit_has_file_and_line_and_counts(verdicts):
    root = ET.fromstring(formats.junit(verdicts))
    assert [(s.get("tests"), s.get("failures")) for s in root] == [("1", "1"), ("1", "1")]
    case = root[0][0]
    assert case.get("file", "").endswith("lab.md")
    assert case.get("line") == "7"


def test_the_summary_is_markdown_with_a_row_for_each_stage(verdicts):
    text = formats.markdown(verdicts)
    assert text.count("**1 finding**") == 2
    assert "**cover/changed**" in text
    assert "~~~diff" in text


def test_the_summary_shows_a_documents_markdown_and_does_not_follow_it(toy):
    foreign = "![x](http://a.example/x.png) [y](http://a.example) @everyone <b>"
    folder = toy()
    (folder / "lab.md").write_text(TOY.replace("touch notes", f"cat {foreign}"), encoding="utf-8")
    course = stages.read(str(folder), folder)
    text = formats.markdown([stages.Verdict(course, (stages.run_cover(course),))])
    assert "everyone" in text
    # Within a block of code it is text; a block's own rows begin with -, + or a blank.
    outside = re.sub(r"^ *~~~.*?^ *~~~$", "", text, flags=re.DOTALL | re.MULTILINE)
    for alive in ("![x](", "[y](http", " @everyone", "<b>"):
        assert alive not in outside


def test_the_command_runs_as_a_program_and_writes_its_files(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "labwright", "gate", "gorb", "--only", "lint", "--github",
         "--sarif", str(tmp_path / "s"), "--junit", str(tmp_path / "j"),
         "--summary", str(tmp_path / "m")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "s").read_text())["runs"][0]["results"] == []
    assert "| passed |" in (tmp_path / "m").read_text()
    assert ET.parse(tmp_path / "j").getroot()[0].get("failures") == "0"
