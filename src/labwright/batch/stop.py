"""How far a grading is asked to stop. Workers are processes: a file says it to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Stop:
    """Begins as nothing; first no more students are begun, then all is abandoned."""

    def __init__(self, folder: Path) -> None:
        """Share it by a folder that all workers of this computer see."""
        self.folder = folder
        self.reason = ""

    @property
    def finishing(self) -> bool:
        """Whether no more students are to be begun."""
        return self.abandoned or (self.folder / "finish").exists()

    @property
    def abandoned(self) -> bool:
        """Whether those that are being graded are to be abandoned."""
        return (self.folder / "abandon").exists()

    def finish(self, reason: str) -> None:
        """Begin no more students."""
        self.reason = self.reason or reason
        (self.folder / "finish").touch()

    def abandon(self, reason: str) -> None:
        """End everything now."""
        self.reason = self.reason or reason
        (self.folder / "abandon").touch()
