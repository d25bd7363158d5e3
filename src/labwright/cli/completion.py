"""``labwright completion``: prints a script that lets a shell complete labwright's commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
Write the script to the folder that your shell reads:

  bash  labwright completion bash >~/.local/share/bash-completion/completions/labwright
  zsh   labwright completion zsh >~/.zfunc/_labwright      (with fpath+=~/.zfunc in ~/.zshrc)
  fish  labwright completion fish >~/.config/fish/completions/labwright.fish

Repeat this after an update of labwright.
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``completion``."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from labwright.cli import whole_parser

    parser = whole_parser()
    for action in _actions(parser):
        if action.type is Path:
            folder = action.metavar == "DIR"
            # shtab reads this attribute of an action.
            action.complete = shtab.DIRECTORY if folder else shtab.FILE  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield all arguments and options of a parser and of its commands."""
    # argparse has no public list of actions; shtab reads the same private one.
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
