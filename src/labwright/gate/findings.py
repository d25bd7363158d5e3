"""What a stage of the gate has to say about a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, where it stands, and what to do about it."""

    path: Path
    line: int
    """Counted from 1, as the column is."""
    column: int
    rule: str
    """``stage/name``: ``lint/undefined-variable``."""
    message: str
    """A sentence, without a stop at its end."""
    why: str = ""
    """Why it matters to a person who follows the document."""
    suggestion: str = ""
    details: str = ""
    """Lines that show it: a difference, a command's output."""

    @property
    def stage(self) -> str:
        """The stage of the gate that found it."""
        return self.rule.partition("/")[0]
