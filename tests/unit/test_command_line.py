"""Each command is loaded only when it runs, and is told of in one way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labwright.cli import COMMANDS, parser_for

LOADED = "import sys; from labwright.cli import parser_for; parser_for([]); print(*sys.modules)"


def help_of(parser):
    """Return what a parser's list of commands says of each."""
    (group,) = (a for a in parser._actions if hasattr(a, "choices") and a.metavar == "COMMAND")
    return {action.dest: action.help for action in group._choices_actions}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_told_of_alike_wherever_it_is_listed(command):
    listed = help_of(parser_for([command]))
    assert set(listed) == set(COMMANDS)
    assert listed[command] == COMMANDS[command][1]


def test_the_list_of_commands_needs_none_of_them():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    loaded = done.stdout.split()
    heavy = {"pytest", "docker", "rich", "markdown_it", "tree_sitter", "msgspec"}
    assert not heavy & set(loaded)
    assert [name for name in loaded if name.startswith("labwright.cli")] == ["labwright.cli"]
