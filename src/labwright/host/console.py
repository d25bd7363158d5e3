"""The console of all commands: it neutralises foreign text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich.console
from rich.segment import Segment

from labwright.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions, RenderableType


class Console(rich.console.Console):
    """Spells out what is invisible in whatever it is given: rich lets escape sequences through.

    A file's name, a roster's cell and a machine's answer can hold them. Colours and movements of
    the cursor that a command asks for itself are no text, and stay.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments with invisible characters escaped."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else visible(segment.text)
            yield Segment(shown, segment.style, segment.control)
