"""Reads the tables of a ``lab.toml``; checks that they fit each other and the document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from labwright.errors import DefinitionError
from labwright.lab import performance
from labwright.lab.model import (
    DOCKER,
    Code,
    Command,
    Image,
    MachineFile,
    MachineSetup,
    Prose,
    Step,
    Typing,
    Variant,
    Waived,
)
from labwright.lab.toml_file import TomlFile, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from labwright.lab.definition_tables import CommandTable, FileTable, LabTable, StepTable
    from labwright.lab.document import Document

STEP_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CHECK = re.compile(r"[a-z_]+\.[a-z_0-9]+")
SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(?:s|seconds?)?")
TOTAL_POINTS = 100
LONGEST_WAIT_S = 600
"""Maximum seconds for which a check is repeated."""
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
PATH = re.compile(r"(/[^/\x00-\x1f]+)+")
MODE = re.compile(r"0?[0-7]{3,4}")
OWNER = re.compile(r"[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?")


@dataclass(frozen=True)
class Reader:
    """Reads the tables of a lab.toml; checks that they fit each other and the document."""

    file: TomlFile
    tables: LabTable
    document: Document

    def words(self, text: str, *place: str | int) -> str:
        """Return a text that must not be empty."""
        if not text.strip():
            raise self.file.error(f"{place[-1]!r} must not be empty: write words", *place)
        return text

    def seconds(self, text: str, *place: str | int) -> float:
        """Return a time such as ``3s``; 0 for none."""
        found = SECONDS.fullmatch(text.strip())
        if text and not (found and 0 < float(found[1]) <= 120):
            raise self.file.error(
                f"{place[-1]!r} must be a time of at most 120 s, like '3s', not {shown(text)}",
                *place,
            )
        return float(found[1]) if found else 0.0

    def commands(
        self, entries: Sequence[str | CommandTable], *place: str | int
    ) -> tuple[Command, ...]:
        """Return the commands of a ``perform``."""
        return tuple(
            Command(entry.strip())
            if isinstance(entry, str)
            else Command(
                entry.run,
                entry.terminal,
                entry.ready,
                self.seconds(entry.interrupt, *place, number, "interrupt"),
            )
            for number, entry in enumerate(entries)
        )

    @cached_property
    def as_written(self) -> dict[str, tuple[Command, ...]]:
        """The document's own commands for each step, which are the default for ``perform``."""
        return performance.as_written(
            self.document, tuple(self.prose()), tuple(self.typings()), tuple(self.code())
        )

    def step(self, number: int, table: StepTable) -> Step:
        """Return a step of the lab."""
        id, what = table.id, f"step {shown(table.id)}"
        if not STEP_ID.fullmatch(id):
            raise self.file.error(
                f"{what}: an id must be kebab-case, like 'gorb-running'", "step", number, "id"
            )
        if id not in self.document.steps:
            raise self.file.error(
                f"{what} is not in {self.document.path.name}: "
                f"mark it there with <!-- step: {id} -->",
                *("step", number, "id"),
            )
        if not 0 <= table.points <= TOTAL_POINTS:
            raise self.file.error(
                f"'points' of {what} must be from 0 to {TOTAL_POINTS}", "step", number, "points"
            )
        if (table.check is None) == (not table.claim):
            raise self.file.error(
                f"{what} needs either a 'check', or one or several [[step.claim]]", "step", number
            )
        check = table.check or ""
        if check and not CHECK.fullmatch(check):
            raise self.file.error(
                f"'check' of {what} must be 'module.function' in checks/, not {shown(table.check)}",
                *("step", number, "check"),
            )
        place = self.document.steps[id]
        return Step(
            id=id,
            title=self.words(table.title, "step", number, "title"),
            part=place.part,
            points=table.points,
            needs=tuple(table.needs),
            check=check,
            arguments=table.arguments,
            hint=table.hint,
            perform=self.as_written.get(id, ())
            if table.perform is None
            else self.commands(table.perform, "step", number, "perform"),
            line=place.line,
            as_written=table.perform is None,
            wait_s=self.wait_s(number, table),
            claims=tuple(table.claim),
            number=number,
        )

    def wait_s(self, number: int, table: StepTable) -> float:
        """Return the seconds of a step's ``wait``, such as ``"60s"`` or ``"2m"``."""
        found = re.fullmatch(r"([0-9]{1,4})(s|m)", table.wait)
        seconds = int(found[1]) * (60 if found[2] == "m" else 1) if found else LONGEST_WAIT_S + 1
        if seconds > LONGEST_WAIT_S:
            raise self.file.error(
                f"'wait' of step {shown(table.id)} must be a time of at most "
                f'{LONGEST_WAIT_S // 60}m, such as "60s" or "2m", not {shown(table.wait)}',
                *("step", number, "wait"),
            )
        return float(seconds)

    def waived(self) -> Iterator[Waived]:
        """Yield the steps of the document that have no check."""
        for number, table in enumerate(self.tables.waived):
            self._in_document(table.id, "waived", number, "id")
            reason = self.words(table.reason, "waived", number, "reason")
            perform = self.commands(table.perform, "waived", number, "perform")
            at = self.document.steps[table.id].line
            yield Waived(table.id, reason, self.file.line("waived", number), perform, at)

    def code(self) -> Iterator[Code]:
        """Yield the ``[[block]]`` entries."""
        for number, table in enumerate(self.tables.block):
            place = ("block", number)
            if [table.file, table.perform, table.reason].count(None) != 2:
                raise self.file.error(
                    "[[block]] needs one of 'file', 'perform' and 'reason'", *place
                )
            begins = self.words(table.begins, *place, "begins").strip()
            yield Code(
                begins,
                "" if table.file is None else self.words(table.file, *place, "file"),
                self.commands(table.perform or (), *place, "perform"),
                "" if table.reason is None else self.words(table.reason, *place, "reason"),
                self.file.line(*place),
            )

    def prose(self) -> Iterator[Prose]:
        """Yield the ``[[prose]]`` entries."""
        for number, table in enumerate(self.tables.prose):
            place = ("prose", number)
            if (table.perform is None) == (table.reason is None):
                raise self.file.error(
                    "[[prose]] needs either 'perform', or a 'reason' why nothing is done", *place
                )
            says = " ".join(self.words(table.says, *place, "says").split())
            reason = "" if table.reason is None else self.words(table.reason, *place, "reason")
            perform = self.commands(table.perform or (), *place, "perform")
            yield Prose(says, perform, reason, self.file.line(*place))

    def typings(self) -> Iterator[Typing]:
        """Yield the ``[[typed]]`` entries."""
        own = {step.id for step in self.tables.step if step.perform is not None}
        own |= {waived.id for waived in self.tables.waived if waived.perform}
        for number, table in enumerate(self.tables.typed):
            place = ("typed", number)
            self._in_document(table.step, *place, "step")
            if (table.ready is None and table.interrupt is None) == (table.reason is None):
                raise self.file.error("[[typed]] needs 'ready', 'interrupt' or a 'reason'", *place)
            if table.reason is not None and table.step not in own:
                raise self.file.error(
                    f"the step {table.step!r} has no 'perform' that can be done instead", *place
                )
            ready, reason = (
                "" if text is None else self.words(text, *place, key).strip()
                for key, text in (("ready", table.ready), ("reason", table.reason))
            )
            begins = self.words(table.begins, *place, "begins")
            interrupt_s = self.seconds(table.interrupt or "", *place, "interrupt")
            line = self.file.line(*place)
            yield Typing(table.step, begins, ready, reason, line, interrupt_s)

    def variants(self) -> Iterator[Variant]:
        """Yield the variants."""
        tables = self.tables.variants
        if tables.document and not is_file(self.file.path.parent / tables.document):
            raise self.file.error(
                f"the document {shown(tables.document)} does not exist", "variants", "document"
            )
        for name, table in tables.values.items():
            variant = self._variant(name, table)
            for option in variant.options or [{name: variant.numbers[0]}]:
                for key, value in option.items():
                    usual = self.tables.values.get(key)
                    if usual is None or type(usual) is not type(value):
                        raise self.file.error(
                            f"the variant {shown(name)} gives {shown(key)} the value "
                            f"{shown(value)}: [values] must have one of the same type",
                            *("variants", "values", name),
                        )
            yield variant

    def _variant(self, name: str, table: dict[str, Any] | list[Any]) -> Variant:
        place = ("variants", "values", name)
        given = {"options": table} if isinstance(table, list) else table
        elsewhere = given.get("elsewhere", "")
        first, last, options = given.get("from"), given.get("to"), given.get("options")
        known = set(given) <= {"from", "to", "options", "elsewhere"}
        if known and isinstance(elsewhere, str):
            if options is None and isinstance(first, int) and isinstance(last, int):
                if first < last:
                    return Variant(name, (), range(first, last + 1), elsewhere)
            elif isinstance(options, list) and len(options) > 1 and first is last is None:
                tables = [o if isinstance(o, dict) else {name: o} for o in options]
                if all(set(option) == set(tables[0]) for option in tables):
                    return Variant(name, tuple(tables), range(0), elsewhere)
        raise self.file.error(
            f"the variant {shown(name)} must be a list of two values or more, "
            "or { from = FIRST, to = LAST }",
            *place,
        )

    def varies(self) -> dict[str, str]:
        """Return the document's values that differ between machines, with their forms."""
        for text, form in self.tables.perform.varies.items():
            place = ("perform", "varies", text)
            try:
                groups = re.compile(form).groups
            except (re.error, RecursionError, OverflowError) as problem:
                raise self.file.error(f"the form of {shown(text)}: {problem}", *place) from None
            if groups:
                raise self.file.error(
                    f"the form of {shown(text)} has a group: write (?:...)", *place
                )
        return self.tables.perform.varies

    def verify(self, steps: tuple[Step, ...], waived: tuple[Waived, ...]) -> None:
        """Check that the steps fit each other and the document."""
        file, document = self.file, self.document
        seen: dict[str, int] = {}
        for number, step in enumerate(steps):
            if step.id in seen:
                first = file.line("step", seen[step.id], "id")
                raise file.error(
                    f"the id {step.id!r} is used twice: see line {first}", "step", number, "id"
                )
            seen[step.id] = number
        for number, step in enumerate(steps):
            for position, need in enumerate(step.needs):
                if need not in seen:
                    raise file.error(
                        f"step {step.id!r} needs {shown(need)}, which is not a step",
                        *("step", number, "needs", position),
                    )
        try:
            TopologicalSorter({step.id: step.needs for step in steps}).prepare()
        except CycleError as cycle:
            circle = list(reversed(cycle.args[1]))
            raise file.error(
                f"the needs form a cycle: {' needs '.join(circle)}",
                *("step", seen[circle[0]], "needs"),
            ) from None
        for number, free in enumerate(waived):
            if free.id in seen:
                raise file.error(f"{free.id!r} is both [[waived]] and a [[step]]", "waived", number)
        defined = {*seen, *(free.id for free in waived)}
        for id, place in document.steps.items():
            if id not in defined:
                raise DefinitionError(
                    document.path,
                    place.line,
                    f"the step {shown(id)} has no definition in {file.path.name}: "
                    "add a [[step]], or a [[waived]] with a reason",
                )
        with localcontext(prec=400):  # exact: 8 x 11.1 + 11.2 is 100
            total = sum((Decimal(str(step.points)) for step in steps), Decimal())
            if total != TOTAL_POINTS:
                raise file.error(
                    f"the points add up to {total.normalize():f}, not {TOTAL_POINTS}",
                    *("step", 0, "points"),
                )

    def states(self) -> dict[str, tuple[str, ...]]:
        """Return the states of a machine, each with the steps that were performed in it."""
        ids = {step.id for step in self.tables.step}
        for name, steps in self.tables.states.items():
            if name == DOCKER or not STEP_ID.fullmatch(name):
                raise self.file.error(
                    f"a state's name must be kebab-case and not {DOCKER!r}: {shown(name)}",
                    *("states", name),
                )
            for position, step in enumerate(steps):
                if step not in ids:
                    raise self.file.error(
                        f"the state {name!r} lists {shown(step)}, which is not a step",
                        *("states", name, position),
                    )
        return {name: tuple(steps) for name, steps in self.tables.states.items()}

    def start(self, states: dict[str, tuple[str, ...]]) -> str:
        """Return the initial state of the machine for a student."""
        start = DOCKER if self.tables.machine.start is None else self.tables.machine.start
        if start not in (DOCKER, *states):
            known = ", ".join((DOCKER, *states))
            raise self.file.error(
                f"the start {shown(start)} is not a state; there are: {known}",
                *("machine", "start"),
            )
        return start

    def setup(self) -> MachineSetup:
        """Return the additions to the lab machine's system: packages, files and a script."""
        machine = self.tables.machine
        for number, name in enumerate(machine.packages):
            if not PACKAGE.fullmatch(name):
                raise self.file.error(
                    f"{shown(name)} is not the name of a Debian package",
                    "machine",
                    "packages",
                    number,
                )
        files = tuple(self._machine_file(path, table) for path, table in machine.files.items())
        return MachineSetup(tuple(machine.packages), files, machine.setup.strip())

    def _machine_file(self, path: str, table: str | FileTable) -> MachineFile:
        place = ("machine", "files", path)
        if not PATH.fullmatch(path) or ".." in path.split("/"):
            raise self.file.error(f"{shown(path)} is not the absolute path of a file", *place)
        if isinstance(table, str):
            return MachineFile(path, table)
        if not MODE.fullmatch(table.mode):
            raise self.file.error(
                f"the mode must be like '0644', not {shown(table.mode)}", *place, "mode"
            )
        if not OWNER.fullmatch(table.owner):
            raise self.file.error(
                f"the owner must be like 'root' or 'root:adm', not {shown(table.owner)}",
                *(*place, "owner"),
            )
        return MachineFile(path, table.content, table.mode, table.owner)

    def images(self, folder: Path) -> Iterator[Image]:
        """Yield the images that the lab machine has in its initial state."""
        for number, table in enumerate(self.tables.image):
            name = self.words(table.name, "image", number, "name")
            place = folder / self.words(table.folder, "image", number, "folder")
            if not is_file(place / "Dockerfile"):
                raise self.file.error(
                    f"the image {shown(name)}: there is no {table.folder[:100]}/Dockerfile",
                    *("image", number, "folder"),
                )
            yield Image(name, place, table.package, tuple(table.dependencies), table.published)

    def _in_document(self, id: str, *place: str | int) -> None:
        if id not in self.document.steps:
            raise self.file.error(
                f"the step {shown(id)} is not in {self.document.path.name}", *place
            )


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False for an impossible path."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or contains a null byte
        return False
