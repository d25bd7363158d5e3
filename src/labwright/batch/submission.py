"""The file that a student hands in: a score with its record, the student's id and the lab.

It is JSON of limited size; nothing in it is used as a path or run. The points in it are not
trusted: the record is judged again. docs/instructor.md explains what a file proves.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labwright.batch.task import Identity, definition_of
from labwright.errors import LabwrightError, UsageError
from labwright.score import Score, now

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.batch.challenge import Challenge
    from labwright.lab.model import Lab

SUFFIX = ".lab"
LARGEST = 32 << 20
"""Bytes; a score with a long record has less than 1 MiB."""
MOST_MARKS = 40
CLOCKS_S = 3 * 3600
"""Seconds by which the clocks of the machine and the student's computer may differ."""
STARTED = re.compile(r'"started_at": ?([0-9]{9,10}(?:\.[0-9]+)?)')


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a handed-in file. The student can have changed any of it."""

    format: Literal["labwright/submission/v1"]
    student: str
    lab: str
    definition: str
    """A hash of the lab's definition."""
    document: str
    """A hash of the document, which can contain the values of a variant."""
    values: dict[str, str]
    """The lab's values that were set."""
    challenge: str
    made: str
    machine: Identity
    score: dict[str, Any]
    digest: str = ""
    """A hash of all other fields. It only reveals careless edits; it is no signature."""

    @property
    def text(self) -> str:
        """The score as JSON."""
        return json.dumps(self.score)


def make(
    score: Score, lab: Lab, student: str, values: dict[str, str], challenge: str, machine: Identity
) -> str:
    """Return the text of the file to hand in."""
    body = json.loads(score.to_json())
    made = Submission(
        format="labwright/submission/v1",
        student=student,
        lab=lab.name,
        definition=definition_of(lab.folder),
        document=document_of(lab),
        values=values,
        challenge=challenge,
        made=now(),
        machine=machine,
        score=body,
    )
    made = msgspec.structs.replace(made, digest=_digest(made))
    return msgspec.json.encode(made).decode() + "\n"


def document_of(lab: Lab) -> str:
    """Return a hash of a lab's document."""
    return hashlib.sha256(lab.document.read_bytes()).hexdigest()


def read(path: Path) -> tuple[Submission, Score, str]:
    """Read a handed-in file; return its content, the score in it, and the file's digest.

    :raises UsageError: it is not such a file; the message says why.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}") from None
    if len(raw) > LARGEST:
        raise UsageError(f"{path}: larger than {LARGEST >> 20} MiB: labwright did not make it")
    try:
        found = msgspec.json.decode(raw, type=Submission)
        score = Score.from_json(found.text)
    # A hostile file must not prevent other files from being collected.
    except (
        *(msgspec.MsgspecError, RecursionError, LabwrightError),
        *(ArithmeticError, LookupError, TypeError, ValueError),
    ) as problem:
        raise UsageError(
            f"{path}: not a file made by `labwright submit`: {str(problem)[:300]}"
        ) from None
    return found, score, hashlib.sha256(raw).hexdigest()


def _digest(found: Submission) -> str:
    body = msgspec.to_builtins(msgspec.structs.replace(found, digest=""))
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def marks(score: Score) -> tuple[str, ...]:
    """Return values that are unique to a run: answers that contain the machine's time.

    A copied record has the same values, even under another name.
    """
    found = []
    for step in score.steps:
        for seen in step.observations:
            answer = seen.answered.get("stdout") if isinstance(seen.answered, dict) else None
            if isinstance(answer, str) and '"started_at"' in answer:
                found.append(hashlib.sha256(answer.encode("utf-8", "replace")).hexdigest()[:16])
    return tuple(found[:MOST_MARKS])


def _elsewhen(score: Score) -> bool:
    """Whether the machine's clock in the record is hours away from the score's times."""
    begun, ended = _epoch(score.started), _epoch(score.finished)
    if not begun or not ended:
        return True
    seen = [
        float(when)
        for step in score.steps
        for observation in step.observations
        for when in STARTED.findall(str(observation.answered))
    ]
    return any(not begun - CLOCKS_S <= when <= ended + CLOCKS_S for when in seen)


def _epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def findings(
    found: Submission, old: Score, judged: Score | None, lab: Lab, challenge: Challenge | None
) -> list[str]:
    """Return notes that a person should read before using the grade; points do not change."""
    said = []
    if found.digest != _digest(found):
        said.append("the file was changed after it was made")
    if _elsewhen(old):
        said.append("the times in its record do not match the times in the file")
    if found.definition != definition_of(lab.folder):
        said.append("it was made with another version of the lab")
    elif found.document != document_of(lab):
        said.append("it was made with another variant of the document")
    if judged and judged.graded and old.points != judged.points:
        said.append(f"it claims {old.points:g} points, but its record gives {judged.points:g}")
    elif judged and judged.graded:
        before = {step.id: step.evidence for step in old.steps}
        other = [s.id for s in judged.steps if s.id in before and s.evidence != before[s.id]]
        if other and found.definition == definition_of(lab.folder):
            said.append(f"its evidence does not match its record: {', '.join(other)}")
    if challenge:
        said += challenge.findings(old)
    return said
