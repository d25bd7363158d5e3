"""The tables of ``lab.toml``: every key that there is, its type, and what it means.

docs/lab-toml.md is made from them: the text below a key is its meaning there.
:mod:`labwright.lab.definition` makes a :class:`~labwright.lab.model.Lab` of what it reads.
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from labwright.lab.toml_file import Table


class CommandTable(Table):
    """A command of a `perform` that is more than a line: a program that stays in the foreground."""

    run: str
    """The command."""
    terminal: str = ""
    """It stays in the foreground: it is left in the terminal of this name."""
    ready: str = ""
    """A command that succeeds once the program can be used."""
    interrupt: str = ""
    """Ctrl-C is pressed after this time: `"5s"`."""


class StepTable(Table):
    """One thing that the document asks for. `claim` or `check` says how it is checked."""

    id: str
    """Kebab-case, as in the mark of the document."""
    title: str
    """What the step asks for, as reports show it."""
    points: int | float
    """What it is worth, from 0; those of all steps add up to 100."""
    check: str | None = None
    """Instead of claims: `module.function` of labwright's own checks, or `checks.function` of the
    lab's."""
    claim: list[dict[str, Any]] = field(default_factory=list)
    """What must hold, one or several: [checks.md](checks.md)."""
    needs: list[str] = field(default_factory=list)
    """Ids of steps. Where one of them did not pass, this step is blocked."""
    arguments: dict[str, Any] = field(default_factory=dict, name="with")
    """Values for the check's parameters, beside `[values]`."""
    wait: str = "0s"
    """A time such as `"60s"` or `"2m"`, at most `"10m"`: the check is repeated until it holds or
    the time is over."""
    hint: str = ""
    """What to do when it fails, unless the check or claim knows better."""
    perform: list[str | CommandTable] | None = None
    """How it is performed, where that is not by the document's own commands under its mark; `[]`
    is for a step in which nothing is done."""


class FileTable(Table):
    """A file of `[machine.files]` with another mode or owner than usual."""

    content: str
    """What the file holds."""
    mode: str = "0644"
    """Its mode."""
    owner: str = "root"
    """`user` or `user:group`."""


class MachineTable(Table):
    """What the lab machine has beside its system and Docker."""

    start: str | None = None
    """The state in which a student finds the machine; `docker` if none is given."""
    modules: list[str] = field(default_factory=list)
    """What the kernel of a machine must have as modules."""
    systems: list[str] = field(default_factory=list)
    """Systems of the lab machine that the lab can be done on, the usual one first: `["debian-13"]`
    for what needs systemd. Without it, each of them."""
    packages: list[str] = field(default_factory=list)
    """Debian packages that the lab machine has, with what they need. Your computer's apt fetches
    them when the machine is made."""
    files: dict[str, str | FileTable] = field(default_factory=dict)
    """Files that it has, by absolute path, written after the packages: the content, or a table."""
    setup: str = ""
    """A bash script that runs as root, last, when the machine is made."""


class PerformTable(Table):
    """How the lab is performed."""

    prelude: str = ""
    """Shell code before every command of a `perform`: what a student keeps in variables."""
    opening: str = ""
    """Typed first in each terminal of the gate, and shown: what the lab machine needs and no
    reader has to know."""
    varies: dict[str, str] = field(default_factory=dict)
    """Values in the shown output that differ between machines, each with a regular expression
    without groups."""


class ImageTable(Table):
    """An image that the lab machine has in all states."""

    name: str
    """The name of the image."""
    folder: str
    """The folder of its Dockerfile, with what stands beside it. It is built with `--build-arg
    BASE=labwright/base`."""
    package: str = ""
    """A Python package that its context has, by its dotted name."""
    dependencies: list[str] = field(default_factory=list)
    """Distributions of pure Python that its context has as `site-packages`."""
    published: bool = False
    """The student pulls it: a registry in the machine has it, and Docker does not."""


class WaivedTable(Table):
    """A step of the document that needs no check."""

    id: str
    """The step of the document."""
    reason: str
    """Why it needs no check."""
    perform: list[str | CommandTable] = field(default_factory=list)
    """How it is performed, where that is not by the document's own commands."""


class BlockTable(Table):
    """A block of code that is neither typed nor output: give `file`, `perform` or `reason`."""

    begins: str
    """The first words of the block."""
    file: str | None = None
    """The block is the content of this file."""
    perform: list[str | CommandTable] | None = None
    """The commands that do with it what the text asks."""
    reason: str | None = None
    """Why nothing is done with it."""


class ProseTable(Table):
    """A sentence that asks for something: give `perform` or `reason`."""

    says: str
    """Words of the sentence."""
    perform: list[str | CommandTable] | None = None
    """The commands that do what it asks."""
    reason: str | None = None
    """Why nothing is done."""


class TypedTable(Table):
    """A command that cannot be typed as it stands: give `ready`, `interrupt` or `reason`."""

    step: str
    """The step under whose mark the command stands."""
    begins: str
    """The first words of the command."""
    ready: str | None = None
    """It stays in the foreground: a command that succeeds once it can be used."""
    interrupt: str | None = None
    """It stays in the foreground: Ctrl-C is pressed after this time."""
    reason: str | None = None
    """Why it cannot be typed as it stands; the step's `perform` is done in its place."""


class VariantsTable(Table):
    """Values that differ from student to student."""

    document: str = ""
    """A copy of the document with `{{name}}` in the places of values, where people read the
    document as it is."""
    values: dict[str, dict[str, Any] | list[Any]] = field(default_factory=dict)
    """A list of values, a list of tables that change several values together, or a range `{ from =
    4400, to = 4499 }`; `elsewhere` is the reason why the document may name the usual value in
    words."""


class LabTable(Table):
    """The keys at the top of the file. Those of the tables are described below."""

    name: str
    """Kebab-case, at most 30 characters."""
    title: str
    """What reports call the lab."""
    document: str
    """The file that people follow."""
    language: str = "en"
    """Of the document: `de`, `en`, `es`, `fr`, `it`, `pt`; in any other, neither sentences nor
    spelling are checked."""
    prompt: str | list[str] = ""
    """What stands before the document's commands, beside the usual prompts."""
    requires: list[str] = field(default_factory=list)
    """Labs that come before: what their documents make may be used."""
    values: dict[str, Any] = field(default_factory=dict)
    """What checks take for granted of a machine; `--set KEY=VALUE` changes one, and `{{KEY}}`
    stands for it."""
    states: dict[str, list[str]] = field(default_factory=dict)
    """Named states of a machine, each a list of the steps that were performed in it; it stands on
    the one before, the first on `docker`, which every lab has."""
    perform: PerformTable = field(default_factory=PerformTable)
    """`[perform]`, below."""
    machine: MachineTable = field(default_factory=MachineTable)
    """`[machine]`, below."""
    image: list[ImageTable] = field(default_factory=list)
    """`[[image]]`, below."""
    step: list[StepTable] = field(default_factory=list)
    """`[[step]]`, below."""
    typed: list[TypedTable] = field(default_factory=list)
    """`[[typed]]`, below."""
    waived: list[WaivedTable] = field(default_factory=list)
    """`[[waived]]`, below."""
    prose: list[ProseTable] = field(default_factory=list)
    """`[[prose]]`, below."""
    block: list[BlockTable] = field(default_factory=list)
    """`[[block]]`, below."""
    variants: VariantsTable = field(default_factory=VariantsTable)
    """`[variants]`, below."""
