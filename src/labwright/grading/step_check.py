"""Runs a step's check and turns the result into an outcome. An unexpected error is never a pass.

A check is a generator function in :mod:`labwright.checks`. It yields evidence as it finds it,
and raises :class:`CheckFailed` if the claim does not hold. Its parameters are witnesses
(``machine``, ``kernel``, ...) and, after ``*``, values of the lab.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from labwright.errors import CheckFailed, DefinitionError, LabwrightError
from labwright.lab import check_loader, claim_reader
from labwright.lab.toml_file import TomlFile
from labwright.outcome import Evidence, Notice, Outcome
from labwright.score import StepResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from labwright.lab.model import Lab, Step

    Check = Callable[..., Iterator[Evidence | Notice]]


PAUSE_S = 1.0
"""Seconds before the first repetition of a check; each later pause is longer by this."""
LONGEST_PAUSE_S = 5.0
HINTS = ("none", "short", "full")
"""How much of a hint can be shown."""


@dataclass(frozen=True)
class Bound:
    """A step's check with its values, ready to be called with witnesses."""

    check: Check
    values: dict[str, Any]
    witnesses: tuple[str, ...]


def bind(lab: Lab, step: Step, values: Mapping[str, Any], *, reached: bool = False) -> Bound:
    """Find a step's check and the values for its parameters.

    :param reached: the document has just reached this step; no later step has undone it.
    :raises DefinitionError: there is no such check, or a value is missing or unknown.
    """
    if step.claims:
        claims = claim_reader.read(TomlFile.read(lab.folder / "lab.toml"), step, values)
        hold = importlib.import_module("labwright.checks.claims").hold
        return Bound(hold, {"claims": claims, "undone": not reached}, ("machine",))
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
                where, line, f"step {step.id!r}: the check {step.check} needs a value for {key!r}"
            )
    witnesses = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    return Bound(check, {key: offered[key] for key in wanted}, witnesses)


def _line_of(path: Path, text: str) -> int:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text in line:
            return number
    return 1


class NoEvidence(LabwrightError):  # noqa: N818
    """A check passed without evidence or yielded something else: a defect of the check."""


class LimitReached(LabwrightError):  # noqa: N818
    """The time limit for all steps was reached."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the time limit of {limit_s:g} s for the whole run was reached")


class Clock(Protocol):
    """A clock with a pause; a machine is one."""

    def now(self) -> float:
        """Return the time in seconds, to measure how long something takes."""

    def pause(self, seconds: float) -> None:
        """Wait."""


@dataclass
class Seen:
    """Collects what a check yields."""

    evidence: list[Evidence] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    on_time: Callable[[], None] = lambda: None
    """Called with each piece; raises :class:`LimitReached` at the time limit."""

    def add(self, piece: Evidence | Notice, check: str) -> None:
        """Add what a check has yielded.

        :raises NoEvidence: it is neither evidence nor a notice, or its data is not plain.
        """
        self.on_time()
        if isinstance(piece, Notice) and isinstance(piece.text, str) and piece.text.strip():
            self.notices.append(piece.text)
        elif isinstance(piece, Evidence) and is_plain(piece):
            self.evidence.append(piece)
        else:
            raise NoEvidence(
                f"the check {check} yielded something that is not evidence: {piece!r:.200}"
            )

    def clear(self) -> None:
        """Remove everything, before the check is repeated."""
        self.evidence.clear()
        self.notices.clear()


def is_plain(piece: object) -> bool:
    """Return whether a piece of evidence has only text and data that JSON can hold."""
    if not isinstance(piece, Evidence) or not isinstance(piece.data, dict):
        return False
    if not all(isinstance(text, str) for text in (piece.claim, piece.ran, piece.saw)):
        return False
    try:
        json.dumps(piece.data)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def examine(
    bound: Bound,
    witnesses: Mapping[str, Any],
    seen: Seen,
    wait_s: float = 0.0,
    clock: Clock | None = None,
) -> None:
    """Run a check, and add what it yields to ``seen``.

    :param wait_s: seconds for which the check is repeated until it passes.
    :param clock: the machine; its clock is used for waiting.
    :raises CheckFailed: the claim does not hold.
    :raises NoEvidence: the check passed without evidence.
    """
    wait_s = wait_s if clock else 0.0
    began = clock.now() if clock and wait_s else 0.0
    waited, attempts = 0.0, 1
    while True:
        try:
            _attempt(bound, witnesses, seen)
        except CheckFailed:
            if clock is None or waited >= wait_s:
                if attempts > 1:
                    seen.evidence.append(_repeated("it did not hold", waited, wait_s, attempts))
                raise
        else:
            if attempts > 1:
                seen.evidence.append(_repeated("it holds", waited, wait_s, attempts))
            return
        seen.on_time()
        clock.pause(max(min(PAUSE_S * attempts, LONGEST_PAUSE_S, wait_s - waited), 0.1))
        waited = clock.now() - began
        attempts += 1
        seen.clear()
        for witness in witnesses.values():
            # Witnesses that cache answers must ask again.
            getattr(witness, "refresh", lambda: None)()


def _attempt(bound: Bound, witnesses: Mapping[str, Any], seen: Seen) -> None:
    name = bound.check.__name__
    for piece in bound.check(**witnesses, **bound.values):
        seen.add(piece, name)
    if not seen.evidence:
        raise NoEvidence(f"the check {name} passed without evidence")


def _repeated(what: str, waited: float, wait_s: float, attempts: int) -> Evidence:
    return Evidence(
        f"{what} after {waited:.1f} s",
        f"the check, repeated for up to {wait_s:g} s",
        f"{attempts} attempts",
        {"kind": "wait", "waited_s": round(waited, 1), "wait_s": wait_s, "attempts": attempts},
    )


def pending(step: Step, document: str) -> StepResult:
    """Return the initial result of a step, before its check has run."""
    return StepResult(
        id=step.id,
        title=step.title,
        part=step.part,
        points=0,
        max_points=step.points,
        outcome=Outcome.BROKEN,
        needs=step.needs,
        reason="the run ended before it was checked",
        expected="",
        actual="",
        hint="",
        evidence=(),
        duration_s=0.0,
        file=document,
        line=step.line,
    )


def passed(result: StepResult, seen: Seen) -> StepResult:
    """Return the result of a check that passed."""
    return replace(
        result,
        outcome=Outcome.PASSED,
        points=result.max_points,
        reason="",
        evidence=tuple(seen.evidence),
        notices=tuple(seen.notices),
    )


def shown_hint(hint: str, level: str) -> str:
    """Return the part of a hint that is shown: all, its first sentence, or nothing."""
    if level == "short":
        first = re.match(r".*?[.?!](?=\s+[A-Z`]|$)", hint, re.DOTALL)
        return first[0] if first else hint
    return hint if level == "full" else ""


def failed(result: StepResult, failure: CheckFailed, seen: Seen, hint: str) -> StepResult:
    """Return the result of a check that failed: the student's doing."""
    return replace(
        result,
        outcome=Outcome.FAILED,
        points=round(result.max_points * failure.share, 2),
        reason=f"expected {failure.expected}, but {failure.actual}",
        expected=failure.expected,
        actual=failure.actual,
        hint=hint,
        cause=failure.cause,
        evidence=(*seen.evidence, *filter(is_plain, failure.evidence)),
        notices=tuple(seen.notices),
    )


def broken(result: StepResult, problem: BaseException, seen: Seen) -> StepResult:
    """Return the result of a check that could not be done: our fault or the network's."""
    evidence = tuple(seen.evidence)
    if isinstance(problem, LabwrightError):
        reason = str(problem)
    else:
        reason = f"labwright itself failed: {type(problem).__name__}: {str(problem)[:300]}"
        trace = "".join(traceback.format_exception(problem))[-4000:]
        evidence = (*evidence, Evidence("where labwright failed", "", trace))
    return replace(
        result,
        outcome=Outcome.BROKEN,
        reason=reason,
        evidence=evidence,
        notices=tuple(seen.notices),
    )
