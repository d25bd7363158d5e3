"""A class whose students have an edition of the lab each is graded by those editions."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tests import in_process

from labwright.batch import pool, submission
from labwright.batch.own_values import fingerprint
from labwright.batch.task import Identity
from labwright.cli import main
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.edition import edition
from labwright.lab.variants import settings_for, values_for
from labwright.plugin.grade import grade
from labwright.score import Score

SECRET = "nobody else knows this"
FILES = {
    "lab.md": "# A lab of {{port}}\n\n<!-- step: first -->\n1. Make a file.\n\n"
    "<!-- step: second -->\n2. Write {{word}} into it.\n",
    "lab.toml": """\
name = "toy"
title = "A toy lab"
document = "lab.md"

[values]
port = 4444
word = "hello"

[variants.values]
port = { from = 5000, to = 5999 }
word = ["alpha", "beta", "gamma"]

[[step]]
id = "first"
title = "There is a file"
points = 40
check = "checks.there"
[[step]]
id = "second"
title = "The file says {{word}} and {{port}}"
points = 60
check = "checks.written"
needs = ["first"]
hint = "Write {{word}}."
with = { number = "{{port}}" }
""",
    "checks.py": """\
from labwright.errors import CheckFailed
from labwright.outcome import Evidence


def there(machine):
    result = machine.run('cat "$HOME"/notes')
    yield Evidence("the file", "notes", result.stdout)
    if not result.stdout:
        raise CheckFailed("a file", "none")


def written(machine, *, number, word):
    result = machine.run('cat "$HOME"/notes')
    yield Evidence("the file", "notes", result.stdout)
    if result.stdout != f"{word} {number}\\n":
        raise CheckFailed(f"{word} {number}", result.stdout.strip())
""",
    "test_toy.py": "def test_step(examine_step):\n    examine_step()\n",
}
STUDENTS = ("ann", "bob", "cal")
SEEN: dict[tuple[str, ...], Score] = {}
"""The scores of machines, by what was written there and the values that it was graded by."""


class Class:
    """A class of three, each with a machine that holds what was written there."""

    def __init__(self, place: Path, monkeypatch, capsys) -> None:
        self.place, self._monkeypatch, self._capsys = place, monkeypatch, capsys
        folder = place / "toy"
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(text)
        self.lab = load_lab(folder)
        rows = [f"{id},ssh://{id}" for id in STUDENTS]
        (place / "class.csv").write_text("\n".join(["id,target", *rows]) + "\n")
        (place / "in").mkdir()
        monkeypatch.setattr(pool, "spread", self._spread)
        monkeypatch.setenv("LABWRIGHT_SECRET", SECRET)

    def notes(self, id: str) -> str:
        """What a student's own document asks for."""
        own = values_for(self.lab, id, SECRET)
        return f"{own['word']} {own['port']}\n"

    def seen(self, notes: str, settings: list[str]) -> Score:
        """Grade a machine on which this was written, by these values; the same one only once."""
        key = (notes, *settings)
        if key not in SEEN:
            SEEN[key] = self._grade(notes, settings)
        return SEEN[key]

    def _grade(self, notes: str, settings: list[str]) -> Score:
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        (home / "notes").write_text(notes)
        self._monkeypatch.setenv("HOME", str(home))
        own = edition(self.lab.folder, settings)
        return grade(plan(own, "local", settings=settings))

    def machine(self, id: str, notes: str) -> None:
        score = self.seen(notes, settings_for(self.lab, id, SECRET))
        (self.place / f"{id}.json").write_text(score.to_json())

    def hand_in(self, id: str, notes: str, whose: str = "") -> None:
        settings = settings_for(self.lab, whose, SECRET) if whose else []
        score = self.seen(notes, settings)
        own = edition(self.lab.folder, settings)
        values = dict(setting.split("=", 1) for setting in settings)
        text = submission.make(score, own, id, values, "", Identity(machine=id * 4))
        (self.place / "in" / f"{id}.lab").write_text(text)

    def _spread(self, groups, *others) -> None:
        """Grade in this process; a student's machine is what was recorded of it."""
        recorded = [
            [replace(task, record=task.record or str(self.place / f"{task.id}.json"))]
            for group in groups
            for task in group
        ]
        in_process.spread(recorded, *others)

    def run(self, *command: str) -> tuple[int, str]:
        status = main([*command, "--lab", str(self.lab.folder)])
        return status, self._capsys.readouterr().err

    def book(self, out: str = "out") -> dict[str, dict[str, str]]:
        with (self.place / out / "gradebook.csv").open(newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def class_(tmp_path, monkeypatch, capsys) -> Class:
    return Class(tmp_path, monkeypatch, capsys)


def grading(class_: Class, *more: str) -> tuple[int, str]:
    roster, out = str(class_.place / "class.csv"), str(class_.place / "out")
    return class_.run("grade", roster, "--out", out, *more)


def test_each_student_is_graded_by_their_own_edition_and_anothers_is_recognised(class_):
    class_.machine("ann", class_.notes("ann"))
    class_.machine("bob", class_.notes("ann"))
    class_.machine("cal", "something else\n")
    status, _ = grading(class_, "--variants")
    book = class_.book()
    assert status == 0
    assert {id: row["points"] for id, row in book.items()} == {
        "ann": "100",
        "bob": "40",
        "cal": "40",
    }
    assert "it fits the variant of ann, and not the student's own" in book["bob"]["flags"]
    assert book["ann"]["flags"] == book["cal"]["flags"] == ""
    word = values_for(class_.lab, "cal", SECRET)["word"]
    assert f"Write {word}." in (class_.place / "out/students/cal/report.html").read_text()


def test_a_resume_with_another_secret_or_without_is_refused(class_, monkeypatch):
    for id in STUDENTS:
        class_.machine(id, class_.notes(id))
    grading(class_, "--variants")
    status, said = grading(class_, "--resume")
    assert status == 2
    assert f"--variants={fingerprint(class_.lab, SECRET)}" in said
    assert "LABWRIGHT_SECRET" not in (class_.place / "out/journal.jsonl").read_text()
    assert grading(class_, "--variants", "--resume")[0] == 0
    monkeypatch.setenv("LABWRIGHT_SECRET", "another secret of the course")
    assert grading(class_, "--variants", "--resume")[0] == 2


def test_a_class_is_judged_again_by_the_same_editions_without_the_secret(class_, monkeypatch):
    for id in STUDENTS:
        class_.machine(id, class_.notes(id))
    grading(class_, "--variants")
    monkeypatch.delenv("LABWRIGHT_SECRET")
    status, said = class_.run("regrade", str(class_.place / "out"))
    assert status == 0
    assert "3 attempts judged again; 0 grades change" in said


def test_who_forgets_to_say_variants_is_told(class_):
    for id in STUDENTS:
        class_.machine(id, class_.notes(id))
    assert "$LABWRIGHT_SECRET is set and the lab has variants" in grading(class_)[1]


def test_somebody_elses_variant_that_is_handed_in_is_recognised(class_):
    class_.hand_in("ann", class_.notes("ann"), "ann")
    class_.hand_in("bob", class_.notes("ann"), "ann")
    class_.hand_in("cal", class_.notes("cal"))
    roster, out = str(class_.place / "class.csv"), str(class_.place / "out")
    status, said = class_.run(
        "collect", str(class_.place / "in"), "--roster", roster, "--out", out, "--variants"
    )
    book = class_.book()
    assert status == 0
    assert {id: row["points"] for id, row in book.items()} == {
        "ann": "100",
        "bob": "40",
        "cal": "100",
    }
    assert "it was made with the variant of ann" in book["bob"]["flags"]
    assert "it fits the variant of ann" in book["bob"]["flags"]
    assert "variant" not in book["ann"]["flags"]
    assert "it was made without the values of the student's own variant" in book["cal"]["flags"]
    assert "bob: 40" in said


def test_a_student_is_given_their_values_as_check_and_submit_take_them(class_, capsys):
    assert main(["document", str(class_.lab.folder), "--student", "ann", "--settings"]) == 0
    given = capsys.readouterr().out.split()
    assert [g.removeprefix("--set=") for g in given] == settings_for(class_.lab, "ann", SECRET)


def test_a_lab_without_variants_or_a_file_without_the_option_is_refused(tmp_path, capsys):
    (tmp_path / "class.csv").write_text("id,target\na,h\n")
    (tmp_path / "secret").write_text(SECRET)
    command = ["grade", str(tmp_path / "class.csv"), "--secret-file", str(tmp_path / "secret")]
    assert main([*command, "--lab", "docker-server", "--variants"]) == 2
    assert "has no variants" in capsys.readouterr().err
    assert main(command) == 2
    assert "--secret-file needs --variants" in capsys.readouterr().err
