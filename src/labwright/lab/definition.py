"""Reads and validates a lab.

``lab.toml`` says of every step of ``lab.md`` what it is worth, what it needs, how it is
checked and how it is performed; docs/course-author.md describes each key. Whatever is
wrong in either file is a :class:`DefinitionError` with file and line.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from labwright.errors import DefinitionError
from labwright.lab.document import Document
from labwright.lab.instructions import SESSIONS, is_typed
from labwright.lab.model import DOCKER, Command, Image, Lab, Prose, Step, Typing, Waived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LAB_KEYS = {
    *("name", "title", "document", "requires", "values", "states", "perform", "machine"),
    *("image", "step", "typed", "waived", "prose"),
}
STEP_KEYS = {"id", "title", "points", "needs", "check", "with", "hint", "perform"}
COMMAND_KEYS = {"run", "terminal", "ready"}
MACHINE_KEYS = {"start", "modules"}
IMAGE_KEYS = {"name", "folder", "package", "dependencies", "published"}
WAIVED_KEYS = {"id", "reason"}
TYPED_KEYS = {"step", "begins", "ready", "reason"}
PROSE_KEYS = {"says", "perform", "reason"}
TOTAL_POINTS = 100
LONGEST_NAME = 30
"""A machine can be named after its lab."""


def load_lab(folder: Path) -> Lab:
    """Read and validate the lab in a folder.

    :raises DefinitionError: whatever is wrong with it, with file and line.
    """
    definition = _Definition.read(folder / "lab.toml")
    body = definition.body
    name = definition.typed(body, "name", str, "the lab")
    if not STEP_ID.fullmatch(name) or len(name) > LONGEST_NAME:
        raise definition.wrong(
            f"a lab's name is kebab-case and short, like 'docker-server', not {name[:60]!r}", "name"
        )
    document_path = folder / definition.typed(body, "document", str, "the lab")
    if not document_path.is_file():
        raise definition.wrong(f"the document {document_path.name!r} does not exist", "document")
    document = Document.read(document_path)
    steps = tuple(
        definition.step(number, raw, document) for number, raw in enumerate(body.get("step", []))
    )
    if not steps:
        raise definition.wrong("the lab has no step: add a [[step]]")
    waived = tuple(definition.waived(document))
    definition.verify(steps, waived, document)
    order = {id: number for number, id in enumerate(document.steps)}
    states = definition.states({step.id for step in steps})
    start, modules = definition.machine(states)
    return Lab(
        name=name,
        title=definition.typed(body, "title", str, "the lab"),
        folder=folder,
        document=document_path,
        values=definition.typed(body, "values", dict, "the lab", {}),
        states=states,
        prelude=definition.prelude(),
        steps=_in_order(steps, order),
        waived=waived,
        prose=tuple(definition.prose()),
        typed=tuple(definition.typings(document)),
        opening=definition.opening(),
        varies=definition.varies(),
        requires=tuple(definition.typed(body, "requires", list, "the lab", [])),
        images=tuple(definition.images(folder)),
        start=start,
        modules=modules,
    )


def _in_order(steps: tuple[Step, ...], order: dict[str, int]) -> tuple[Step, ...]:
    """Sort steps as the document has them, but never before what they need."""
    sorter = TopologicalSorter({step.id: step.needs for step in steps})
    sorter.prepare()
    by_id = {step.id: step for step in steps}
    ready: list[str] = []
    done: list[Step] = []
    while sorter.is_active():
        ready.extend(sorter.get_ready())
        ready.sort(key=order.__getitem__)
        first = ready.pop(0)
        done.append(by_id[first])
        sorter.done(first)
    return tuple(done)


def _as_written(document: Document, step: str) -> tuple[Command, ...]:
    """Return the document's own commands for a step, which perform it if nothing else does."""
    fences = [block for block in document.blocks if block.step == step and is_typed(block)]
    sessions = any(block.language in SESSIONS for block in fences)
    if not sessions:
        return tuple(Command(block.text.strip()) for block in fences)
    from labwright.lab.shell import typed_in  # a grammar to load, and rarely needed

    typed = [entry.text.strip() for block in fences for entry in typed_in(block)]
    return (Command("\n".join(typed)),)  # one shell: what is kept in a variable is used later


@dataclass(frozen=True)
class _Definition:
    """A lab.toml and where its things stand in it; tomllib tells no lines."""

    path: Path
    lines: tuple[str, ...]
    body: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> _Definition:
        try:
            text = path.read_text(encoding="utf-8")
            body = tomllib.loads(text)
        except FileNotFoundError:
            raise DefinitionError(path, 1, "no such file: a lab needs a lab.toml") from None
        except UnicodeDecodeError as problem:
            raise DefinitionError(path, 1, f"not UTF-8 text: {problem.reason}") from None
        except tomllib.TOMLDecodeError as problem:
            at = re.search(r"line (\d+)", str(problem))
            raise DefinitionError(path, int(at[1]) if at else 1, f"not TOML: {problem}") from None
        definition = cls(path, tuple(text.splitlines()), body)
        definition.only_known(body, LAB_KEYS, "the lab")
        return definition

    def wrong(self, message: str, key: str = "", step: int | None = None) -> DefinitionError:
        return DefinitionError(self.path, self.line_of(key, step), message)

    def line_of(self, key: str = "", step: int | None = None, table: str = "step") -> int:
        """Return the line of a key, in the n-th [[step]] (or other table) or outside of all."""
        head = re.compile(rf"\s*\[\[{table}\]\]")
        heads = [n for n, line in enumerate(self.lines) if head.match(line)]
        if step is None:
            start, end = 0, len(self.lines)
        else:
            start = heads[step] if step < len(heads) else 0
            end = heads[step + 1] if step + 1 < len(heads) else len(self.lines)
        if key:
            pattern = re.compile(
                rf"""(\s*|\s*\[+(step\.)?|.*[{{,]\s*)["']?{re.escape(key)}["']?\s*[=.\]]"""
            )
            for number in range(start, end):
                if pattern.match(self.lines[number]):
                    return number + 1
        return start + 1

    def only_known(
        self, table: dict[str, Any], known: set[str], what: str, step: int | None = None
    ) -> None:
        for key in table:
            if key not in known:
                raise self.wrong(
                    f"{what} has an unknown key {key!r}; known are: {', '.join(sorted(known))}",
                    key,
                    step,
                )

    def typed(
        self,
        table: dict[str, Any],
        key: str,
        kind: type | tuple[type, ...],
        what: str,
        default: Any = None,
        step: int | None = None,
    ) -> Any:
        value = table.get(key, default)
        if value is None:
            raise self.wrong(f"{what} has no {key!r}", "", step)
        if not isinstance(value, kind) or isinstance(value, bool):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise self.wrong(f"{key!r} of {what} must be {names}, not {value!r}", key, step)
        return value

    def step(self, number: int, raw: dict[str, Any], document: Document) -> Step:
        id = self.typed(raw, "id", str, f"step {number + 1}", None, number)
        what = f"step {id!r}"
        if not STEP_ID.fullmatch(id):
            raise self.wrong(f"{what}: an id is kebab-case, like 'gorb-running'", "id", number)
        self.only_known(raw, STEP_KEYS, what, number)
        if id not in document.steps:
            raise self.wrong(
                f"{what} is not in {document.path.name}: "
                f"mark its place there with <!-- step: {id} -->",
                "id",
                number,
            )
        points = self.typed(raw, "points", (int, float), what, None, number)
        if points <= 0:
            raise self.wrong(f"'points' of {what} must be more than 0", "points", number)
        check = self.typed(raw, "check", str, what, None, number)
        if not re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", check):
            raise self.wrong(
                f"'check' of {what} must be 'module.function' in checks/, not {check!r}",
                "check",
                number,
            )
        needs = self.typed(raw, "needs", list, what, [], number)
        place = document.steps[id]
        return Step(
            id=id,
            title=self.typed(raw, "title", str, what, None, number),
            part=place.part,
            points=points,
            needs=tuple(needs),
            check=check,
            arguments=self.typed(raw, "with", dict, what, {}, number),
            hint=self.typed(raw, "hint", str, what, "", number),
            perform=self.commands(self.typed(raw, "perform", list, what, [], number), what, number)
            if "perform" in raw
            else _as_written(document, id),
            line=place.line,
        )

    def commands(self, raw: list[Any], what: str, number: int | None) -> tuple[Command, ...]:
        commands = []
        for entry in raw:
            if isinstance(entry, str):
                commands.append(Command(entry.strip()))
            elif isinstance(entry, dict) and isinstance(entry.get("run"), str):
                self.only_known(entry, COMMAND_KEYS, f"a command of {what}", number)
                commands.append(Command(**entry))
            else:
                raise self.wrong(
                    f"'perform' of {what} must be commands, or tables with 'run'", "perform", number
                )
        return tuple(commands)

    def waived(self, document: Document) -> Iterator[Waived]:
        """Yield the steps of the document that have no check."""
        for line, raw in self.tables("waived", WAIVED_KEYS):
            id = self.words(raw, "id", line)
            if id not in document.steps:
                raise DefinitionError(
                    self.path, line, f"the waived step {id!r} is not in {document.path.name}"
                )
            yield Waived(id, self.words(raw, "reason", line), line)

    def prose(self) -> Iterator[Prose]:
        """Yield what covers the instructions that the document gives in words alone."""
        for line, raw in self.tables("prose", PROSE_KEYS):
            says = " ".join(self.words(raw, "says", line).split())
            if ("perform" in raw) == ("reason" in raw):
                raise DefinitionError(
                    self.path, line, "[[prose]] wants either 'perform' or a 'reason' for none"
                )
            commands = self.typed(raw, "perform", list, "[[prose]]", [])
            reason = self.words(raw, "reason", line) if "reason" in raw else ""
            yield Prose(says, self.commands(commands, "[[prose]]", None), reason, line)

    def typings(self, document: Document) -> Iterator[Typing]:
        """Yield how commands are typed that cannot be typed just as they stand."""
        own = {step["id"] for step in self.body["step"] if "perform" in step}
        for line, raw in self.tables("typed", TYPED_KEYS):
            step = self.words(raw, "step", line)
            if step not in document.steps:
                raise DefinitionError(
                    self.path, line, f"the step {step!r} is not in {document.path.name}"
                )
            if ("ready" in raw) == ("reason" in raw):
                raise DefinitionError(self.path, line, "[[typed]] wants either 'ready' or 'reason'")
            if "reason" in raw and step not in own:
                raise DefinitionError(
                    self.path, line, f"the step {step!r} has no 'perform' to be typed instead"
                )
            ready, reason = (
                self.words(raw, key, line).strip() if key in raw else ""
                for key in ("ready", "reason")
            )
            yield Typing(step, self.words(raw, "begins", line), ready, reason, line)

    def opening(self) -> str:
        """Return what the gate types first in each terminal."""
        perform = self.typed(self.body, "perform", dict, "the lab", {})
        return str(self.typed(perform, "opening", str, "[perform]", "")).strip()

    def varies(self) -> dict[str, str]:
        """Return the document's values that differ between machines, and their forms."""
        perform = self.typed(self.body, "perform", dict, "the lab", {})
        forms = self.typed(perform, "varies", dict, "[perform]", {})
        for shown, form in forms.items():
            try:
                groups = re.compile(form).groups
            except (re.error, TypeError) as problem:
                raise self.wrong(f"the form of {shown!r}: {problem}", shown) from None
            if groups:
                raise self.wrong(f"the form of {shown!r} has a group: write (?:...)", shown)
        return {str(shown): str(form) for shown, form in forms.items()}

    def tables(self, name: str, known: set[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the tables of an array, each with its line."""
        for number, raw in enumerate(self.typed(self.body, name, list, "the lab", [])):
            line = self.line_of("", number, name)
            for key in raw:
                if key not in known:
                    raise DefinitionError(
                        self.path,
                        self.line_of(key, number, name),
                        f"[[{name}]] has an unknown key {key!r}; "
                        f"known are: {', '.join(sorted(known))}",
                    )
            yield line, raw

    def words(self, raw: dict[str, Any], key: str, line: int) -> str:
        value = raw.get(key)
        if not isinstance(value, str) or not value.strip():
            raise DefinitionError(self.path, line, f"{key!r} must say something, in words")
        return value

    def verify(
        self, steps: tuple[Step, ...], waived: tuple[Waived, ...], document: Document
    ) -> None:
        """Hold the steps against each other and against the document."""
        seen: dict[str, int] = {}
        for number, step in enumerate(steps):
            if step.id in seen:
                first = self.line_of("id", seen[step.id])
                raise self.wrong(
                    f"the id {step.id!r} is taken by the step in line {first}", "id", number
                )
            seen[step.id] = number
        for number, step in enumerate(steps):
            for need in step.needs:
                if need not in seen:
                    raise self.wrong(
                        f"step {step.id!r} needs {need!r}, which is no step", "needs", number
                    )
        try:
            TopologicalSorter({step.id: step.needs for step in steps}).prepare()
        except CycleError as cycle:
            circle = list(reversed(cycle.args[1]))
            raise self.wrong(
                f"steps need each other in a circle: {' needs '.join(circle)}",
                "needs",
                seen[circle[0]],
            ) from None
        free = {step.id: step.line for step in waived}
        for id, line in free.items():
            if id in seen:
                raise DefinitionError(self.path, line, f"{id!r} is waived, and is a [[step]]")
        for id, place in document.steps.items():
            if id not in seen and id not in free:
                raise DefinitionError(
                    document.path,
                    place.line,
                    f"the step {id!r} has no definition in {self.path.name}: "
                    "add a [[step]], or a [[waived]] with a reason",
                )
        total = sum(step.points for step in steps)
        if total != TOTAL_POINTS:
            raise self.wrong(f"the points add up to {total:g}, not {TOTAL_POINTS}", "points", 0)

    def states(self, ids: set[str]) -> dict[str, tuple[str, ...]]:
        states = self.typed(self.body, "states", dict, "the lab", {})
        for name, steps in states.items():
            if not isinstance(steps, list) or not all(step in ids for step in steps):
                raise self.wrong(f"the state {name!r} must be a list of ids of steps", name)
            if name == DOCKER or not STEP_ID.fullmatch(name):
                raise self.wrong(f"a state's name is kebab-case and not {DOCKER!r}: {name!r}", name)
        return {name: tuple(steps) for name, steps in states.items()}

    def machine(self, states: dict[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
        """Return the state in which a student finds a machine, and what its kernel must have."""
        table = self.typed(self.body, "machine", dict, "the lab", {})
        self.only_known(table, MACHINE_KEYS, "[machine]")
        start = self.typed(table, "start", str, "[machine]", DOCKER)
        if start not in (DOCKER, *states):
            raise self.wrong(
                f"the start {start!r} is no state; known are: {DOCKER}, {', '.join(states)}",
                "start",
            )
        modules = self.typed(table, "modules", list, "[machine]", [])
        return start, tuple(map(str, modules))

    def images(self, folder: Path) -> Iterator[Image]:
        """Yield the images that the lab machine has before a student begins."""
        for line, raw in self.tables("image", IMAGE_KEYS):
            name = self.words(raw, "name", line)
            place = folder / self.words(raw, "folder", line)
            if not (place / "Dockerfile").is_file():
                raise DefinitionError(
                    self.path, line, f"the image {name!r}: there is no {place / 'Dockerfile'}"
                )
            package = self.words(raw, "package", line) if "package" in raw else ""
            dependencies = self.typed(raw, "dependencies", list, "[[image]]", [])
            published = raw.get("published", False)
            if not isinstance(published, bool):
                raise DefinitionError(self.path, line, "'published' must be true or false")
            yield Image(name, place, package, tuple(map(str, dependencies)), published)

    def prelude(self) -> str:
        perform = self.typed(self.body, "perform", dict, "the lab", {})
        self.only_known(perform, {"prelude", "opening", "varies"}, "[perform]")
        return str(perform.get("prelude", ""))
