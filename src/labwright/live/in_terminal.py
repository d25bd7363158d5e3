"""``labwright check --watch``: a checklist in the terminal that follows the machine."""

from __future__ import annotations

import contextlib
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.text import Text

from labwright.errors import LabwrightError
from labwright.grading.watch import Examining, MachineBack, MachineGone, StepChanged
from labwright.live.following import watch
from labwright.live.state import State, changing_note
from labwright.outcome import Outcome
from labwright.reports import behaviour_text, summary
from labwright.reports.terminal import STYLES
from labwright.reports.wording import number
from labwright.text import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from labwright.grading.run import Run
    from labwright.grading.watch import Event, Watch
    from labwright.lab.model import Lab
    from labwright.machines.machine import Machine
    from labwright.score import Score

SENTENCE_LIMIT = 400
INDENT = 15
"""Columns of indentation before a sentence of a verdict."""


class Layout(NamedTuple):
    """The size of the checklist."""

    blank_lines: bool
    headings: bool
    lines: int
    """Maximum lines of each sentence of a verdict."""


LAYOUTS = (
    Layout(blank_lines=True, headings=True, lines=4),
    Layout(blank_lines=False, headings=True, lines=4),
    Layout(blank_lines=False, headings=True, lines=2),
    Layout(blank_lines=False, headings=False, lines=2),
    Layout(blank_lines=False, headings=False, lines=1),
)
"""From the largest to the smallest; the first that fits is used."""
JOIN_S = 15.0
"""Seconds that a stopped watch has to close its connection."""


def follow(
    run: Run,
    console: Console,
    connect: Callable[[], Machine] | None = None,
) -> Score:
    """Follow a machine until Ctrl-C, and return the score as far as it is known.

    :raises LabwrightError: the steps could not be checked at all.
    """
    view = View(run.lab, run.target, console)
    followed = watch(run, view.handle, connect)
    view.sends_traffic = bool(followed.sends_traffic)
    problem: list[LabwrightError] = []

    def watching() -> None:
        try:
            followed.follow()
        except LabwrightError as raised:
            problem.append(raised)
        finally:
            view.ended.set()

    thread = threading.Thread(target=watching, name="watch", daemon=True)
    try:
        with view, keys() as pressed:
            thread.start()
            while not view.ended.wait(0.1):
                _carry_out(pressed(), followed)
    except KeyboardInterrupt:
        pass
    finally:
        followed.stop()
        thread.join(JOIN_S)
    if problem:
        raise problem[0]
    return followed.score()


def _carry_out(key: str, followed: Watch) -> None:
    if key in ("t", "T"):
        followed.send_traffic()
    elif key in ("r", "R"):
        followed.examine()
    elif key in ("q", "Q", "\x03"):
        raise KeyboardInterrupt


@contextlib.contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Read single keys from a terminal; yield a function that returns the next key or ""."""
    if not sys.stdin.isatty():
        yield lambda: ""
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda: sys.stdin.read(1) if select.select([number], [], [], 0)[0] else ""
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


class View:
    """Shows the checklist on a terminal, or a line for each event if there is no terminal."""

    def __init__(self, lab: Lab, target: str, console: Console) -> None:
        self.state = State(lab)
        self.ended = threading.Event()
        self.sends_traffic = True
        self._target, self._console = target, console
        self._live = Live(console=console, get_renderable=self.render, auto_refresh=False)

    def __enter__(self) -> View:
        """Start the display."""
        if self._console.is_terminal:
            self._live.start()
        else:
            self._print(Text(f"{self.state.lab.title}, {line(self._target)}: watching"))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last checklist on the terminal."""
        if self._console.is_terminal:
            self._live.stop()

    def handle(self, event: Event) -> None:
        """Show an event."""
        self.state.handle(event)
        if self._console.is_terminal:
            self._live.refresh()
        elif (said := _said(event)) is not None:
            self._print(Text(f"{time.strftime('%H:%M:%S')}  ").append_text(said))

    def render(self) -> Group:
        """Return the checklist."""
        closing = [Text(), self._total(), self._status()]
        # Lines that have scrolled away cannot be redrawn, so the checklist must fit the screen.
        room = self._console.height - len(closing) - 1
        for layout in LAYOUTS:
            rows, at = self._rows(layout)
            if len(rows) <= room:
                break
        else:
            begin = max(0, min(at - room // 2, len(rows) - room))
            rows = rows[begin : begin + max(room, 1)]
        picture = self._picture()
        if len(rows) + len(picture) < room:
            rows += picture
        rows += closing
        for row in rows:
            row.no_wrap, row.overflow = True, "ellipsis"
        return Group(*rows)

    def _rows(self, layout: Layout) -> tuple[list[Text], int]:
        """Return the checklist's rows, and the index of the row of the next step."""
        state, rows, part, at = self.state, [Text(line(self.state.lab.title), "bold")], "", 0
        for step in state.lab.steps:
            if step.part != part and layout.headings:
                part = step.part
                rows += [Text()] if layout.blank_lines else []
                rows.append(Text(line(part), "bold"))
            if step.id == state.next:
                at = len(rows)
            rows += self._step(step.id, layout.lines)
        return rows, at

    def _picture(self) -> list[Text]:
        """Return a chart of the evidence over time, as rows of text."""
        evidence = [
            piece
            for state in self.state.steps.values()
            if state.result
            for piece in state.result.evidence
        ]
        encoding = self._console.encoding
        drawn = [row for piece in evidence for row in behaviour_text.rows(piece.data, encoding)]
        return [Text(), *(Text("  " + row) for row in drawn)] if drawn else []

    def _step(self, id: str, lines: int) -> list[Text]:
        state, step = self.state.steps[id], self.state.lab.step(id)
        mark = "\u25b6 " if id == self.state.next else "  "
        outcome = state.outcome
        known = state.result if not state.changing else None
        style = STYLES[known.outcome] if known else "cyan" if state.changing else "dim"
        symbol = summary.SYMBOLS[known.outcome] if known else "\u00b7"
        points = state.result.points if state.result else 0
        row = Text().append(mark, "bold").append(f"{symbol} {outcome:<8}", style)
        row.append(f"{number(points):>3}/{number(step.points):<4} ").append(line(step.title))
        rows = [row]
        if state.unsettled:
            rows.append(Text(f"      now: {line(state.unsettled, SENTENCE_LIMIT)}", "yellow"))
        if state.changing:
            rows.append(Text(f"      now: {changing_note(step.wait_s)}", "cyan"))
        # Details are shown only for the next step.
        failed = state.result and state.result.outcome in (Outcome.FAILED, Outcome.BROKEN)
        if failed and state.result and id == self.state.next:
            for word, sentence in summary.verdict(state.result):
                rows += self._said(word, line(sentence, SENTENCE_LIMIT), lines)
        return rows

    def _said(self, word: str, sentence: str, lines: int) -> list[Text]:
        """Return a sentence of a verdict in at most this many rows."""
        width = max(self._console.width - INDENT, 20)
        wrapped = list(Text(sentence).wrap(self._console, width))
        kept = wrapped[: lines - 1]
        left = " ".join(piece.plain for piece in wrapped[lines - 1 :])
        pieces = [piece.plain for piece in kept] + ([left] if left else [])
        words = [word, *[""] * (len(pieces) - 1)]
        return [
            Text(f"      {first:<{INDENT - 6}}", "dim").append(piece)
            for first, piece in zip(words, pieces, strict=True)
        ]

    def _total(self) -> Text:
        state = self.state
        said = f"{number(state.points)} of {number(state.max_points)} points, "
        return Text(said + f"{state.passed} of {len(state.steps)} steps", "bold")

    def _status(self) -> Text:
        state = self.state
        where = line(self._target)
        if state.gone:
            return Text(f"{where} is gone: {line(state.gone, SENTENCE_LIMIT)}", "bold yellow")
        if state.busy and state.busy.traffic:
            return Text(f"{where}: sending traffic, {state.busy.why}", "cyan")
        keys = "r checks again, Ctrl-C ends"
        if self.sends_traffic:
            keys = f"t sends traffic, {keys}"
        return Text(f"watching {where}: {keys}", "dim")

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _said(event: Event) -> Text | None:
    """Return an event as a line, or None if it is not shown."""
    if isinstance(event, StepChanged):
        result = event.result
        said = f"{'changing' if event.changing else result.outcome:<9}{result.id}"
        why = event.unsettled or (result.reason if result.outcome is not Outcome.PASSED else "")
        return Text(said + (f": {line(why, SENTENCE_LIMIT)}" if why else ""))
    if isinstance(event, Examining) and event.traffic:
        return Text(f"sending traffic, {event.why}")
    if isinstance(event, MachineGone):
        return Text(f"the machine is gone: {line(event.reason, SENTENCE_LIMIT)}")
    return Text("the machine is back") if isinstance(event, MachineBack) else None
