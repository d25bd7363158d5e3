"""The score of one target: the contract ``labwright/score/v1``.

All reports are rendered only from it. docs/score-reference.md is made from this module, and
docs/score.schema.json validates a score.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from labwright.errors import LabwrightError
from labwright.outcome import Evidence, Observation, Outcome
from labwright.text import escape_surrogates

SCHEMA = "labwright/score/v1"
LARGEST = 10**12
"""The largest valid number in a score; labwright writes no larger points, seconds or lines."""
SEED_BITS = 63
"""Maximum bits of a seed, so that other programs can read it as a number."""


@dataclass(frozen=True)
class StepResult:
    """The result of one step. Times are UTC in ISO 8601, durations seconds."""

    id: str
    """Kebab-case; the same in the document, the definition, the test's id and all reports."""
    title: str
    """The title of the step."""
    part: str
    """The heading of the step's part of the document."""
    points: int | float
    """Points earned: `max_points` if passed; if failed, the share of the claims that hold, by their
    weights (0 without weights); otherwise 0."""
    max_points: int | float
    """The step's maximum points."""
    outcome: Outcome
    """`passed`, `failed`, `blocked` or `broken`."""
    needs: tuple[str, ...]
    """Ids of the steps that must have passed before."""
    reason: str
    """One sentence: why it did not pass; empty if it passed."""
    expected: str
    """What was expected; code is between backticks, here and in the next two."""
    actual: str
    """What was found."""
    hint: str
    """What to do."""
    evidence: tuple[Evidence, ...]
    """What was run and the results, in order."""
    duration_s: int | float
    """Seconds that the check took."""
    file: str = ""
    """The document, relative to the lab."""
    line: int = 0
    """The step's line in the document; 0: unknown."""
    observations: tuple[Observation, ...] = ()
    """The record: all questions to the machine for this step; `labwright regrade` uses it."""
    cause: str = ""
    """A cause for which several steps fail: the first loses points, the others are blocked."""
    notices: tuple[str, ...] = ()
    """Remarks that cost no points, one sentence each."""


@dataclass(frozen=True)
class Score:
    """The outcomes and points of one run of a lab on one target."""

    lab: str
    """The lab's name."""
    title: str
    """The lab's title."""
    target: str
    """The machine that was graded: `local`, `ssh://[user@]host[:port]` or `vm:NAME`."""
    started: str
    """UTC, in ISO 8601."""
    finished: str
    """UTC, in ISO 8601."""
    steps: tuple[StepResult, ...]
    """The steps, in the order of the lab."""
    labwright: str = ""
    """The version of labwright."""
    seed: int | None = None
    """The seed of all random choices; `--seed` repeats them."""
    whole: bool = False
    """Whether all steps of the lab were selected, not a part."""

    @property
    def points(self) -> float:
        """Points earned: the sum over the steps."""
        return sum(step.points for step in self.steps)

    @property
    def max_points(self) -> float:
        """Maximum points: the sum over the steps."""
        return sum(step.max_points for step in self.steps)

    @property
    def graded(self) -> bool:
        """Whether the points are a grade: no step is broken."""
        return all(step.outcome is not Outcome.BROKEN for step in self.steps)

    def count(self, outcome: Outcome) -> int:
        """Return the number of steps with an outcome."""
        return sum(step.outcome is outcome for step in self.steps)

    def to_json(self) -> str:
        """Return the score as indented JSON (``labwright/score/v1``), with a newline at the end."""
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "labwright": self.labwright,
            "lab": self.lab,
            "title": self.title,
            "target": self.target,
            "points": self.points,
            "max_points": self.max_points,
            "graded": self.graded,
            "seed": self.seed,
            "whole": self.whole,
            "started": self.started,
            "finished": self.finished,
            "steps": [asdict(step) for step in self.steps],
        }
        return json.dumps(_storable(body), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Score:
        """Parse a score.

        :raises LabwrightError: the text is not a ``labwright/score/v1`` document.
        """
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as problem:
            place = f"line {problem.lineno}: " if isinstance(problem, json.JSONDecodeError) else ""
            why = (
                getattr(problem, "msg", "")
                or "it is nested too deeply, or has a number that is too long"
            )
            raise LabwrightError(f"{place}not JSON: {why}") from None
        schema = body.get("schema") if isinstance(body, dict) else None
        if schema != SCHEMA:
            raise LabwrightError(f"not a score: schema is {schema!r:.60}, not {SCHEMA!r}")
        score = _converted(body, cls)
        known: set[str] = set()
        for step in score.steps:
            numbers = (step.points, step.max_points, step.duration_s, step.line)
            # An integer in JSON can be larger than any float.
            if not all(0 <= number <= LARGEST for number in numbers):
                raise LabwrightError(
                    f"not a {SCHEMA} document: a negative or too large number in {step.id!r:.60}"
                )
            if step.id in known:
                raise LabwrightError(f"not a {SCHEMA} document: two steps {step.id!r:.60}")
            known.add(step.id)
        if (score.seed or 0).bit_length() > SEED_BITS:
            raise LabwrightError(f"not a {SCHEMA} document: the seed is too large")
        return score


def now() -> str:
    """Return the current time as scores have it: UTC, in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


T = TypeVar("T")


def _converted(body: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise LabwrightError(f"not a {SCHEMA} document: {str(problem)[:300]}") from None


def _storable(value: Any) -> Any:
    """Return the value without parts that JSON cannot represent, or that some readers refuse.

    NaN and infinity become null. Half of a surrogate pair, which a target can send in JSON, is
    written as an escape: otherwise jq refuses the whole document.
    """
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return escape_surrogates(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def step_from_dict(body: Any) -> StepResult:
    """Return a step result from the output of ``dataclasses.asdict``, also after JSON.

    :raises LabwrightError: the data does not have this form.
    """
    return _converted(body, StepResult)
