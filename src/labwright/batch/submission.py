"""The one file that a student hands in: a score with its record, and what it was made for.

It is JSON, bounded, and nothing in it is a path or is run. Whoever takes it believes none of
the points: the record in it is judged again. docs/instructor.md says what a file proves.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labwright.batch.task import Identity, definition_of
from labwright.errors import LabwrightError, UsageError
from labwright.score import Score

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.batch.challenge import Challenge
    from labwright.lab.model import Lab

SUFFIX = ".lab"
LARGEST = 32 << 20
"""Bytes: a score with a long record has less than 1 MiB."""
MOST_MARKS = 40
CLOCKS_S = 3 * 3600
"""Seconds by which a machine's clock and the student's own may differ."""
STARTED = re.compile(r'"started_at": ?([0-9]{9,10}(?:\.[0-9]+)?)')


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file that is handed in says. All of it is the student's word."""

    format: Literal["labwright/submission/v1"]
    student: str
    lab: str
    definition: str
    """A hash of what the lab asks for."""
    document: str
    """A hash of the document, which may have variants."""
    values: dict[str, str]
    """Values of the lab that were set."""
    challenge: str
    made: str
    machine: Identity
    score: dict[str, Any]
    digest: str = ""
    """Of all else: who edits the file in an editor forgets it. It proves nothing else."""

    @property
    def text(self) -> str:
        """The score as JSON."""
        return json.dumps(self.score)


def make(
    score: Score, lab: Lab, student: str, values: dict[str, str], challenge: str, machine: Identity
) -> str:
    """Return the file's text."""
    body = json.loads(score.to_json())
    made = Submission(
        format="labwright/submission/v1",
        student=student,
        lab=lab.name,
        definition=definition_of(lab.folder),
        document=document_of(lab),
        values=values,
        challenge=challenge,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        score=body,
    )
    made = msgspec.structs.replace(made, digest=_digest(made))
    return msgspec.json.encode(made).decode() + "\n"


def document_of(lab: Lab) -> str:
    """Return a hash of a lab's document."""
    return hashlib.sha256(lab.document.read_bytes()).hexdigest()


def read(path: Path) -> tuple[Submission, Score, str]:
    """Read a file that was handed in; return it, the score in it, and the file's digest.

    :raises UsageError: it is none; the message says why.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as problem:
        raise UsageError(f"{path}: it cannot be read: {problem.strerror}") from None
    if len(raw) > LARGEST:
        raise UsageError(f"{path}: larger than {LARGEST >> 20} MiB, so nothing that labwright made")
    try:
        found = msgspec.json.decode(raw, type=Submission)
        score = Score.from_json(found.text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LabwrightError) as problem:
        raise UsageError(
            f"{path}: not a file of `labwright submit`: {str(problem)[:300]}"
        ) from None
    return found, score, hashlib.sha256(raw).hexdigest()


def _digest(found: Submission) -> str:
    body = msgspec.to_builtins(msgspec.structs.replace(found, digest=""))
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def marks(score: Score) -> tuple[str, ...]:
    """Return what no two runs have in common: answers that carry the machine's time.

    A copied record has them as well, whatever name it was given.
    """
    found = []
    for step in score.steps:
        for seen in step.observations:
            answer = seen.answered.get("stdout") if isinstance(seen.answered, dict) else None
            if isinstance(answer, str) and '"started_at"' in answer:
                found.append(hashlib.sha256(answer.encode("utf-8", "replace")).hexdigest()[:16])
    return tuple(found[:MOST_MARKS])


def _elsewhen(score: Score) -> bool:
    """Whether the machine's clock, as the record has it, was hours from the score's times."""
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
    """Return what is to be known of a file before its grade is believed; it changes no points."""
    said = []
    if found.digest != _digest(found):
        said.append("the file was changed after it was made")
    if _elsewhen(old):
        said.append("its record is of another time than it says")
    if found.definition != definition_of(lab.folder):
        said.append("it was made with another edition of the lab")
    elif found.document != document_of(lab):
        said.append("it was made with another variant of the document")
    if judged and judged.graded and old.points != judged.points:
        said.append(f"it says {old.points:g} points, and its record gives {judged.points:g}")
    elif judged and judged.graded:
        before = {step.id: step.evidence for step in old.steps}
        other = [s.id for s in judged.steps if s.id in before and s.evidence != before[s.id]]
        if other and found.definition == definition_of(lab.folder):
            said.append(f"what it says was seen is not what its record gives: {', '.join(other)}")
    if challenge:
        said += challenge.findings(old)
    return said
