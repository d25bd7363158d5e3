"""The client's view in a terminal, redrawn while the load runs.

It is drawn by a thread of its own. The load's thread gets the interpreter back within
half a millisecond, so what people look at does not make requests late.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from labwright.components.workload.load import Load
    from labwright.components.workload.record import Record, Second

FRAMES_PER_S = 4
SWITCH_S = 0.0005
BARS = " ▁▂▃▄▅▆▇█"
HEIGHT = 5
"""Lines of the graph."""
NARROW = 60
"""Columns below which numbers stand one below the other."""


@contextlib.contextmanager
def live(console: Console, title: str, load: Load, record: Record) -> Iterator[None]:
    """Show a load until the end; what is left on the screen is the last of it."""
    from rich.live import Live

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    over = threading.Event()
    # Drawn once before the first request: what drawing imports would make that one late.
    first = picture(title, load, record, console.width)
    with Live(first, console=console, auto_refresh=False) as view:

        def draw() -> None:
            while not over.wait(1 / FRAMES_PER_S):
                view.update(picture(title, load, record, console.width), refresh=True)

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=1)  # it draws into this very terminal
            sys.setswitchinterval(before)
            view.update(picture(title, load, record, console.width), refresh=True)


def picture(title: str, load: Load, record: Record, width: int) -> RenderableType:
    """Draw what there is to see."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    seconds = record.seconds[-max(10, min(width, 120) - 12) :]
    numbers = Table.grid(padding=(0, 3))
    columns = (
        (Text("offered", style="dim"), Text(f"{load.request_rate:.1f}/s")),
        (Text("sent", style="dim"), Text(str(load.requests))),
        (Text("served", style="dim"), Text(str(load.served), style="green")),
        (
            Text("in flight", style="dim"),
            Text(str(load.in_flight), style="yellow" if load.in_flight > 10 else ""),
        ),
        (
            Text("errors", style="dim"),
            Text(str(load.errors), style="red" if load.errors else ""),
        ),
    )
    # Side by side where there is room, else one below the other.
    for row in zip(*columns, strict=True) if width >= NARROW else columns:
        numbers.add_row(*row)
    parts: list[RenderableType] = [numbers, Text(), *_graphs(seconds)]
    if last := next((row for row in reversed(seconds) if row.p50_ms is not None), None):
        parts += [Text(), Text(f"latency from the intended start, latest second: {_latency(last)}")]
    if load.last_error:
        parts.append(Text(f"last error: {load.last_error}", style="red"))
    return Panel(Group(*parts), title=Text(title), width=min(width, 120))


def _latency(row: Second) -> str:
    return f"p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms"


def _graphs(seconds: list[Second]) -> list[RenderableType]:
    """Draw sent and served by second, on one scale."""
    from rich.text import Text

    most = max((max(row.sent, row.served) for row in seconds), default=0) or 1
    drawn: list[RenderableType] = []
    for word, style, values in (
        ("sent", "cyan", [row.sent for row in seconds]),
        ("served", "green", [row.served for row in seconds]),
    ):
        labels = [f"{most:>6} ┤", *["       │"] * (HEIGHT - 1)]
        labels[HEIGHT // 2] = f"{word:>6} │"
        for label, line in zip(labels, bars(values, most, HEIGHT), strict=True):
            drawn.append(Text.assemble((label, "dim"), (line, style)))
        drawn.append(Text(" " * 7 + "└" + "─" * len(values), style="dim"))
    if len(seconds) > 1:
        first, last = f"{seconds[0].second} s", f"{seconds[-1].second} s"
        room = max(len(seconds), len(first) + 1 + len(last))
        drawn.append(Text(" " * 8 + first + last.rjust(room - len(first)), style="dim"))
    return drawn


def bars(values: list[int], most: int, height: int) -> list[str]:
    """Return a bar chart's lines, the top one first; a value above 0 is always seen."""
    eighths = [max(round(value / most * height * 8), 1 if value else 0) for value in values]
    return [
        "".join(BARS[min(8, max(0, one - level * 8))] for one in eighths)
        for level in reversed(range(height))
    ]
