"""What a worker is given and what it returns for a student's machine: plain data.

Both go through pipes and networks as JSON. Nothing is pickled, and nothing of a target is
ever more than text in them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from labwright.grading.run import RunOptions
from labwright.score import Score

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Task:
    """One machine to be examined."""

    id: str
    target: str
    lab: str
    """A lab's name or folder, as :func:`labwright.lab.find_lab` takes it."""
    jump: str = ""
    pins: tuple[str, ...] = ()
    """Lines of known_hosts: the student's key, if it is known, and those of jump hosts."""
    options: RunOptions = field(default_factory=RunOptions)
    """How the lab is graded."""
    limit_s: float = 300.0
    """Seconds for all of it."""
    whole: bool = False
    """The record is judged by all steps of the lab, not by those that it says it has."""
    pause_s: float = 0.0
    """Seconds to wait first, so that not all knock at one jump host at once."""
    reach_only: bool = False
    record: str = ""
    """A score's file: it is judged again, in place of a machine."""
    definition: str = ""
    """A hash of what the lab asks for: on another computer it may be another lab."""
    editions: tuple[tuple[str, ...], ...] = ()
    """Those of the class: a machine that fails its own may fit somebody else's."""

    def to_json(self) -> str:
        """Return it on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Read it back."""
        return msgspec.json.decode(text, type=cls)


@dataclass(frozen=True)
class Identity:
    """What identifies a machine: evidence, bounded, never trusted."""

    host_keys: tuple[str, ...] = ()
    machine: str = ""
    """A hash of its machine-id."""
    boot: str = ""
    """Drawn by the kernel when it started."""
    engine: str = ""
    """The Docker Engine's own id."""
    containers: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: dict[str, Any]) -> Identity:
        """Read it back out of JSON."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in body.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class Examined:
    """The result of a task."""

    id: str
    score: Score | None
    """None: only whether it can be reached was asked."""
    problem: str = ""
    """Why there is no grade; empty when there is one."""
    reached: bool = True
    identity: Identity = field(default_factory=Identity)
    pins: tuple[str, ...] = ()
    """Lines of known_hosts that were not known before."""
    text: str = ""
    """The score as JSON, with all that was seen."""
    seconds: float = 0.0
    fits: str = ""
    """Whose edition of the lab the machine fits better than the student's own."""

    @property
    def graded(self) -> bool:
        """Whether there is a grade."""
        return self.score is not None and self.score.graded and not self.problem

    def to_json(self) -> str:
        """Return it on one line."""
        return json.dumps(asdict(replace(self, score=None)))

    @classmethod
    def from_json(cls, text: str) -> Examined:
        """Read it back."""
        body = json.loads(text)
        return cls(
            **{
                **body,
                "score": Score.from_json(body["text"]) if body["text"] else None,
                "identity": Identity.of(body["identity"]),
                "pins": tuple(body["pins"]),
            }
        )


def bare(score: Score) -> Score:
    """Return the score without what was seen: of a whole class, that is too much to hold.

    It stays in the student's own files.
    """
    return replace(
        score, steps=tuple(replace(step, evidence=(), observations=()) for step in score.steps)
    )


def definition_of(folder: Path) -> str:
    """Return a hash of what the lab in a folder asks for."""
    return hashlib.sha256((folder / "lab.toml").read_bytes()).hexdigest()
