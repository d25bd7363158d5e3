"""Runs a step's check and turns what comes of it into an outcome. Fails closed.

A check is a generator function in :mod:`labwright.checks`: it yields the evidence as it
finds it, and raises :class:`CheckFailed` when the claim does not hold. Its parameters
are witnesses (``machine``, ``kernel``, ...) and, after ``*``, values of the lab.
"""

from __future__ import annotations

import importlib
import inspect
import re
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labwright.errors import CheckFailed, DefinitionError, LabwrightError
from labwright.lab import check_loader
from labwright.outcome import Evidence, Outcome
from labwright.score import StepResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from labwright.lab.model import Lab, Step

    Check = Callable[..., Iterator[Evidence]]


HINTS = ("none", "short", "full")
"""How much of a hint can be given away."""


@dataclass(frozen=True)
class Bound:
    """A step's check with its values; the witnesses are still to be given."""

    check: Check
    values: dict[str, Any]
    witnesses: tuple[str, ...]


def bind(lab: Lab, step: Step, values: Mapping[str, Any]) -> Bound:
    """Find a step's check and the values for its parameters.

    :raises DefinitionError: there is no such check, or a value is missing or too many.
    """
    module_name, _, name = step.check.partition(".")
    where = lab.folder / "lab.toml"
    line = _line_of(where, f'check = "{step.check}"')
    try:
        if module_name == check_loader.MODULE:
            module = check_loader.load(lab.folder)
        else:
            module = importlib.import_module(f"labwright.checks.{module_name}")
        check = getattr(module, name)
        parameters = inspect.signature(check).parameters.values()
    except (ModuleNotFoundError, AttributeError, TypeError):
        raise DefinitionError(
            where,
            line,
            f"step {step.id!r}: there is no check {step.check!r}, neither among labwright's nor "
            "in a checks.py beside lab.toml (as 'checks.function')",
        ) from None
    wanted = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    offered = {**values, **step.arguments}
    for key in step.arguments:
        if key not in wanted:
            raise DefinitionError(
                where, line, f"step {step.id!r}: the check {step.check} takes no {key!r}"
            )
    for key in wanted:
        if key not in offered:
            raise DefinitionError(
                where, line, f"step {step.id!r}: the check {step.check} wants a value for {key!r}"
            )
    witnesses = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    return Bound(check, {key: offered[key] for key in wanted}, witnesses)


def _line_of(path: Path, text: str) -> int:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text in line:
            return number
    return 1


class NoEvidence(LabwrightError):  # noqa: N818
    """A check ended well without having seen anything: a defect of the check."""


def examine(bound: Bound, witnesses: Mapping[str, Any], seen: list[Evidence]) -> None:
    """Run a check, adding its evidence to ``seen`` as it comes.

    :raises CheckFailed: the claim does not hold.
    :raises NoEvidence: the claim is said to hold, and nothing was seen.
    """
    for evidence in bound.check(**witnesses, **bound.values):
        seen.append(evidence)
    if not seen:
        raise NoEvidence(f"the check {bound.check.__name__} passed without evidence")


def pending(step: Step, document: str) -> StepResult:
    """Return the result of a step of which nothing is known yet."""
    return StepResult(
        id=step.id,
        title=step.title,
        part=step.part,
        points=0,
        max_points=step.points,
        outcome=Outcome.BROKEN,
        needs=step.needs,
        reason="the run ended before it was examined",
        expected="",
        actual="",
        hint="",
        evidence=(),
        duration_s=0.0,
        file=document,
        line=step.line,
    )


def passed(result: StepResult, seen: list[Evidence]) -> StepResult:
    """The claim holds."""
    return replace(
        result,
        outcome=Outcome.PASSED,
        points=result.max_points,
        reason="",
        evidence=tuple(seen),
    )


def held_back(hint: str, level: str) -> str:
    """Return what of a hint is given away: all, its first sentence, or nothing."""
    if level == "short":
        first = re.match(r".*?[.?!](?=\s+[A-Z`]|$)", hint, re.DOTALL)
        return first[0] if first else hint
    return hint if level == "full" else ""


def failed(result: StepResult, failure: CheckFailed, seen: list[Evidence], hint: str) -> StepResult:
    """The claim does not hold: the student's doing."""
    return replace(
        result,
        outcome=Outcome.FAILED,
        reason=f"expected {failure.expected}, but {failure.actual}",
        expected=failure.expected,
        actual=failure.actual,
        hint=hint,
        evidence=(*seen, *failure.evidence),
    )


def same_cause(
    result: StepResult, failure: CheckFailed, seen: list[Evidence], first: str
) -> StepResult:
    """The claim does not hold, for a cause that another step is charged with already."""
    return replace(
        result,
        outcome=Outcome.BLOCKED,
        reason=f"it does not hold for the same cause as {first}: {failure.actual}",
        evidence=(*seen, *failure.evidence),
    )


def blocked(result: StepResult, needs: list[str]) -> StepResult:
    """Steps that this one needs did not pass."""
    return replace(
        result, outcome=Outcome.BLOCKED, reason=f"it needs {' and '.join(needs)}, not passed"
    )


def broken(result: StepResult, problem: BaseException, seen: list[Evidence]) -> StepResult:
    """Our fault or the network's."""
    if isinstance(problem, LabwrightError):
        return replace(result, outcome=Outcome.BROKEN, reason=str(problem), evidence=tuple(seen))
    trace = "".join(traceback.format_exception(problem))[-4000:]
    return replace(
        result,
        outcome=Outcome.BROKEN,
        reason=f"labwright itself failed: {type(problem).__name__}: {str(problem)[:300]}",
        evidence=(*seen, Evidence("where labwright failed", "", trace)),
    )
