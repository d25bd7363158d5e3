"""A request to stop a grading. Workers are processes, so it is passed on through files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Stop:
    """A stop request in two stages: finish the running students, or abandon them, too."""

    def __init__(self, folder: Path) -> None:
        """Share the request through a folder that all workers on this computer can read."""
        self.folder = folder
        self.reason = ""

    @property
    def finishing(self) -> bool:
        """Whether no more students may be started."""
        return self.abandoned or (self.folder / "finish").exists()

    @property
    def abandoned(self) -> bool:
        """Whether the running students are abandoned as well."""
        return (self.folder / "abandon").exists()

    def finish(self, reason: str) -> None:
        """Start no more students."""
        self.reason = self.reason or reason
        (self.folder / "finish").touch()

    def abandon(self, reason: str) -> None:
        """Stop everything now."""
        self.reason = self.reason or reason
        (self.folder / "abandon").touch()
