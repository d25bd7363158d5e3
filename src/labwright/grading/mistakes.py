"""A lab's known mistakes: the checks must find each one and name its cause.

A mistake is a file ``mistakes/NAME.toml`` of a lab: a script that makes a known mistake on a
machine, and the expected outcomes. A lab's checks can be trusted if each mistake is found by
the right step, and each check finds at least one mistake.

A right variant is a file ``variants/NAME.toml``: a script that does the lab correctly in an
unusual way. Every step must pass.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from msgspec import field

from labwright.errors import DefinitionError, UsageError
from labwright.lab.toml_file import Table, TomlFile, shown
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from labwright.lab.model import Lab
    from labwright.score import Score

SCHEMA = "labwright/mistakes/v1"
FOLDER = "mistakes"
VARIANTS = "variants"
PRELUDE = "prelude.sh"
"""Shell code before every mistake's script, beside the lab's own prelude."""


class VariantTable(Table):
    """A file of a right variant; :class:`Mistake` says what each key means."""

    title: str
    state: str = "deployed"
    run: str = ""
    says: list[str] = field(default_factory=list)


class MistakeTable(VariantTable):
    """A file of a mistake; :class:`Mistake` says what each key means."""

    fails: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mistake:
    """A known mistake, and the outcomes that the checks must give."""

    id: str
    title: str
    state: str
    """The saved state of the machine on which the script is run."""
    run: str
    fails: tuple[str, ...]
    """The steps that must fail: the root causes, usually one."""
    blocks: tuple[str, ...]
    breaks: tuple[str, ...]
    """The steps that must be broken, because they cannot be checked. All others must pass."""
    says: tuple[str, ...]
    """Texts that the reasons and hints of the failed steps must contain; for a right variant,
    texts that the notices must contain."""
    right: bool = False
    """Whether it is a right variant, for which all steps must pass."""

    def expected(self, step_id: str) -> Outcome:
        """Return the outcome that a step must have."""
        for ids, outcome in (
            (self.fails, Outcome.FAILED),
            (self.blocks, Outcome.BLOCKED),
            (self.breaks, Outcome.BROKEN),
        ):
            if step_id in ids:
                return outcome
        return Outcome.PASSED


@dataclass(frozen=True)
class Trial:
    """The result of one mistake: the outcome of each step, or why it could not be tried."""

    mistake: Mistake
    outcomes: dict[str, Outcome]
    deviations: tuple[str, ...]
    """Differences from the expected outcomes, as sentences; empty if there are none."""
    duration_s: float

    @property
    def survives(self) -> bool:
        """Whether no step notices the mistake."""
        passed = bool(self.outcomes) and set(self.outcomes.values()) == {Outcome.PASSED}
        return passed and not self.mistake.right


@dataclass(frozen=True)
class Matrix:
    """The trials of a lab's mistakes, as a matrix of mistakes and steps."""

    lab: str
    title: str
    steps: tuple[str, ...]
    trials: tuple[Trial, ...]
    complete: bool
    """Whether all of the lab's mistakes were tried."""
    undone: tuple[str, ...] = ()
    """The steps that a later step undoes: on a finished machine they cannot fail."""

    @property
    def survivors(self) -> list[str]:
        """The mistakes that no step notices."""
        return sorted({trial.mistake.id for trial in self.trials if trial.survives})

    @property
    def idle(self) -> list[str]:
        """The steps that fail for no mistake: nothing shows that their checks work."""
        charged = {
            step
            for trial in self.trials
            for step, outcome in trial.outcomes.items()
            if outcome is Outcome.FAILED
        }
        left = [step for step in self.steps if step not in charged and step not in self.undone]
        return left if self.complete else []

    @property
    def deviating(self) -> list[Trial]:
        """The trials with unexpected outcomes."""
        return [trial for trial in self.trials if trial.deviations]

    @property
    def holds(self) -> bool:
        """Whether all trials ended as expected and, if all were tried, no step is idle."""
        return not (self.survivors or self.idle or self.deviating)

    def to_json(self) -> str:
        """Return the document ``labwright/mistakes/v1``."""
        body = {
            "schema": SCHEMA,
            "lab": self.lab,
            "holds": self.holds,
            "steps": list(self.steps),
            "survivors": self.survivors,
            "idle": self.idle,
            "trials": [asdict(trial) for trial in self.trials],
        }
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def judged(mistake: Mistake, score: Score, duration_s: float) -> Trial:
    """Compare a score with the outcomes that a mistake must have."""
    outcomes = {step.id: step.outcome for step in score.steps}
    deviations = []
    for step in score.steps:
        wanted = mistake.expected(step.id)
        if step.outcome is not wanted:
            why = f": {step.reason}" if step.reason else ""
            deviations.append(f"{step.id} is {step.outcome}, not {wanted}{why}")
    told = "\n".join(
        f"{step.reason}\n{step.hint}"
        for step in score.steps
        if step.outcome in (Outcome.FAILED, Outcome.BROKEN)
    )
    where = "reason or hint"
    if mistake.right:
        where, told = "notice", "\n".join(n for step in score.steps for n in step.notices)
    deviations += [f"no {where} says {word!r}" for word in mistake.says if word not in told]
    return Trial(mistake, outcomes, tuple(deviations), duration_s)


def load_mistakes(lab: Lab, only: Iterable[str] = ()) -> list[Mistake]:
    """Read the mistakes and the right variants of a lab, each sorted by id.

    :param only: the ids to read; empty means all.
    :raises DefinitionError: a file is wrong; the message has its line.
    :raises UsageError: the lab has none, or none with one of the ids.
    """
    found: dict[str, Mistake] = {}
    for folder, read in ((FOLDER, _read), (VARIANTS, _read_variant)):
        for path in sorted((lab.folder / folder).glob("*.toml")):
            if path.stem in found:
                raise DefinitionError(path, 1, f"there is a mistake {path.stem!r} as well")
            found[path.stem] = read(path, lab)
    if not found:
        raise UsageError(f"the lab {lab.name} has no mistakes: {lab.folder / FOLDER}/NAME.toml")
    for id in only:
        if id not in found:
            raise UsageError(
                f"the lab {lab.name} has no mistake or variant {id!r}; it has: {', '.join(found)}"
            )
    return [found[id] for id in (dict.fromkeys(only) or found)]


def prelude(lab: Lab) -> str:
    """Return the shell code that every mistake's script begins with."""
    own = lab.folder / FOLDER / PRELUDE
    text = own.read_text(encoding="utf-8") if own.exists() else ""
    return f"set -euo pipefail\n{lab.prelude}\n{text}\n"


def _read(path: Path, lab: Lab) -> Mistake:
    file = TomlFile.read(path)
    table = file.convert(MistakeTable)
    steps = {step.id for step in lab.steps}
    for key in ("fails", "blocks", "breaks"):
        for number, id in enumerate(getattr(table, key)):
            if id not in steps:
                raise file.error(f"{shown(id)} is no step of the lab {lab.name}", key, number)
    if not table.fails and not table.breaks:
        raise file.error(
            f"a mistake must fail a step: name it in 'fails'; right variants are in {VARIANTS}/",
            "fails",
        )
    return Mistake(
        id=path.stem,
        title=table.title,
        state=table.state,
        run=table.run,
        fails=tuple(table.fails),
        blocks=tuple(table.blocks),
        breaks=tuple(table.breaks),
        says=tuple(table.says),
    )


def _read_variant(path: Path, _lab: Lab) -> Mistake:
    table = TomlFile.read(path).convert(VariantTable)
    says = tuple(table.says)
    return Mistake(path.stem, table.title, table.state, table.run, (), (), (), says, right=True)
