"""Finds the changes in a document since it was locked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.lab.instructions import Piece


@dataclass(frozen=True)
class Change:
    """One piece of the document that has changed."""

    kind: str
    """``new``, ``gone``, ``changed`` or ``moved``."""
    before: Piece | None
    after: Piece | None
    line: int
    """The line in the current document; for a removed piece, the line of the text after it."""

    @property
    def piece(self) -> Piece:
        """The current piece, or the old one if it was removed."""
        found = self.after or self.before
        assert found  # noqa: S101  one of them is always there
        return found

    def difference(self) -> str:
        """Return the old (``-``) and new (``+``) lines, with context."""
        if self.kind == "moved":
            return f"  {self.piece.text}".replace("\n", "\n  ")
        old = self.before.text.split("\n") if self.before else []
        new = self.after.text.split("\n") if self.after else []
        lines = difflib.ndiff(old, new)
        return "\n".join(line for line in lines if not line.startswith("?"))


def changes(locked: Sequence[Piece], now: Sequence[Piece]) -> list[Change]:
    """Return all changes, in the document's order."""
    found = list(_differences(locked, now))
    came = {c.after.key: c for c in found if c.kind == "new" and c.after}
    went = {c.before.key: c for c in found if c.kind == "gone" and c.before}
    moved = came.keys() & went.keys()
    return [
        Change("moved", change.before, change.after, change.line)
        if change.after and change.after.key in moved
        else change
        for change in found
        if not (change.kind == "gone" and change.before and change.before.key in moved)
    ]


def _differences(locked: Sequence[Piece], now: Sequence[Piece]) -> Iterator[Change]:
    matcher = difflib.SequenceMatcher(
        None, [piece.key for piece in locked], [piece.key for piece in now], autojunk=False
    )
    end = now[-1].line if now else 1
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        old, new = list(locked[old_start:old_end]), list(now[new_start:new_end])
        following = now[new_end].line if new_end < len(now) else end
        for piece in new:
            before = _counterpart(piece, old, new)
            if before:
                old.remove(before)
                yield Change("changed", before, piece, _first_difference(before, piece))
            else:
                yield Change("new", None, piece, piece.line)
        for piece in old:
            yield Change("gone", piece, None, following)


def _counterpart(piece: Piece, old: Sequence[Piece], new: Sequence[Piece]) -> Piece | None:
    """Return the old version of a piece: the most similar one that is left."""
    keys = {other.key for other in new}
    if piece.key in {other.key for other in old}:
        return None  # the piece has moved
    best, likeness = None, 0.5
    for other in old:
        if other.key not in keys and (other.kind, other.step) == (piece.kind, piece.step):
            ratio = difflib.SequenceMatcher(None, other.text, piece.text, autojunk=False).ratio()
            if ratio > likeness:
                best, likeness = other, ratio
    return best


def _first_difference(before: Piece, after: Piece) -> int:
    """Return the document's line at which a changed piece first differs."""
    old, new = before.text.split("\n"), after.text.split("\n")
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return after.line + min(same, len(new) - 1)
