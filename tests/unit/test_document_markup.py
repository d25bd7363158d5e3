"""What web sites add to Markdown is understood, and every line keeps its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from labwright.lab.document import Document
from labwright.lab.instructions import is_typed, pieces


@pytest.fixture
def read(tmp_path: Path):
    """Return a function that reads a document of these lines."""

    def look(*lines: str) -> Document:
        page = tmp_path / "page.md"
        page.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return Document.read(page)

    return look


def said(document: Document) -> list[tuple[str, str, int]]:
    return [(piece.kind, piece.text, piece.line) for piece in pieces(document)]


@pytest.mark.parametrize(
    "front", [["---", "title: A lab", "---"], ["+++", 'title = "A lab"', "+++"]]
)
def test_front_matter_is_skipped_and_gives_the_title(read, front):
    document = read(*front, "", "## Run it", "", "Close the door.")
    assert document.title == "A lab"
    assert said(document) == [("text", "Run it", 5), ("prose", "Close the door.", 7)]


def test_a_rule_at_the_beginning_is_no_front_matter(read):
    assert said(read("---", "", "Close the door.", "", "---"))[0][1] == "Close the door."


@pytest.mark.parametrize("mark", ["!!! note", '??? tip "Do not forget"', '=== "Debian"'])
def test_what_mkdocs_indents_is_read_as_if_it_were_not(read, mark):
    document = read(
        mark, "", "    Close the door:", "", "    ```sh", "    ls", "    ```", "", "Done."
    )
    (fence,) = [block for block in document.blocks if is_typed(block)]
    assert (fence.text, fence.line, fence.columns) == ("ls", 6, (4,))
    assert ("prose", "Close the door:", 3) in said(document)
    assert said(document)[-1] == ("text", "Done.", 9)


@pytest.mark.parametrize("mark", [":::note", "::: warning", ":::tip[Mind this]", "::simple-task"])
def test_a_container_between_colons_is_read_as_its_content(read, mark):
    document = read(mark, "Close the door.", mark[: mark.rindex(":") + 1])
    assert ("prose", "Close the door.", 2) in said(document)


def test_a_block_between_slashes_is_read_as_its_content(read):
    document = read("/// tab | Debian", "Close the door.", "///")
    assert said(document) == [("text", "Debian.", 1), ("prose", "Close the door.", 2)]


def test_a_components_own_data_is_not_read(read):
    document = read("::task", "---", "name: Run it", "---", "Close the door.", "::")
    assert said(document) == [("prose", "Close the door.", 5)]


def test_an_alert_is_read_as_its_text(read):
    assert said(read("> [!NOTE]", "> Close the door.")) == [("prose", "Close the door.", 2)]


def test_a_fence_that_says_that_it_is_run_ends_there(read):
    document = read("```", "ls", "```{{exec}}", "", "Close `ls -l`{{execute}} the door.")
    assert said(document) == [("command", "ls", 2), ("prose", "Close `ls -l` the door.", 5)]


def test_a_fence_that_says_that_it_is_run_is_typed_whatever_is_in_it(read):
    document = read("```plain", "frobnicate now", "```{{exec}}")
    assert said(document) == [("command", "frobnicate now", 2)]


def test_what_cannot_be_seen_here_is_known(read):
    text = ['--8<-- "x.md"', "", "{% include y.md %}", "", "{% include z.md %}"]
    assert read(*text).unknown == {"--8<--": 1, "{% include": 3}


def test_a_preformatted_block_of_html_is_a_fence(read):
    document = read("<pre>", "docker ps &amp;&amp; ls", "</pre>")
    assert said(document) == [("command", "docker ps && ls", 2)]
