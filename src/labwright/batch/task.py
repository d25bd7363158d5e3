"""The task for a worker and its result, as plain data.

Both are sent as JSON through pipes or a network. Nothing is pickled, and anything that comes
from a target is only text in them.
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
    """One student to grade."""

    id: str
    target: str
    lab: str
    """A lab's name or folder, as :func:`labwright.lab.find_lab` takes it."""
    jump: str = ""
    pins: tuple[str, ...] = ()
    """Lines of known_hosts: the key of the student's machine, if known, and of jump hosts."""
    options: RunOptions = field(default_factory=RunOptions)
    """The options of the run."""
    limit_s: float = 300.0
    """Time limit for the whole task, in seconds."""
    whole: bool = False
    """Whether a record is judged by all steps of the lab, or only by the steps it contains."""
    pause_s: float = 0.0
    """Seconds to wait first, so that connections to one jump host are spread out."""
    reach_only: bool = False
    record: str = ""
    """The path of a score whose record is judged; empty: a machine is graded."""
    definition: str = ""
    """A hash of the lab's definition, since a worker can have another version of the lab."""
    editions: tuple[tuple[str, ...], ...] = ()
    """The class's editions: a machine that fails its own can fit another student's."""

    def to_json(self) -> str:
        """Return the task as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Parse a task."""
        return msgspec.json.decode(text, type=cls)


@dataclass(frozen=True)
class Identity:
    """What identifies a machine: text from the machine, of limited length, not trusted."""

    host_keys: tuple[str, ...] = ()
    machine: str = ""
    """A hash of its machine-id."""
    boot: str = ""
    """The kernel's boot id, a new one at each start."""
    engine: str = ""
    """The Docker Engine's id."""
    containers: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: dict[str, Any]) -> Identity:
        """Return it from parsed JSON."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in body.items()
        }
        return cls(**values)


@dataclass(frozen=True)
class Examined:
    """The result of a task."""

    id: str
    score: Score | None
    """None in a dry run, which only connects to the machine."""
    problem: str = ""
    """Why there is no grade; empty if there is one."""
    reached: bool = True
    identity: Identity = field(default_factory=Identity)
    pins: tuple[str, ...] = ()
    """New lines of known_hosts."""
    text: str = ""
    """The score as JSON, with its record."""
    seconds: float = 0.0
    fits: str = ""
    """The student whose edition of the lab fits the machine better; empty: nobody's."""

    @property
    def graded(self) -> bool:
        """Whether there is a grade."""
        return self.score is not None and self.score.graded and not self.problem

    def to_json(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(asdict(replace(self, score=None)))

    @classmethod
    def from_json(cls, text: str) -> Examined:
        """Parse a result."""
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
    """Return the score without its record.

    The records of a whole class would need too much memory; they stay in the students' files.
    """
    return replace(
        score, steps=tuple(replace(step, evidence=(), observations=()) for step in score.steps)
    )


def definition_of(folder: Path) -> str:
    """Return a hash of the definition of the lab in a folder."""
    return hashlib.sha256((folder / "lab.toml").read_bytes()).hexdigest()
