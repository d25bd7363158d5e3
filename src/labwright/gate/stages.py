"""The gate: a document is covered by its definition, fit to be followed, and leads there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import DefinitionError, LabwrightError, UsageError
from labwright.gate import lock
from labwright.gate.actions import plan
from labwright.gate.cover import cover
from labwright.gate.findings import Finding
from labwright.gate.lint import lint
from labwright.gate.variants import about_variants
from labwright.lab import languages
from labwright.lab.definition import load_lab
from labwright.lab.document import Document
from labwright.lab.instructions import pieces
from labwright.lab.model import find_lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.lab.model import Lab

STAGES = ("cover", "lint", "perform")


@dataclass(frozen=True)
class Stage:
    """What one stage found."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float
    summary: str
    """What it looked at, in a few words."""
    problem: str = ""
    """Why nothing can be said about the document: our fault, or the machine's."""
    skipped: str = ""
    """Why it was not run; then another stage has found something."""

    @property
    def passed(self) -> bool:
        """Whether it was run and found nothing."""
        return not (self.findings or self.problem or self.skipped)


@dataclass(frozen=True)
class Course:
    """A document with its definition, as far as there is one."""

    document: Document
    lab: Lab | None
    problem: DefinitionError | None
    """What is wrong with the definition."""

    @property
    def lock(self) -> Path | None:
        """Where the document is locked; None for one that belongs to no lab."""
        if self.lab is None and self.problem is None:
            return None
        return self.document.path.parent / lock.NAME


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one document."""

    course: Course
    stages: tuple[Stage, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all stages that were asked for found nothing."""
        return bool(self.stages) and all(stage.passed for stage in self.stages)


def read(name: str, path: Path) -> Course:
    """Read a document by the name of its lab, its folder, or its own.

    :param path: the same as ``name``.
    :raises UsageError: there is none.
    :raises DefinitionError: the document cannot be read.
    """
    if path.suffix == ".md" or path.is_file():
        if not path.is_file():
            raise UsageError(f"no such document: {path}")
        if path.suffix != ".md":
            raise UsageError(f"not a document: {path}: give a lab's folder, or a file NAME.md")
        folder = path.parent
        own = folder / "lab.toml"
        if not own.is_file():
            return Course(Document.read(path), None, None)
    else:
        folder = find_lab(name)
    try:
        lab = load_lab(folder)
    except DefinitionError as problem:
        # The definition may be wrong for what was done to the document.
        document = path if path.is_file() else folder / "lab.md"
        if not document.is_file():
            raise
        return Course(Document.read(document), None, problem)
    if path.is_file() and path.resolve() != lab.document.resolve():
        return Course(Document.read(path), None, None)
    return Course(Document.of(lab), lab, None)


def run_cover(course: Course) -> Stage:
    """Run the first stage."""

    def look() -> tuple[list[Finding], str]:
        locked = lock.read(course.lock) if course.lock else None
        found = cover(course.document, course.lab, locked)
        if course.lab:
            found += about_variants(course.lab)
        problem = _unfit(course)
        if problem:
            found.insert(0, _about_definition(problem))
        todo = sum(piece.instructs for piece in pieces(course.document))
        said = f"{len(course.document.steps)} steps, {todo} instructions"
        return found, f"{said}{_off(course.document, 'sentences that ask for something')}"

    return timed("cover", look)


def run_lint(course: Course) -> Stage:
    """Run the second stage."""

    def look() -> tuple[list[Finding], str]:
        required = (
            [] if course.lab is None else [_document(course.lab, n) for n in course.lab.requires]
        )
        said = f"{len(course.document.source)} lines{_off(course.document, 'spelling')}"
        return lint(course.document, required), said

    return timed("lint", look)


def _off(document: Document, what: str) -> str:
    """Say which rule is off, in a language that is not known."""
    if document.language in languages.KNOWN:
        return ""
    known = ", ".join(languages.KNOWN)
    return f"; {what}: not checked in {document.language!r} (known: {known})"


def run_perform(course: Course, follow: Callable[[], tuple[list[Finding], str]]) -> Stage:
    """Run the third stage.

    :param follow: follows the document; what it cannot say is no finding.
    """
    problem = _unfit(course)
    if problem:
        found = replace(_about_definition(problem), rule="perform/definition")
        return Stage("perform", (found,), 0, "nothing was performed")
    start = time.monotonic()
    try:
        return timed("perform", follow)
    except LabwrightError as failure:
        return Stage("perform", (), time.monotonic() - start, "not done", problem=str(failure))


def timed(name: str, look: Callable[[], tuple[list[Finding], str]]) -> Stage:
    """Run a stage and note how long it took."""
    start = time.monotonic()
    found, summary = look()
    return Stage(name, tuple(found), time.monotonic() - start, summary)


def _document(lab: Lab, name: str) -> Document:
    """Return the document of a lab that another one requires: beside it, or one of ours."""
    beside = lab.folder.parent / name
    folder = beside if (beside / "lab.toml").is_file() else find_lab(name)
    return Document.of(load_lab(folder))


def _unfit(course: Course) -> DefinitionError | None:
    """Return what is wrong with the definition, in itself or for this document."""
    try:
        if course.lab:
            plan(course.document, course.lab)
    except DefinitionError as problem:
        return problem
    return course.problem


def _about_definition(problem: DefinitionError) -> Finding:
    place = f"{problem.path}:{problem.line}: "
    return Finding(
        Path(problem.path),
        problem.line,
        1,
        "cover/definition",
        str(problem).removeprefix(place),
        "Without a definition that fits, no step is checked.",
        "correct it; docs/course-author.md describes each key",
    )
