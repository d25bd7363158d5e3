"""``labwright regrade DIR``: judges a whole class again from its records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from labwright.batch import grade_rule, judge_class, outputs, pool
from labwright.batch.folder import Folder
from labwright.batch.gradebook_platforms import Assignment
from labwright.batch.grading import Grading
from labwright.batch.view import ClassView
from labwright.cli.grade import INTERRUPTED, show, stopping
from labwright.errors import UsageError
from labwright.host.console import Console
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.reports.wording import plural

if TYPE_CHECKING:
    import argparse

    from labwright.batch.stop import Stop
    from labwright.grading.run import RunOptions


def run(arguments: argparse.Namespace) -> int:
    """Judge a class again; see ``labwright regrade --help``."""
    for option in ("out", "json", "summary", "student", "secret_file"):
        if getattr(arguments, option):
            raise UsageError(
                f"{arguments.score} is a class's folder: --{option.replace('_', '-')} works only "
                "for one score; --apply saves the changes in the folder"
            )
    folder = Folder(arguments.score)
    students = folder.roster()
    begun = folder.journal.begun
    if begun is None:
        raise UsageError(f"{folder.path}: the beginning of its journal is missing")
    lab = load_lab(find_lab(arguments.lab or begun.lab))
    lab.values_with(arguments.set)
    console = Console(stderr=True)
    options = _options(begun.options, arguments)
    grades = grade_rule.load(arguments.rule)
    grading = Grading(students, lab, folder, options, 0, begun.variants)
    with folder.locked():
        grading.remember()
        grade_rule.keep(folder, arguments.rule, resume=True)
        view = ClassView(console, 0, {})

        def spread(groups: Any, stop: Stop, listener: Any) -> None:
            pool.spread(groups, 0, stop, folder.workers_lock, listener)

        # Each record is judged by the steps that it contains.
        judging = replace(options, part=None, steps=())
        with stopping(view) as stop:
            judged = judge_class.judge(grading, lab, judging, spread, stop, lambda _: None)
        if stop.reason:
            console.print("interrupted: nothing was changed")
            return INTERRUPTED
        changes = judge_class.changes(grading, judged)
        for said in [*map(str, changes), *judge_class.not_judged(judged)]:
            console.print(Text(f"  {said}"), soft_wrap=True, highlight=False)
        console.print(
            f"{plural(len(judged), 'attempt')} judged again; "
            f"{plural(len(changes), 'grade')} {'changes' if len(changes) == 1 else 'change'}"
        )
        if not arguments.apply:
            if any(each.changed for each in judged):
                console.print("nothing was saved: give --apply to save the changes")
            return 0
        judge_class.apply(grading, judged)
        show(console, outputs.write(grading, lab, folder, grades, (), Assignment.of(folder)))
    return 0


def _options(before: RunOptions, arguments: argparse.Namespace) -> RunOptions:
    """Return the options of the grading, replaced by those that are given now."""
    settings = {
        setting.partition("=")[0].strip(): setting for setting in (*before.settings, *arguments.set)
    }
    hints = before.hints if arguments.hints == "full" else arguments.hints
    return replace(before, settings=tuple(settings.values()), hints=hints)
