"""``lab.lock``: the content of a document when it was last reviewed with its definition.

The file contains the words of each instruction, so that people can review what
``labwright gate --update`` has changed.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from labwright.errors import DefinitionError
from labwright.host.files import write_text
from labwright.lab.instructions import Piece

if TYPE_CHECKING:
    from pathlib import Path

NAME = "lab.lock"
HEAD = """\
# What the document said when it was last reviewed, written by `labwright gate --update`.
# A document that says something else does not pass the gate. Review what changes here.
"""


def read(path: Path) -> list[Piece] | None:
    """Return the locked pieces, in order; None if there is no lock.

    :raises DefinitionError: the file is not a lock, or was changed by hand.
    """
    if not path.exists():
        return None
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise DefinitionError(path, 1, f"not a lock: {problem}; {_MEND}") from None
    found = []
    for number, raw in enumerate(body.get("said", []), 1):
        try:
            piece = Piece(raw["kind"], raw["step"], "\n".join(raw["text"]))
            intact = raw["hash"] == piece.key
        except (KeyError, TypeError):
            intact = False
        if not intact:
            raise DefinitionError(path, 1, f"entry {number} was changed by hand; {_MEND}")
        found.append(piece)
    return found


_MEND = "write it again with `labwright gate --update`, and review the whole document"


def write(path: Path, said: list[Piece]) -> None:
    """Write a lock atomically."""
    parts = [HEAD]
    for piece in said:
        lines = "".join(f"    {_string(line)},\n" for line in piece.text.split("\n"))
        parts.append(
            f"\n[[said]]\nkind = {_string(piece.kind)}\nstep = {_string(piece.step)}\n"
            f'hash = "{piece.key}"\ntext = [\n{lines}]\n'
        )
    write_text(path, "".join(parts))


def _string(text: str) -> str:
    """Return a TOML string: a JSON string, with DEL escaped as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
