"""Renders the results of a lab's known mistakes as a matrix of mistakes and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from labwright.outcome import Outcome
from labwright.reports import html as pages
from labwright.reports.summary import SYMBOLS
from labwright.reports.terminal import STYLES
from labwright.reports.wording import plural
from labwright.text import line

if TYPE_CHECKING:
    from rich.console import Console

    from labwright.grading.mistakes import Matrix


def render(matrix: Matrix, console: Console) -> None:
    """Print the matrix and the findings."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("mistake")
    for number in range(1, len(matrix.steps) + 1):
        table.add_column(str(number), justify="right")
    table.add_column("", justify="left")
    for trial in matrix.trials:
        cells = [_cell(trial.outcomes.get(step)) for step in matrix.steps]
        verdict = "" if not trial.deviations else Text("not as expected", "bold red")
        name = f"{trial.mistake.id} (right)" if trial.mistake.right else trial.mistake.id
        table.add_row(name, *cells, verdict)
    console.print(table)
    for number, step in enumerate(matrix.steps, 1):
        console.print(f"{number:>4}  {step}", highlight=False)
    for sentence in findings(matrix):
        console.print(Text(sentence, "bold red"), soft_wrap=True)
    console.print(Text(summary(matrix), "bold"), soft_wrap=True)


def _cell(outcome: Outcome | None) -> Text:
    if outcome is None:
        return Text("?", "bold red")
    symbol = "\u00b7" if outcome is Outcome.PASSED else SYMBOLS[outcome]
    return Text(symbol, STYLES[outcome])


def findings(matrix: Matrix) -> list[str]:
    """Return a sentence for each reason why the checks cannot be trusted."""
    found = [f"{trial.mistake.id}: {line(d)}" for trial in matrix.trials for d in trial.deviations]
    found += [f"{id} survives: no step notices it" for id in matrix.survivors]
    found += [f"{id}: no mistake fails this step" for id in matrix.idle]
    return found


def summary(matrix: Matrix) -> str:
    """Return a summary in one sentence."""
    took = sum(trial.duration_s for trial in matrix.trials) / max(1, len(matrix.trials))
    wrong = len(matrix.deviating)
    return (
        f"{plural(len(matrix.trials), 'trial')}, {took:.1f} s each: "
        f"{len(matrix.trials) - wrong} as expected, {wrong} not; "
        f"{plural(len(matrix.survivors), 'survivor')}, "
        f"{plural(len(matrix.idle), 'step')} that no mistake fails"
    )


def html(matrix: Matrix) -> str:
    """Return the matrix as one self-contained HTML page."""
    style = pages.source("report.css") + pages.source("matrix.css")
    return pages.template("matrix.html").render(
        matrix=matrix,
        symbols={outcome.value: symbol for outcome, symbol in SYMBOLS.items()},
        findings=findings(matrix),
        summary=summary(matrix),
        style=Markup(style),  # noqa: S704  our own file
        policy=pages.policy(style, ""),
    )
