"""Finds the commands for following a document, in order.

The gate types the document's own commands, and for the rest runs the commands of ``lab.toml``;
``labwright perform`` does the same without comparing output. Both use this module.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.lab.instructions import SESSIONS, is_typed, pieces
from labwright.lab.model import Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.lab.document import Block, Document
    from labwright.lab.instructions import Piece
    from labwright.lab.model import Code, Prose, Typing
    from labwright.lab.shell import Typed


@dataclass(frozen=True)
class Said:
    """A sentence that a ``[[prose]]`` covers, with its place."""

    prose: Prose
    step: str
    line: int


def spoken(document: Document, prose: Sequence[Prose]) -> list[Said]:
    """Return the covered sentences, in the document's order."""
    said = pieces(document)
    found = [Said(entry, p.step, p.line) for entry in prose for p in instructions(entry, said)]
    return sorted(found, key=lambda said: said.line)


def instructions(prose: Prose, said: Sequence[Piece]) -> list[Piece]:
    """Return the instructions in words that an entry covers, preferring those it quotes whole."""
    found = [p for p in said if p.kind in ("item", "prose") and prose.says in p.text]
    whole = [piece for piece in found if piece.text == prose.says]
    return whole or found


def code_of(block: Block, code: Sequence[Code]) -> Code | None:
    """Return what is said of a block that is not typed."""
    text = block.text.strip()
    return next((entry for entry in code if text.startswith(entry.begins)), None)


def doing(code: Code, block: Block) -> tuple[Command, ...]:
    """Return what does with a block as a reader of the document does."""
    if not code.file:
        return code.perform
    path, text = code.file, block.text.rstrip("\n") + "\n"
    quoted = f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
    script = (
        f"FILE={quoted} TEXT={shlex.quote(text)}\n"
        'mkdir -p "$(dirname "$FILE")" 2>/dev/null || sudo mkdir -p "$(dirname "$FILE")"\n'
        # As root where only root may: a reader is asked to open the file so.
        'printf %s "$TEXT" 2>/dev/null >"$FILE" || printf %s "$TEXT" | sudo tee "$FILE" >/dev/null'
    )
    return (Command(script),)


def typing_of(entry: Typed, typings: Sequence[Typing]) -> Typing | None:
    """Return how a command is typed that cannot be typed just as it stands."""
    step = entry.block.step
    return next((t for t in typings if t.step == step and entry.text.startswith(t.begins)), None)


def as_written(
    document: Document,
    prose: Sequence[Prose],
    typings: Sequence[Typing],
    code: Sequence[Code],
) -> dict[str, tuple[Command, ...]]:
    """Return the document's own commands for each step.

    What stands in one block is one command: what it keeps in a variable is used later. So is
    what stands in a step's sessions. A program that stays has a terminal of its own.
    """
    said = [entry for entry in spoken(document, prose) if entry.prose.perform]
    found: dict[str, list[Command]] = {}
    for block in document.blocks:
        commands = found.setdefault(block.step, [])
        end = block.line + len(block.columns)
        for entry in list(said):
            if entry.step == block.step and block.line <= entry.line < end:
                said.remove(entry)
                commands += entry.prose.perform
        if is_typed(block):
            commands += _typed(block, typings)
        elif block.kind == "fence" and (its := code_of(block, code)):
            commands += doing(its, block)
    sessions = {b.step for b in document.blocks if b.language in SESSIONS and is_typed(b)}
    return {
        step: _one_shell(commands) if step in sessions else tuple(commands)
        for step, commands in found.items()
        if commands
    }


def _one_shell(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Return commands with those as one that nothing else stands between."""
    found: list[Command] = []
    for command in commands:
        plain = command == Command(command.run)
        if plain and found and found[-1] == Command(found[-1].run):
            found[-1] = Command(f"{found[-1].run}\n{command.run}")
        else:
            found.append(command)
    return tuple(found)


def becomes_root(entry: Typed) -> bool:
    """Whether a command only opens a shell of root's, or leaves it again."""
    text = entry.text.strip()
    return bool(_ROOT_SHELL.fullmatch(text)) or (entry.root and text in ("exit", "logout"))


def _typed(block: Block, typings: Sequence[Typing]) -> Iterator[Command]:
    from labwright.lab.shell import typed_in  # a grammar to load, and rarely needed

    together: list[str] = []
    root = False
    for entry in typed_in(block):
        if becomes_root(entry):
            continue
        typing = typing_of(entry, typings)
        plain = typing is None or bool(typing.reason)
        if together and not (plain and entry.root == root):
            yield _as(root, together)
            together = []
        root = entry.root
        if plain:
            together.append(entry.text.strip("\n"))
        elif typing:
            terminal = "" if typing.interrupt_s else f"{block.step}-{entry.block.line}"
            run = _as(root, [entry.text.strip()]).run
            yield Command(run, terminal, typing.ready, typing.interrupt_s)
    if together:
        yield _as(root, together)


def _as(root: bool, texts: Sequence[str]) -> Command:
    text = "\n".join(texts)
    return Command(f"sudo -n -H bash -euc {shlex.quote(text)}" if root else text)


_ROOT_SHELL = re.compile(
    r"sudo\s+(?:-i|-s|--login|su(?:\s+-l?|\s+--login)?|(?:ba|z)?sh)|su(?:\s+-l?|\s+--login)?(?:\s+root)?"
)
_SHOWS = re.compile(
    r"\b(?:outputs?|prints?|printed|see|seen|shows?|shown|displays?|returns?|responds?|answers?|"
    r"looks? like|similar to|results?|example|e\.g|salida|resultado|sortie|ausgabe|uscita|saída)\b",
    re.IGNORECASE,
)
_OUTPUT = frozenset("text txt output plaintext plain log none console".split())
"""Languages of a block that shows what a command prints."""


def shows_output(document: Document, block: Block) -> bool:
    """Whether a block that is not typed shows what the command before it prints."""
    before = document.blocks[: document.blocks.index(block)]
    told = ""
    for earlier in reversed(before):
        if earlier.kind == "fence" and is_typed(earlier):
            return block.language in _OUTPUT or bool(_SHOWS.search(told))
        if earlier.kind != "paragraph" or earlier.step != block.step:
            return False
        told += f"{earlier.text}\n"
    return False
