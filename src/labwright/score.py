"""The score of one target: the contract ``labwright/score/v1``.

Every report is rendered from this alone. docs/score-format.md describes it and
docs/score.schema.json validates it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from labwright.errors import LabwrightError
from labwright.outcome import Evidence, Observation, Outcome
from labwright.text import escape_surrogates

SCHEMA = "labwright/score/v1"


@dataclass(frozen=True)
class StepResult:
    """What became of one step. Times are UTC in ISO 8601, durations seconds."""

    id: str
    title: str
    part: str
    points: float
    """Points earned: ``max_points`` when passed; a part of them when failed, by weights; else 0."""
    max_points: float
    outcome: Outcome
    needs: tuple[str, ...]
    reason: str
    """One sentence: why it is not passed; empty when it is."""
    expected: str
    actual: str
    hint: str
    evidence: tuple[Evidence, ...]
    duration_s: float
    file: str = ""
    """The document that asks for the step, relative to the lab."""
    line: int = 0
    observations: tuple[Observation, ...] = ()
    """All that was asked of the machine for it: ``labwright regrade`` judges it again."""
    cause: str = ""
    """What is wrong where several steps fail for it: the first is charged, the others blocked."""
    notices: tuple[str, ...] = ()
    """What is worth knowing about it and costs nothing, a sentence each."""


@dataclass(frozen=True)
class Score:
    """Outcomes and points of one target."""

    lab: str
    title: str
    target: str
    started: str
    finished: str
    steps: tuple[StepResult, ...]
    labwright: str = ""
    """The version that graded."""
    seed: int | None = None

    @property
    def points(self) -> float:
        """Points earned, over all steps."""
        return sum(step.points for step in self.steps)

    @property
    def max_points(self) -> float:
        """Points that could be earned."""
        return sum(step.max_points for step in self.steps)

    @property
    def graded(self) -> bool:
        """Whether the points can stand as a grade: nothing was broken."""
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
            if body["schema"] != SCHEMA:
                raise LabwrightError(f"not a score: schema is {body['schema']!r}, not {SCHEMA!r}")
            return cls(
                lab=body["lab"],
                title=body["title"],
                target=body["target"],
                started=body["started"],
                finished=body["finished"],
                steps=tuple(step_from_dict(step) for step in body["steps"]),
                labwright=body["labwright"],
                seed=body["seed"],
            )
        except (ValueError, KeyError, TypeError) as problem:
            raise LabwrightError(f"not a {SCHEMA} document: {problem!r}") from problem


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


def step_from_dict(body: dict[str, Any]) -> StepResult:
    """Return the step that ``dataclasses.asdict`` took apart, also after a trip through JSON."""
    return StepResult(
        **{
            **body,
            "outcome": Outcome(body["outcome"]),
            "needs": tuple(body["needs"]),
            "evidence": tuple(Evidence(**piece) for piece in body["evidence"]),
            "observations": tuple(Observation(**o) for o in body.get("observations", ())),
            "notices": tuple(body.get("notices", ())),
        }
    )
