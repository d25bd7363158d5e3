"""The tables of ``lab.toml``: all keys with their types and meanings.

docs/lab-toml.md is made from them: the text below a key is its meaning there.
:mod:`labwright.lab.definition` makes a :class:`~labwright.lab.model.Lab` of what it reads.
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from labwright.lab.toml_file import Table


class CommandTable(Table):
    """A command of a `perform` with options, such as a program that stays in the foreground."""

    run: str
    """The command."""
    terminal: str = ""
    """It stays in the foreground, in the terminal with this name."""
    ready: str = ""
    """A command that succeeds when the program is ready."""
    interrupt: str = ""
    """Press Ctrl-C after this time: `"5s"`."""


class StepTable(Table):
    """One thing that the document asks for. `claim` or `check` says how it is checked."""

    id: str
    """Kebab-case, as in the mark of the document."""
    title: str
    """The step's name in reports."""
    points: int | float
    """Its points, from 0; the points of all steps add up to 100."""
    check: str | None = None
    """Instead of claims: `module.function` of labwright's own checks, or `checks.function` of the
    lab's checks."""
    claim: list[dict[str, Any]] = field(default_factory=list)
    """One or several claims that must hold: [checks.md](checks.md)."""
    needs: list[str] = field(default_factory=list)
    """Ids of steps. If one of them did not pass, this step is blocked."""
    arguments: dict[str, Any] = field(default_factory=dict, name="with")
    """Values for the check's parameters, in addition to `[values]`."""
    wait: str = "0s"
    """A time such as `"60s"` or `"2m"`, at most `"10m"`: the check is repeated until it passes or
    the time is over."""
    hint: str = ""
    """What to do if it fails, unless the check or claim has its own hint."""
    perform: list[str | CommandTable] | None = None
    """The commands that perform it; default: the document's own commands under its mark. `[]`
    means that nothing has to be done."""


class FileTable(Table):
    """A file of `[machine.files]` with another mode or owner than the default."""

    content: str
    """The content of the file."""
    mode: str = "0644"
    """Its mode."""
    owner: str = "root"
    """`user` or `user:group`."""


class MachineTable(Table):
    """The lab machine before the first step."""

    start: str | None = None
    """The initial state of the machine; default: `docker`."""
    modules: list[str] = field(default_factory=list)
    """Modules that the kernel of a machine must have."""
    systems: list[str] = field(default_factory=list)
    """Systems on which the lab can be done, the default first: `["debian-13"]` if it needs
    systemd. Default: all systems."""
    packages: list[str] = field(default_factory=list)
    """Debian packages of the lab machine; their dependencies are added. Your computer's apt
    downloads them when the machine is made."""
    files: dict[str, str | FileTable] = field(default_factory=dict)
    """Files of the lab machine by absolute path, written after the packages: the content, or a
    table."""
    setup: str = ""
    """A bash script that runs last, as root, when the machine is made."""


class PerformTable(Table):
    """How the lab is performed."""

    prelude: str = ""
    """Shell code before each command of a `perform`, such as variables that a student sets."""
    opening: str = ""
    """Commands typed first in each terminal of the gate, and shown: settings that only the lab
    machine needs."""
    varies: dict[str, str] = field(default_factory=dict)
    """Values in the document's output that differ between machines, each with a regular expression
    without groups."""


class ImageTable(Table):
    """An image that the lab machine has in all states."""

    name: str
    """The name of the image."""
    folder: str
    """The folder of its Dockerfile and other files. It is built with `--build-arg
    BASE=labwright/base`."""
    package: str = ""
    """The dotted name of a Python package that is added to its context."""
    dependencies: list[str] = field(default_factory=list)
    """Pure Python distributions that are added to its context as `site-packages`."""
    published: bool = False
    """Whether students pull it: it is in a registry in the machine, not in Docker."""


class WaivedTable(Table):
    """A step of the document that needs no check."""

    id: str
    """The step of the document."""
    reason: str
    """Why it needs no check."""
    perform: list[str | CommandTable] = field(default_factory=list)
    """The commands that perform it; default: the document's own commands."""


class BlockTable(Table):
    """A block of code that is neither typed nor output: give `file`, `perform` or `reason`."""

    begins: str
    """The first words of the block."""
    file: str | None = None
    """The block is the content of this file."""
    perform: list[str | CommandTable] | None = None
    """The commands that use it as the text asks."""
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
    """A command that cannot be typed as written: give `ready`, `interrupt` or `reason`."""

    step: str
    """The step of the command."""
    begins: str
    """The first words of the command."""
    ready: str | None = None
    """For a program in the foreground: a command that succeeds when the program is ready."""
    interrupt: str | None = None
    """For a program in the foreground: press Ctrl-C after this time."""
    reason: str | None = None
    """Why it cannot be typed as written; the step's `perform` is done instead."""


class VariantsTable(Table):
    """Values that are drawn for each student."""

    document: str = ""
    """A copy of the document with `{{name}}` instead of values, if people also read the document
    with its usual values."""
    values: dict[str, dict[str, Any] | list[Any]] = field(default_factory=dict)
    """A list of values, a list of tables that change several values together, or a range `{ from =
    4400, to = 4499 }`; `elsewhere` is the reason why the document may contain the usual value as
    text."""


class LabTable(Table):
    """The keys at the top of the file. The keys of the tables are described below."""

    name: str
    """Kebab-case, at most 30 characters."""
    title: str
    """The lab's name in reports."""
    document: str
    """The file that people follow."""
    language: str = "en"
    """The document's language: `de`, `en`, `es`, `fr`, `it`, `pt`; in any other language, neither
    sentences nor spelling are checked."""
    prompt: str | list[str] = ""
    """Prompts before the document's commands, in addition to the usual ones."""
    requires: list[str] = field(default_factory=list)
    """Labs that are done before; the document can use what they have made."""
    values: dict[str, Any] = field(default_factory=dict)
    """Values for checks and claims; `--set KEY=VALUE` changes one, and `{{KEY}}` stands for
    it."""
    states: dict[str, list[str]] = field(default_factory=dict)
    """Named states of a machine, each a list of the steps that are done in it. Each state contains
    the one before; the first one begins with `docker`, which all labs have."""
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
