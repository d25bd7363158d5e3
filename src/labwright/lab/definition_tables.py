"""The tables of ``lab.toml``: every key that there is, and what type it has.

docs/course-author.md says what each means; :mod:`labwright.lab.definition` makes a
:class:`~labwright.lab.model.Lab` of them.
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from labwright.lab.toml_file import Table


class CommandTable(Table):
    """A command that performs (a part of) a step."""

    run: str
    terminal: str = ""
    ready: str = ""
    interrupt: str = ""


class StepTable(Table):
    """``[[step]]``."""

    id: str
    title: str
    points: int | float
    check: str | None = None
    claim: list[dict[str, Any]] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict, name="with")
    wait: str = "0s"
    hint: str = ""
    perform: list[str | CommandTable] | None = None


class FileTable(Table):
    """A file of ``[machine.files]``."""

    content: str
    mode: str = "0644"
    owner: str = "root"


class MachineTable(Table):
    """``[machine]``."""

    start: str | None = None
    modules: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    files: dict[str, str | FileTable] = field(default_factory=dict)
    setup: str = ""


class PerformTable(Table):
    """``[perform]``."""

    prelude: str = ""
    opening: str = ""
    varies: dict[str, str] = field(default_factory=dict)


class ImageTable(Table):
    """``[[image]]``."""

    name: str
    folder: str
    package: str = ""
    dependencies: list[str] = field(default_factory=list)
    published: bool = False


class WaivedTable(Table):
    """``[[waived]]``."""

    id: str
    reason: str
    perform: list[str | CommandTable] = field(default_factory=list)


class BlockTable(Table):
    """``[[block]]``."""

    begins: str
    file: str | None = None
    perform: list[str | CommandTable] | None = None
    reason: str | None = None


class ProseTable(Table):
    """``[[prose]]``."""

    says: str
    perform: list[str | CommandTable] | None = None
    reason: str | None = None


class TypedTable(Table):
    """``[[typed]]``."""

    step: str
    begins: str
    ready: str | None = None
    interrupt: str | None = None
    reason: str | None = None


class VariantsTable(Table):
    """``[variants]``."""

    document: str = ""
    values: dict[str, dict[str, Any] | list[Any]] = field(default_factory=dict)


class LabTable(Table):
    """The whole file."""

    name: str
    title: str
    document: str
    language: str = "en"
    prompt: str | list[str] = ""
    requires: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)
    perform: PerformTable = field(default_factory=PerformTable)
    machine: MachineTable = field(default_factory=MachineTable)
    image: list[ImageTable] = field(default_factory=list)
    step: list[StepTable] = field(default_factory=list)
    typed: list[TypedTable] = field(default_factory=list)
    waived: list[WaivedTable] = field(default_factory=list)
    prose: list[ProseTable] = field(default_factory=list)
    block: list[BlockTable] = field(default_factory=list)
    variants: VariantsTable = field(default_factory=VariantsTable)
