"""Runs the stages of the gate, and collects their results."""

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
    """The result of one stage."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float
    summary: str
    """What was tested, in a few words."""
    problem: str = ""
    """Why the document could not be tested: a fault of labwright or of the machine."""
    skipped: str = ""
    """Why it was not run, because of findings of another stage."""

    @property
    def passed(self) -> bool:
        """Whether it was run and has no findings."""
        return not (self.findings or self.problem or self.skipped)


@dataclass(frozen=True)
class Course:
    """A document with its definition, if it has one."""

    document: Document
    lab: Lab | None
    problem: DefinitionError | None
    """The error in the definition, if any."""

    @property
    def lock(self) -> Path | None:
        """The path of the lock; None for a document without a lab."""
        if self.lab is None and self.problem is None:
            return None
        return self.document.path.parent / lock.NAME


@dataclass(frozen=True)
class Verdict:
    """The gate's results for one document."""

    course: Course
    stages: tuple[Stage, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all requested stages passed."""
        return bool(self.stages) and all(stage.passed for stage in self.stages)


def read(name: str, path: Path) -> Course:
    """Read a document, given the name or folder of its lab, or the document's path.

    :param path: ``name`` as a path.
    :raises UsageError: there is no such document.
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
        # The definition can be wrong because the document was changed.
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
    """Return a note that a rule is off because the document's language is not supported."""
    if document.language in languages.KNOWN:
        return ""
    known = ", ".join(languages.KNOWN)
    return f"; {what}: not checked in {document.language!r} (known: {known})"


def run_perform(course: Course, follow: Callable[[], tuple[list[Finding], str]]) -> Stage:
    """Run the third stage.

    :param follow: follows the document; its errors are problems, not findings.
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
    """Run a stage and measure its time."""
    start = time.monotonic()
    found, summary = look()
    return Stage(name, tuple(found), time.monotonic() - start, summary)


def _document(lab: Lab, name: str) -> Document:
    """Return the document of a required lab: in the same folder, or one that labwright has."""
    beside = lab.folder.parent / name
    folder = beside if (beside / "lab.toml").is_file() else find_lab(name)
    return Document.of(load_lab(folder))


def _unfit(course: Course) -> DefinitionError | None:
    """Return the error in the definition, in itself or for this document."""
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
