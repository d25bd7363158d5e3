"""Values that differ from student to student: drawn, handed out, graded, and recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from labwright.cli import main
from labwright.errors import DefinitionError, UsageError
from labwright.gate import stages
from labwright.gate.variants import tried
from labwright.grading.run import plan
from labwright.lab.definition import load_lab
from labwright.lab.edition import as_html, as_markdown, edition
from labwright.lab.model import find_lab
from labwright.lab.variants import settings_for, values_for
from labwright.plugin.grade import grade

SECRET = "nobody else knows this"
DOCUMENT = """\
# A lab of {{port}}

<!-- step: first -->
1. Write {{word}} into a file:

   ```sh
   echo "{{word}} {{port}}" >~/notes
   ```
"""
DEFINITION = """\
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
title = "The file says {{word}} and {{port}}"
points = 100
check = "checks.written"
hint = "Write {{word}}."
with = { path = "notes", number = "{{port}}" }
"""
CHECKS = """\
from labwright.errors import CheckFailed
from labwright.outcome import Evidence


def written(machine, *, path, number, word):
    result = machine.run('cat "$HOME"/%s', path)
    yield Evidence("the file", path, result.stdout)
    assert isinstance(number, int)
    if result.stdout != f"{word} {number}\\n":
        raise CheckFailed(f"{word} {number}", result.stdout.strip())
"""


@pytest.fixture
def toy(tmp_path: Path):
    """Return a function that writes a lab with variants."""

    def write(document: str = DOCUMENT, definition: str = DEFINITION) -> Path:
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        for name, text in (("lab.md", document), ("lab.toml", definition), ("checks.py", CHECKS)):
            (folder / name).write_text(text, encoding="utf-8")
        test = "def test_step(examine_step):\n    examine_step()\n"
        (folder / "test_toy.py").write_text(test, encoding="utf-8")
        return folder

    return write


def test_a_variant_is_the_same_each_time_and_anothers_is_another(toy):
    lab = load_lab(toy())
    assert values_for(lab, "ann", SECRET) == values_for(lab, "ann", SECRET)
    drawn = [tuple(values_for(lab, f"s{n}", SECRET).values()) for n in range(200)]
    assert len(set(drawn)) > 150
    assert {word for _, word in drawn} == {"alpha", "beta", "gamma"}
    assert all(5000 <= port <= 5999 for port, _ in drawn)
    assert drawn != [tuple(values_for(lab, f"s{n}", SECRET * 2).values()) for n in range(200)]


def test_an_edition_has_the_values_in_the_document_and_in_the_definition(toy):
    lab = load_lab(toy())
    own = load_lab(lab.folder, values_for(lab, "ann", SECRET))
    port, word = own.values["port"], own.values["word"]
    assert f'echo "{word} {port}" >~/notes' in as_markdown(own)
    assert "<!--" not in as_markdown(own)
    assert f"A lab of {port}</h1>" in as_html(own)
    assert own.steps[0].title == f"The file says {word} and {port}"
    assert own.steps[0].arguments == {"path": "notes", "number": port}
    assert [c.run for c in own.steps[0].perform] == [f'echo "{word} {port}" >~/notes']
    assert as_markdown(lab).startswith("# A lab of 4444\n")


def test_a_machine_is_graded_against_its_students_edition(toy, monkeypatch, tmp_path):
    lab = load_lab(toy())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LABWRIGHT_SECRET", SECRET)
    ann = values_for(lab, "ann", SECRET)
    (tmp_path / "notes").write_text(f"{ann['word']} {ann['port']}\n")
    check = ["check", "--lab", str(lab.folder), "--target=local", "--out", str(tmp_path / "out")]
    assert main([*check, "--student", "ann"]) == 0
    assert main([*check, "--student", "bob"]) == 1
    assert main(check) == 1


def test_a_class_is_graded_by_settings_and_the_texts_have_them(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    lab = load_lab(toy())
    settings = settings_for(lab, "ann", SECRET)
    score = grade(plan(edition(lab.folder, settings), "local", settings=settings))
    assert score.steps[0].hint == edition(lab.folder, settings).steps[0].hint
    assert score.steps[0].hint != "Write hello."


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("Write {{word}} into", "Write hello into", 4, "hello is written here"),
        ("# A lab of {{port}}", "# A lab of 4444", 1, "4444 is written here"),
        ("{{word}}", "it", 1, "does not contain the variant 'word'"),
    ],
)
def test_a_value_that_is_named_in_words_is_a_finding(toy, old, new, line, says):
    folder = toy(DOCUMENT.replace(old, new))
    found = stages.run_cover(stages.read(str(folder), folder)).findings
    variants = [f for f in found if f.rule == "cover/variant"]
    assert [(f.line, says in f.message) for f in variants] == [(line, True)]
    reason = DEFINITION.replace("to = 5999", 'to = 5999, elsewhere = "of others, too"')
    folder = toy(DOCUMENT.replace("# A lab of {{port}}", "# A lab of 4444"), reason)
    found = stages.run_cover(stages.read(str(folder), folder)).findings
    assert [f for f in found if f.rule == "cover/variant"] == []


def test_a_template_must_be_the_document_but_for_its_values(toy):
    folder = toy(DOCUMENT.replace("{{port}}", "4444").replace("{{word}}", "hello"))
    toml = folder / "lab.toml"
    toml.write_text(DEFINITION.replace("[variants.values]", '[variants]\ndocument = "t.md"\n'
                                       "[variants.values]"))  # fmt: skip
    (folder / "t.md").write_text(DOCUMENT)
    assert not any(
        f.rule == "cover/variant"
        for f in stages.run_cover(stages.read(str(folder), folder)).findings
    )
    assert "5" in as_markdown(edition(folder, ["port=5000"])).splitlines()[0]
    (folder / "t.md").write_text(DOCUMENT.replace("into a file", "into the file"))
    (finding,) = [
        f
        for f in stages.run_cover(stages.read(str(folder), folder)).findings
        if f.rule == "cover/variant"
    ]
    assert (finding.path.name, finding.line) == ("t.md", 4)


@pytest.mark.parametrize(
    "wrong",
    [
        "{ from = 5, to = 5 }",
        '["one"]',
        '{ from = "a", to = "b" }',
        "{ options = [1, 2], to = 3 }",
        '["a", "b"]',
        "[{ port = 1 }, { other = 2 }]",
    ],
)
def test_a_variant_that_cannot_be_drawn_is_one_sentence_with_its_line(toy, wrong):
    folder = toy(definition=DEFINITION.replace("{ from = 5000, to = 5999 }", wrong))
    with pytest.raises(DefinitionError, match="variant 'port'") as caught:
        load_lab(folder)
    assert caught.value.line == 10


def test_without_a_secret_or_without_variants_there_is_no_edition(toy, capsys, monkeypatch):
    monkeypatch.delenv("LABWRIGHT_SECRET", raising=False)
    folder = toy()
    assert main(["document", str(folder), "--student", "ann"]) == 2
    assert "give --secret-file" in capsys.readouterr().err
    with pytest.raises(UsageError, match="at least 16"):
        values_for(load_lab(folder), "ann", "short")
    definition = DEFINITION[: DEFINITION.index("[variants")] + DEFINITION[
        DEFINITION.index("[[step]]") :
    ].replace('"{{port}}"', "4444")
    plain = load_lab(toy(DOCUMENT, definition))
    with pytest.raises(UsageError, match="no variants"):
        values_for(plain, "ann", SECRET)


def test_the_document_is_written_as_markdown_or_as_a_page(toy, capsys, tmp_path):
    folder = toy()
    assert main(["document", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# A lab of 4444\n")
    page = tmp_path / "lab.html"
    assert main(["document", str(folder), "--html", "--out", str(page)]) == 0
    assert "<h1>A lab of 4444</h1>" in page.read_text()


def test_gorb_has_variants_and_is_without_them_as_it_was():
    gorb = load_lab(find_lab("gorb"))
    assert gorb.document.name == "lab.md"
    assert gorb.values["service_port"] == 4444
    for values in tried(gorb, 3):
        own = load_lab(gorb.folder, values)
        text = as_markdown(own)
        assert f"4672/service/{values['service']}/1" in text
        assert f"{values['scheduler_name']} (`{values['scheduler']}`) over TCP" in text
        assert "{{" not in text.replace("{{range", "").replace("{{.IP", "").replace("{{end", "")
        assert str(values["service_port"]) in own.step("service-created").title
