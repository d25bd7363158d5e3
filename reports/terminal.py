"""Prints a score as a checklist, as a whole or step by step during a run.

A target's text goes through :func:`labwright.text.visible` and is never markup. If the output is
not a terminal, it is plain text and lines are not wrapped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from labwright.outcome import Outcome
from labwright.reports import behaviour_text, summary
from labwright.reports.pictures import picture
from labwright.reports.wording import between, number, plural
from labwright.text import excerpt, line

if TYPE_CHECKING:
    from rich.console import Console

    from labwright.lab.model import Lab
    from labwright.score import Score, StepResult

SENTENCE_LIMIT = 800
"""Maximum characters shown of a sentence that can quote the target."""
WIDEST = 100
"""Maximum columns for comfortable reading."""
TITLE_COLUMN = 22
"""The column at which titles and sentences begin."""
ERASE_LINE_ABOVE = Control((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.BROKEN: "bold yellow",
    Outcome.BLOCKED: "dim",
}


class Checklist:
    """A checklist that is printed while the steps are checked, grouped by part."""

    def __init__(self, console: Console, target: str) -> None:
        self._console = console
        self._target = target
        self._part: str | None = None
        self._step, self._steps = 0, 0
        self._waiting = False

    def begin(self, lab: Lab, steps: int) -> None:
        """Print the lab, the target and the number of steps."""
        self._head(lab.title, steps)
        self._steps = steps
        self._wait()

    def step(self, result: StepResult) -> None:
        """Print the result of a step, under the heading of its part."""
        self._wait_no_more()
        if result.part != self._part:
            self._part = result.part
            self._console.print()
            _print(self._console, Text(line(result.part), "bold"))
        _print(self._console, step_line(result), indent=TITLE_COLUMN)
        for word, sentence in summary.said(result):
            _verdict(self._console, word, sentence)
        for piece in result.evidence:
            drawn = picture(piece) if result.outcome is Outcome.FAILED else None
            if drawn:
                _verdict(self._console, drawn.kind, drawn.words)
            for row in behaviour_text.rows(piece.data, self._console.encoding):
                _print(self._console, Text(" " * 12 + row))
        self._wait()

    def end(self, score: Score) -> None:
        """Print the total, and whether it is a grade."""
        self._wait_no_more()
        self._console.print()
        took = between(score.started, score.finished)
        closing = Text(summary.total(score), "bold")
        closing.append(f": {summary.counts(score)}" + (f", in {took}" if took else ""), "not bold")
        _print(self._console, closing)
        if summary.not_a_grade(score):
            _print(self._console, Text(summary.not_a_grade(score), "bold yellow"))

    def _wait(self) -> None:
        """On a terminal, show the step that is being checked, on a line that is erased later."""
        self._step += 1
        if self._console.is_terminal and self._step <= self._steps:
            waiting = Text(f"  \u2026 step {self._step} of {self._steps}", "dim")
            _print(self._console, waiting)
            self._waiting = True

    def _wait_no_more(self) -> None:
        if self._waiting:
            self._console.control(ERASE_LINE_ABOVE)
            self._waiting = False

    def _head(self, title: str, steps: int) -> None:
        _print(self._console, Text(line(title), "bold"))
        _print(self._console, Text(f"{line(self._target)}, {plural(steps, 'step')}", "dim"))


def render(score: Score, console: Console) -> None:
    """Print the whole checklist."""
    checklist = Checklist(console, score.target)
    checklist._head(score.title, len(score.steps))
    for step in score.steps:
        checklist.step(step)
    checklist.end(score)


def step_line(step: StepResult) -> Text:
    """Return one line: symbol, outcome, points and title."""
    style = STYLES[step.outcome]
    points = f"{number(step.points):>3}/{number(step.max_points)}"
    text = Text("  ").append(f"{summary.SYMBOLS[step.outcome]} {step.outcome:<8}", style)
    return text.append(f"{points:<8}").append("  ").append(line(step.title))


def _verdict(console: Console, word: str, sentence: str) -> None:
    text = Text(" " * 12).append(f"{word:<10}", "dim")
    text.append_text(_code(excerpt(sentence, SENTENCE_LIMIT).replace("\n", " ")))
    _print(console, text, indent=TITLE_COLUMN)


def _code(sentence: str) -> Text:
    """Return a sentence in which text between backticks is styled as code."""
    text = Text()
    for place, piece in enumerate(re.split(r"(`[^`\n]+`)", sentence)):
        text.append(piece, "bold" if place % 2 else "")
    return text


def _print(console: Console, text: Text, indent: int = 0) -> None:
    """Print a line; on a terminal, wrap it and indent the rest."""
    text = _encodable(text, console)
    if not console.is_terminal:
        console.print(text, soft_wrap=True, highlight=False)
        return
    width = max(min(console.width, WIDEST) - indent, 20)
    first, rest = text.divide([indent]) if indent else (Text(), text)
    for row, folded in enumerate(rest.wrap(console, width)):
        folded.rstrip()
        begin = first if row == 0 else Text(" " * indent)
        console.print(Text.assemble(begin, folded), soft_wrap=True, highlight=False)


def _encodable(text: Text, console: Console) -> Text:
    """Return the text with characters escaped that the console cannot print."""
    plain = text.plain.encode(console.encoding, "backslashreplace").decode(console.encoding)
    return text if plain == text.plain else Text(plain)
