"""Shows the progress of a class: live on a terminal, otherwise one line for each student.

Only ids are shown unless names are asked for, since logs are kept and passed on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from labwright.reports.wording import duration, number, plural
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

    from labwright.batch.task import Examined

MOST_SHOWN = 12
"""The most running students that are shown; the rest are counted."""
LAST_SHOWN = 6


class ClassView:
    """The progress of a class on a console."""

    def __init__(self, console: Console, workers: int, names: Mapping[str, str]) -> None:
        """Prepare the view.

        :param names: the students' names by id, if they may be shown.
        """
        self._console = console
        self._workers = workers
        self._names = names
        self._live: Live | None = None
        self._running: dict[str, float] = {}
        self._last: list[Text] = []
        self._total = self._done = 0
        self._counts = {"graded": 0, "not graded": 0, "unreachable": 0}
        self._began = time.monotonic()
        self._head = ""
        self.note = ""
        """Another line to show, such as that the grading is stopping."""

    def __enter__(self) -> ClassView:
        """Start the display."""
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._drawn, console=self._console, refresh_per_second=4
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the display."""
        if self._live:
            self._live.stop()

    def round(self, students: int, attempt: int) -> None:
        """A round begins, in which this many students are graded."""
        self._total, self._done, self._running = students, 0, {}
        self._began = time.monotonic()
        again = "" if attempt == 1 else " once more"
        at_once = f", {min(self._workers, students)} at once" if self._workers else ""
        self._head = f"grading {plural(students, 'student')}{again}{at_once}"
        if attempt > 1:
            self._counts["not graded"] = self._counts["unreachable"] = 0
        self.say(self._head)

    def started(self, id: str) -> None:
        """The grading of a student has started."""
        self._running[id] = time.monotonic()

    def ended(self, examined: Examined) -> None:
        """The grading of a student has ended."""
        self._running.pop(examined.id, None)
        self._done += 1
        ok = examined.graded or (examined.score is None and not examined.problem)
        what = "graded" if ok else ("not graded" if examined.reached else "unreachable")
        self._counts[what] += 1
        place = f"{self._done:>{len(str(self._total))}}/{self._total}  "
        text = Text(place, no_wrap=True, overflow="ellipsis")
        text.stylize("dim", 0, len(place))
        text.append(f"{self._shown(examined.id)}  ", "bold")
        text.append(*self._verdict(examined))
        if self._live:
            self._last = [*self._last, text][-LAST_SHOWN:]
        else:
            self._console.print(text, soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line."""
        self.note = text
        if not self._live:
            self._console.print(Text(text), soft_wrap=True, highlight=False)

    def _shown(self, id: str) -> str:
        name = self._names.get(id)
        return f"{id} ({line(name, 40)})" if name else id

    def _verdict(self, examined: Examined) -> tuple[str, str]:
        if examined.graded and examined.score:
            points = f"{number(examined.score.points)} of {number(examined.score.max_points)}"
            full = examined.score.points == examined.score.max_points
            return f"{points} in {duration(examined.seconds)}", "green" if full else ""
        if not examined.problem:
            return "can be reached", "green"
        return line(examined.problem, 200), "yellow"

    def _drawn(self) -> RenderableType:
        counts = Text("  ".join(f"{count} {what}" for what, count in self._counts.items()))
        counts.append(f"  {len(self._running)} being graded", "bold")
        counts.append(f"  {self._estimate()}", "dim")
        now = time.monotonic()
        table = Table.grid(padding=(0, 2))
        for id, began in list(self._running.items())[:MOST_SHOWN]:
            table.add_row(
                Text("\u2026", "dim"), Text(self._shown(id)), Text(duration(now - began), "dim")
            )
        if len(self._running) > MOST_SHOWN:
            table.add_row("", Text(f"and {len(self._running) - MOST_SHOWN} more", "dim"))
        bar = Table.grid()  # a progress bar alone does not end its line
        bar.add_row(ProgressBar(total=max(self._total, 1), completed=self._done, width=60))
        head = Text(self.note or self._head, "bold")
        return Group(head, bar, counts, table, *self._last)

    def _estimate(self) -> str:
        """Return about how long the rest will take, from the students that are done."""
        if not self._done or self._done == self._total:
            return ""
        each = (time.monotonic() - self._began) / self._done
        return f"about {duration(max(each * (self._total - self._done), 1.0))} to go"
