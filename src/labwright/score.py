"""The score of one target: the contract ``labwright/score/v1``.

Every report is rendered from this alone. docs/score-reference.md is made from it, and
docs/score.schema.json validates it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec

from labwright.errors import LabwrightError
from labwright.outcome import Evidence, Observation, Outcome
from labwright.text import escape_surrogates

SCHEMA = "labwright/score/v1"


@dataclass(frozen=True)
class StepResult:
    """The result of one step. Times are UTC in ISO 8601, durations seconds."""

    id: str
    """Kebab-case; the same in the document, the definition, the test's id and every report."""
    title: str
    """What it asks for."""
    part: str
    """The heading under which the document asks for it."""
    points: int | float
    """Points earned: `max_points` when passed; when failed, the share of the claims that hold, by
    their weights, and 0 without weights; else 0."""
    max_points: int | float
    """Points that could be earned."""
    outcome: Outcome
    """`passed`, `failed`, `blocked` or `broken`."""
    needs: tuple[str, ...]
    """Ids of the steps that must have passed before."""
    reason: str
    """One sentence: why it is not passed; empty when it is."""
    expected: str
    """What should be; code stands between backticks, here and in the next two."""
    actual: str
    """What is."""
    hint: str
    """What to do."""
    evidence: tuple[Evidence, ...]
    """What was run and what was seen, in order."""
    duration_s: int | float
    """Seconds that the check took."""
    file: str = ""
    """The document that asks for the step, relative to the lab."""
    line: int = 0
    """Where the document asks for it; 0: unknown."""
    observations: tuple[Observation, ...] = ()
    """All that was asked of the machine for it: `labwright regrade` judges it again."""
    cause: str = ""
    """What is wrong where several steps fail for it: the first is charged, the others blocked."""
    notices: tuple[str, ...] = ()
    """What is worth knowing about it and costs nothing, a sentence each."""


@dataclass(frozen=True)
class Score:
    """Outcomes and points of one target."""

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
    """The version that graded."""
    seed: int | None = None
    """What everything random was drawn from; `--seed` repeats it."""

    @property
    def points(self) -> float:
        """Points earned: the sum over the steps."""
        return sum(step.points for step in self.steps)

    @property
    def max_points(self) -> float:
        """Points that could be earned: the sum over the steps."""
        return sum(step.max_points for step in self.steps)

    @property
    def graded(self) -> bool:
        """Whether the points can stand as a grade: no step is broken."""
        return all(step.outcome is not Outcome.BROKEN for step in self.steps)

    def count(self, outcome: Outcome) -> int:
        """How many steps ended like this."""
        return sum(step.outcome is outcome for step in self.steps)

    def to_json(self) -> str:
        """Return the document ``labwright/score/v1``, indented, ending in a newline."""
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
            "started": self.started,
            "finished": self.finished,
            "steps": [asdict(step) for step in self.steps],
        }
        return json.dumps(_storable(body), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Score:
        """Read a score back.

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
        for step in score.steps:
            numbers = (step.points, step.max_points, step.duration_s)
            if not all(math.isfinite(number) and number >= 0 for number in numbers):
                raise LabwrightError(
                    f"not a {SCHEMA} document: a negative or infinite number in {step.id!r:.60}"
                )
        return score


T = TypeVar("T")


def _converted(body: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise LabwrightError(f"not a {SCHEMA} document: {str(problem)[:300]}") from None


def _storable(value: Any) -> Any:
    """Return the value without what JSON in UTF-8 cannot hold, or some readers refuse.

    NaN and infinity become null. Half a surrogate pair, which a target can put into JSON
    of its own, is spelled out: jq refuses a whole document for one of them.
    """
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, str):
        return escape_surrogates(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def step_from_dict(body: Any) -> StepResult:
    """Return the step that ``dataclasses.asdict`` took apart, also after a trip through JSON.

    :raises LabwrightError: it is something else.
    """
    return _converted(body, StepResult)
