"""What is typed is told from what is printed, whatever prompt a document has."""

from __future__ import annotations

from pathlib import Path

import pytest

from labwright.lab.document import Document
from labwright.lab.shell import typed


@pytest.fixture
def read(tmp_path: Path):
    """Return a function that reads what is typed in a fence: text, output, line, root."""

    def look(language: str, *lines: str, prompts: tuple[str, ...] = ()):
        page = tmp_path / "page.md"
        page.write_text("\n".join([f"```{language}", *lines, "```", ""]), encoding="utf-8")
        document = Document.read(page, prompts)
        return [(e.text, e.output, e.block.line, e.root) for e in typed(document)]

    return look


@pytest.mark.parametrize(
    "prompt",
    [
        *("$", "%", "user@host:~$", "[user@host dir]$", "(venv) $", "bash-5.1$", "~$", "~/lab$"),
        *("ann@web1:/srv/www$", "ann@mac lab %", "(base) ann@pc:~$", "host1$", "[ann@web1 ~]$"),
    ],
)
@pytest.mark.parametrize("language", ["console", "sh", ""])
def test_a_users_prompt_stands_before_a_command(read, prompt, language):
    found = read(language, f"{prompt} ls -l", "total 0", f"{prompt} id")
    assert found == [("ls -l", "total 0", 2, False), ("id", None, 4, False)]


@pytest.mark.parametrize(
    "prompt", ["[root@host ~]#", "root@host:~#", "host1#", "sh-4.2#", "root@5b3f:/#", "/ #"]
)
@pytest.mark.parametrize("language", ["console", "bash", ""])
def test_roots_prompt_is_told_from_a_users(read, prompt, language):
    assert read(language, f"{prompt} id -u", "0") == [("id -u", "0", 2, True)]


def test_a_hash_begins_a_comment_in_a_script_and_a_command_in_a_session(read):
    assert read("sh", "# apt update", "ls") == [("ls", None, 3, False)]
    assert read("", "# apt update", "ls") == [("ls", None, 3, False)]
    assert read("console", "# apt update", "Done") == [("apt update", "Done", 2, True)]


def test_a_hash_is_no_command_in_the_session_of_a_user(read):
    found = read("console", "# Install it", "$ apt install x", "", "# Look", "$ ls", "# a line")
    assert found == [("apt install x", None, 3, False), ("ls", "# a line", 6, False)]


def test_a_hash_is_roots_prompt_in_a_shell_that_became_roots(read):
    found = read("console", "$ sudo -i", "# id -u", "0")
    assert found == [("sudo -i", None, 2, False), ("id -u", "0", 3, True)]


def test_an_angle_is_a_prompt_only_where_it_redirects_nothing(read):
    assert read("console", "> ls", "x") == [("ls", "x", 2, False)]
    assert read("", "> docker ps", "x") == [("docker ps", "x", 2, False)]
    assert read("sh", "> notes") == [("> notes", None, 2, False)]
    assert read("console", "$ curl -v x", "> GET /") == [("curl -v x", "> GET /", 2, False)]


def test_a_prompt_of_the_labs_own_is_named_in_its_definition(read):
    found = read("console", "mysql> show tables;", "t", "mysql> exit", prompts=("mysql>",))
    assert [entry[0] for entry in found] == ["show tables;", "exit"]


@pytest.mark.parametrize("language", ["console", "sh", ""])
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize(
    "rows",
    [
        ["for n in 1 2; do", "    echo $n", "done"],
        ["cat >notes <<END", "# a comment", "$ 5", "END"],
        ["cat <<'A' | sudo tee x", "it's", "A"],
        ["curl -f \\", "  --retry 3 \\", "  x"],
        ["echo 'a", "b'"],
        ["if true; then", "  ls", "fi"],
        ["f() {", "  ls", "}"],
        ["ls |", "  wc"],
    ],
)
def test_a_statement_is_read_to_its_end(read, language, marked, rows):
    first, *more = rows
    shown = [f"> {row}" for row in more] if marked else more
    found = read(language, f"$ {first}", *shown, "out", "$ id")
    assert found == [("\n".join(rows), "out", 2, False), ("id", None, len(rows) + 3, False)]


def test_a_placeholder_that_is_no_shell_does_not_swallow_what_follows(read):
    found = read("console", "$ docker rm <name>", "gone", "$ id")
    assert found == [("docker rm <name>", "gone", 2, False), ("id", None, 4, False)]


def test_a_session_without_a_prompt_is_output(read):
    assert read("console", "Hello") == []


def test_blank_lines_are_no_output(read):
    assert read("console", "$ ls", "", "$ id", "") == [
        ("ls", None, 2, False),
        ("id", None, 4, False),
    ]


@pytest.mark.parametrize("info", ["{.bash}", "bash:no-line-numbers", "Bash {linenos=true}", "sh,x"])
def test_a_languages_attributes_are_none_of_it(read, info):
    assert read(info, "ls") == [("ls", None, 2, False)]
