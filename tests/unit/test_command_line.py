"""Each command is loaded only when it runs, and is told of in one way."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from labwright.cli import COMMANDS, parser_for

LOADED = "import sys; from labwright.cli import parser_for; parser_for([]); print(*sys.modules)"


def help_of(parser, monkeypatch):
    """Return what a parser's help says of each command, a line each."""
    monkeypatch.setenv("COLUMNS", "1000")
    rows = re.findall(r"^    (\S+)\s+(\S.*)$", parser.format_help(), re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_told_of_alike_wherever_it_is_listed(command, monkeypatch):
    listed = help_of(parser_for([command]), monkeypatch)
    assert set(listed) == set(COMMANDS)
    assert listed[command] == COMMANDS[command][1]


def test_the_list_of_commands_needs_none_of_them():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    loaded = done.stdout.split()
    heavy = {"pytest", "docker", "rich", "markdown_it", "tree_sitter", "msgspec"}
    assert not heavy & set(loaded)
    assert [name for name in loaded if name.startswith("labwright.cli")] == ["labwright.cli"]
