"""The model of a lab: its steps in the document's order, and their needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT = "gorb"
"""The default lab."""
DOCKER = "docker"
"""The first state of each machine: Docker runs and has the lab's images."""


@dataclass(frozen=True)
class Command:
    """A shell script that performs (a part of) a step."""

    run: str
    terminal: str = ""
    """The name of its terminal, if the program stays in the foreground."""
    ready: str = ""
    """A command that succeeds when the foreground program is ready."""
    interrupt_s: float = 0.0
    """Press Ctrl-C after this many seconds; 0: never."""


@dataclass(frozen=True)
class Step:
    """One thing that the document asks for."""

    id: str
    title: str
    part: str
    """The heading of its part of the document."""
    points: float
    needs: tuple[str, ...]
    check: str
    """``module.function`` in :mod:`labwright.checks`; empty if it has claims."""
    arguments: dict[str, Any]
    """Values for the check's parameters: ``with`` in the definition."""
    hint: str
    perform: tuple[Command, ...]
    line: int
    """Its line in the document."""
    as_written: bool = False
    """Whether ``perform`` is the document's own commands."""
    wait_s: float = 0.0
    """Seconds for which the check is repeated until it passes."""
    claims: tuple[dict[str, Any], ...] = ()
    """Its claims as written in lab.toml, without the lab's values filled in."""
    number: int = 0
    """The index of its ``[[step]]`` in lab.toml."""


@dataclass(frozen=True)
class Waived:
    """A step of the document that has no check, and why it needs none."""

    id: str
    reason: str
    line: int
    """In the definition."""
    perform: tuple[Command, ...] = ()
    """The commands that perform it."""
    at: int = 0
    """Its line in the document."""


@dataclass(frozen=True)
class Code:
    """A ``[[block]]``: a block of code that is not typed, such as a file's text or an example."""

    begins: str
    """The beginning of its text."""
    file: str
    """The file on the machine with this text; empty if none."""
    perform: tuple[Command, ...]
    reason: str
    """Why nothing is to be done, if nothing is."""
    line: int
    """In the definition."""


@dataclass(frozen=True)
class Prose:
    """A ``[[prose]]``: covers an instruction that the document gives only in words."""

    says: str
    """Words of one sentence of the document."""
    perform: tuple[Command, ...]
    reason: str
    """Why nothing is to be performed, if nothing is."""
    line: int
    """In the definition."""


@dataclass(frozen=True)
class Typing:
    """A ``[[typed]]``: a command of the document that cannot be typed as written."""

    step: str
    begins: str
    """The beginning of the document's command."""
    ready: str
    """It keeps its terminal: a command that succeeds once it can be used."""
    reason: str
    """Why the step's own ``perform`` is done instead; empty if it is not."""
    line: int
    """In the definition."""
    interrupt_s: float = 0.0
    """Press Ctrl-C after this many seconds; 0: never."""


@dataclass(frozen=True)
class Variant:
    """A value, or several values together, that are drawn for each student."""

    name: str
    options: tuple[dict[str, Any], ...] = ()
    """The values of each option; empty for a range of numbers."""
    numbers: range = range(0)
    elsewhere: str = ""
    """Why the document may contain the usual value as text."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The values of the lab that it changes."""
        return tuple(self.options[0]) if self.options else (self.name,)

    def option(self, number: int) -> dict[str, Any]:
        """Return the values of one option."""
        if self.options:
            return self.options[number % len(self.options)]
        return {self.name: self.numbers[number % len(self.numbers)]}


@dataclass(frozen=True)
class Image:
    """A Docker image that the lab machine has before the first step."""

    name: str
    folder: Path
    """The folder of its Dockerfile and the other files of its context."""
    package: str = ""
    """The dotted name of a Python package that is added to the context."""
    dependencies: tuple[str, ...] = ()
    """Pure Python distributions that it imports, in the versions installed here."""
    published: bool = False
    """Whether it is only in the machine's registry, from which students pull it."""


@dataclass(frozen=True)
class MachineFile:
    """A file that the lab machine has before the first step."""

    path: str
    content: str
    mode: str = "0644"
    owner: str = "root"
    """``user`` or ``user:group``; the default is the user's own group."""


@dataclass(frozen=True)
class MachineSetup:
    """The additions to the lab machine's system, made in this order."""

    packages: tuple[str, ...] = ()
    """Debian packages."""
    files: tuple[MachineFile, ...] = ()
    script: str = ""
    """Run by bash as root."""

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.packages or self.files or self.script)


@dataclass(frozen=True)
class Lab:
    """A lab's steps, in the order of its document."""

    name: str
    title: str
    folder: Path
    document: Path
    values: dict[str, Any]
    states: dict[str, tuple[str, ...]]
    """Named states of a machine, each with the steps that are done in it."""
    prelude: str
    """Shell code before each command of ``perform``, such as variables that a student sets."""
    steps: tuple[Step, ...]
    waived: tuple[Waived, ...] = ()
    prose: tuple[Prose, ...] = ()
    typed: tuple[Typing, ...] = ()
    code: tuple[Code, ...] = ()
    variants: tuple[Variant, ...] = ()
    template: Path | None = None
    """The document with ``{{name}}`` instead of values, if that is another file."""
    prompts: tuple[str, ...] = ()
    """Prompts before the document's commands, in addition to the usual ones."""
    language: str = "en"
    """Of the document."""
    opening: str = ""
    """Commands typed first in each terminal: settings that only the lab machine needs."""
    varies: dict[str, str] = field(default_factory=dict)
    """Values in the document that differ between machines, each with a regular expression."""
    requires: tuple[str, ...] = ()
    """Labs that are done before this one; it can use what they have made."""
    images: tuple[Image, ...] = ()
    start: str = DOCKER
    """The initial state of the machine."""
    modules: tuple[str, ...] = ()
    """Modules that the kernel of a machine must have."""
    systems: tuple[str, ...] = ()
    """Systems on which the lab can be done, the default first; empty: all."""
    setup: MachineSetup = field(default_factory=MachineSetup)

    def step(self, id: str) -> Step:
        """Return the step of this id.

        :raises UsageError: the lab has none.
        """
        for step in self.steps:
            if step.id == id:
                return step
        known = ", ".join(step.id for step in self.steps)
        raise UsageError(f"the lab {self.name} has no step {id!r}; its steps are: {known}")

    def with_needs(self, ids: list[str]) -> tuple[Step, ...]:
        """Return these steps and all steps that they need, in an order that can be performed."""
        wanted: set[str] = set()
        left = list(ids)
        while left:
            step = self.step(left.pop())
            if step.id not in wanted:
                wanted.add(step.id)
                left.extend(step.needs)
        return tuple(step for step in self.steps if step.id in wanted)

    def performed(self, state: str) -> tuple[Step, ...]:
        """Return the steps that are done on a machine in a state."""
        names = list(self.states)
        before = names[: names.index(state) + 1] if state in self.states else []
        return self.with_needs([id for name in before for id in self.states[name]])

    def upto(self, step_id: str) -> tuple[Step, ...]:
        """Return the steps from the first to this one.

        :raises UsageError: the lab has no such step.
        """
        return self.steps[: self.steps.index(self.step(step_id)) + 1]

    def selected(self, part: int | None, ids: list[str]) -> tuple[Step, ...]:
        """Return the steps of a part and of these ids, with the steps that they need; default: all.

        :raises UsageError: there is no such part or step.
        """
        wanted = list(ids)
        if part is not None:
            wanted += [step.id for step in self.part(part)]
        return self.with_needs(wanted) if wanted else self.steps

    def values_with(self, settings: Iterable[str]) -> dict[str, Any]:
        """Return the lab's values, changed by ``KEY=VALUE`` settings.

        A value keeps its type in the definition.

        :raises UsageError: there is no such value, or it has another type.
        """
        values = dict(self.values)
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals or key not in values:
                raise UsageError(
                    f"not a setting: {setting!r}: write KEY=VALUE, with a key of [values] in the "
                    f"lab's definition: {', '.join(values)}"
                )
            values[key] = _typed(key, text, values[key])
        return values

    def part(self, number: int) -> tuple[Step, ...]:
        """Return the steps of a part, by its number in the document: ``Part (2/3)`` is 2.

        :raises UsageError: there is no such part.
        """
        mark = re.compile(rf"Part \({number}/\d+\)")
        found = tuple(step for step in self.steps if mark.match(step.part))
        if not found:
            raise UsageError(f"the lab {self.name} has no part {number}")
        return found


KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _typed(key: str, text: str, like: Any) -> Any:
    """Convert a text to the type of another value."""
    if isinstance(like, list):
        first = like[0] if like else ""
        return [_typed(key, part, first) for part in text.split(",")] if text else []
    kind = type(like)
    if kind not in KINDS:
        raise UsageError(f"{key} cannot be changed with --set: it is not a text, number or list")
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        value = kind(text)
    except (KeyError, ValueError):
        value = None
    if value is None or (kind is float and not math.isfinite(value)):
        raise UsageError(f"{key} must be {KINDS[kind]}, not {text!r}")
    return value


def find_lab(name: str) -> Path:
    """Return the folder of a lab: a path to one, or the name of one that comes with labwright.

    :raises UsageError: there is none.
    """
    if (Path(name) / "lab.toml").is_file():
        return Path(name).resolve()
    known = {folder.name: folder for folder in own_labs()}
    if name not in known:
        raise UsageError(
            f"no lab {name!r}: give a folder with a lab.toml, or one of: {', '.join(known)}"
        )
    return known[name]


def own_labs() -> list[Path]:
    """Return the folders of the labs that come with labwright, by name."""
    home = Path(str(resources.files("labwright.labs")))
    return sorted(found.parent for found in home.glob("*/lab.toml"))
