"""The findings of the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One problem in a document: the place, the reason and what to do."""

    path: Path
    line: int
    """Counted from 1, like the column."""
    column: int
    rule: str
    """``stage/name``: ``lint/undefined-variable``."""
    message: str
    """A sentence without a full stop at the end."""
    why: str = ""
    """Why it matters to a person who follows the document."""
    suggestion: str = ""
    details: str = ""
    """Lines that show the problem: a difference, or a command's output."""

    @property
    def stage(self) -> str:
        """The stage of the gate that found it."""
        return self.rule.partition("/")[0]
