"""Nothing that a document asks for is passed over in silence, in any language."""

from __future__ import annotations

from pathlib import Path

import pytest

from labwright.gate import stages
from labwright.lab.document import Document
from labwright.lab.instructions import pieces
from labwright.lab.prose import asks, introduces

HEAD = "# A lab\n\n<!-- step: first -->\n1. Make a file:\n\n   ```sh\n   touch notes\n   ```\n\n"
DEFINITION = """\
name = "toy"
title = "A toy lab"
document = "lab.md"

[[step]]
id = "first"
title = "The first"
points = 100
check = "kernel.ip_vs_available"
"""


@pytest.fixture
def cover(tmp_path: Path):
    """Return a function that covers a document: rule and line of each finding."""

    def look(more: str, definition: str = "", top: str = "") -> list[tuple[str, int]]:
        (tmp_path / "lab.md").write_text(HEAD + more, encoding="utf-8")
        (tmp_path / "lab.toml").write_text(top + DEFINITION + definition, encoding="utf-8")
        stage = stages.run_cover(stages.read(str(tmp_path), tmp_path))
        return [
            (f.rule.removeprefix("cover/"), f.line)
            for f in stage.findings
            if f.rule != "cover/unlocked"
        ]

    return look


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ("```nginx\nworker 1;\n```\n", "unread-block"),
        ("```\nworker 1;\n```\n", "unread-block"),
        ("2. Go on.\n\n```console\nReady\n```\n", "unread-block"),
        ("2. Repeat step 1 for the other server.\n", "unperformed"),
        ("2. Restart it with `systemctl restart x`.\n", "unperformed"),
        ('--8<-- "more.md"\n', "unseen"),
    ],
)
def test_what_nothing_performs_is_a_finding(cover, more, rule):
    assert rule in [found for found, _ in cover(more)]


def test_a_step_may_say_that_nothing_is_to_be_done_in_it(cover):
    mark = "<!-- step: seen -->\n2. See that it is there.\n"
    step = '\n[[step]]\nid = "seen"\ntitle = "T"\npoints = 0\ncheck = "kernel.ip_vs_available"\n'
    assert "unperformed" in [rule for rule, _ in cover(mark, step)]
    assert cover(mark, step + "perform = []\n") == []


def test_a_directive_is_named_once(cover):
    assert cover("{% include a %}\n\n{% include b %}\n") == [("unseen", 10)]


@pytest.mark.parametrize(
    "declared",
    [
        'file = "/etc/nginx/site.conf"',
        'perform = ["true"]',
        'reason = "It is an example."',
    ],
)
def test_a_block_is_covered_by_what_becomes_of_it(cover, declared):
    assert cover("```nginx\nworker 1;\n```\n", f'[[block]]\nbegins = "worker"\n{declared}\n') == []


def test_a_block_that_is_covered_must_be_there(cover):
    assert ("definition", 11) in cover("", '\n[[block]]\nbegins = "worker"\nreason = "x"\n')


@pytest.mark.parametrize("fence", ["```text\nnotes\n```\n", "You will see:\n\n```json\n{}\n```\n"])
def test_output_in_a_block_of_its_own_needs_no_word(cover, fence):
    assert cover(fence) == []


def test_a_sentence_that_introduces_the_commands_below_it_is_no_instruction(cover):
    fence = "```sh\nls\n```\n"
    assert cover(f"Run the following command:\n\n{fence}") == []
    assert cover("Stop it, and open a new terminal:\n\n" + fence) == [("unbound", 10)]
    assert cover("Run the following command:\n") == [("unbound", 10)]
    assert not introduces("Wait for it. `rm x`:")


@pytest.mark.parametrize(
    ("language", "instruction", "told"),
    [
        ("es", "Ejecute el programa en otra ventana.", "El programa se ejecuta en el servidor."),
        ("es", "Luego, abre un navegador.", "Un servidor responde."),
        ("es", "Debes reiniciar la máquina.", "La máquina tiene dos discos."),
        ("de", "Öffnen Sie ein zweites Fenster.", "Der Server antwortet."),
        ("de", "Starte danach den Dienst.", "Das ist der Dienst."),
        ("fr", "Ouvrez un second terminal.", "Le serveur répond."),
        ("fr", "Il faut redémarrer le service.", "Le service est prêt."),
        ("pt", "Reinicie o serviço.", "O serviço responde."),
        ("it", "Aprite un secondo terminale.", "Il servizio risponde."),
        ("it", "Riavvia il servizio.", "È tutto."),
    ],
)
def test_instructions_are_found_in_other_languages(cover, language, instruction, told):
    assert asks(instruction, language)
    assert not asks(told, language)
    top = f'language = "{language}"\n'
    assert cover(f"{instruction}\n", top=top) == [("unbound", 10)]
    assert cover(f"{told}\n", top=top) == []


def test_what_cannot_be_told_in_a_language_is_said_in_one_sentence(tmp_path, cover):
    cover("Jalankan program itu.\n", top='language = "id"\n')
    course = stages.read(str(tmp_path), tmp_path)
    assert "not checked in 'id'" in stages.run_cover(course).summary
    assert "spelling: not checked in 'id'" in stages.run_lint(course).summary


def test_spelling_is_that_of_the_language(tmp_path, cover):
    text = "El servidor responde. Cada ejercicio tiene un problma.\n"
    cover(text, top='language = "es"\n')
    course = stages.read(str(tmp_path), tmp_path)
    slips = [f for f in stages.run_lint(course).findings if f.rule == "lint/spelling"]
    # The English parts of this document are not Spanish, and are left alone.
    assert [finding.suggestion.split(",")[0] for finding in slips] == ["write problema"]


def test_prompts_of_the_labs_own_are_read(tmp_path, cover):
    text = "```\nrouter> show\nx\n```\n"
    assert ("unread-block", 11) in cover(text)
    assert cover(text, top='prompt = "router>"\n') == []
    page = Document.read(tmp_path / "lab.md", ("router>",))
    assert [piece.kind for piece in pieces(page)][-1] == "command"
