"""Reads a roster: CSV as spreadsheets write it, or YAML. All that is wrong is told at once."""

from __future__ import annotations

import csv
import difflib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from labwright.batch.student import ID, Student, jump_of, normal_target
from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from labwright.lab.model import Lab

REQUIRED = ("id", "target")
KNOWN = (*REQUIRED, "name", "email", "user", "port", "jump", "host_key")
ALSO_READ = ("login", "section", "canvas_id", "sis_id", "moodle_id")
"""Columns that a gradebook takes over, where there are any."""
ALIASES = {
    "student": "id",
    "student_id": "id",
    "id_number": "id",
    "idnumber": "id",
    "email_address": "email",
    "full_name": "name",
    "host": "target",
    "address": "target",
    "machine": "target",
    "username": "login",
    "jump_host": "jump",
    "proxy_jump": "jump",
    "hostkey": "host_key",
}
"""What exports of learning platforms, and people, call the same columns."""
HOST_KEY = re.compile(r"(ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,2}")
LARGEST = 16 << 20
"""Bytes of a roster: whatever is larger is something else."""
MOST_TOLD = 40
"""Mistakes that are listed; more are counted."""


@dataclass(frozen=True)
class Cell:
    """What a roster has in one place."""

    text: str
    row: int
    """The line of the file, as an editor counts, and a spreadsheet too as a rule."""


Record = dict[str, Cell]


class Mistakes:
    """What is wrong with a roster, collected."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[tuple[int, str]] = []

    def add(self, row: int, column: str, message: str) -> None:
        """Note a mistake; no column: it is the row's."""
        where = f'column "{column}": ' if column else ""
        self._found.append((row, f"{where}{message}"))

    def check(self) -> None:
        """Raise all of them, if there are any.

        :raises UsageError: there are.
        """
        if not self._found:
            return
        lines = [f"{self._path}:{row}: {message}" for row, message in sorted(self._found)]
        if len(lines) > MOST_TOLD:
            lines[MOST_TOLD:] = [f"... and {len(lines) - MOST_TOLD} more"]
        many = "1 mistake" if len(self._found) == 1 else f"{len(self._found)} mistakes"
        raise UsageError("\n".join([f"{many} in the roster, so nothing was started:", *lines]))


@dataclass(frozen=True)
class Roster:
    """The students of a class, in the order of the file."""

    students: tuple[Student, ...]
    unused: tuple[str, ...]
    """Columns that mean nothing to labwright; a rule of the instructor's may read them."""


def read(path: Path, lab: Lab) -> Roster:
    """Read a roster; columns that are named like a value of the lab set it.

    :raises UsageError: it cannot be read, or something in it is wrong.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: larger than {LARGEST >> 20} MiB, so not a roster")
        raw = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: the roster cannot be read: {problem.strerror}") from None
    mistakes = Mistakes(path)
    text = _decoded(path, raw)
    form = _yaml_records if path.suffix.lower() in (".yaml", ".yml") else _csv_records
    canonical = _columns(lab.values)
    records = list(form(text, canonical, mistakes))
    unused = _unused(records, lab.values, mistakes)
    students = [_student(record, lab, mistakes) for record in records]
    found = [student for student in students if student]
    _duplicates(records, mistakes)
    mistakes.check()
    if not found:
        raise UsageError(f"{path}: the roster has no students")
    return Roster(tuple(found), unused)


def _decoded(path: Path, raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        row = raw.count(b"\n", 0, problem.start) + 1
        raise UsageError(
            f"{path}:{row}: not UTF-8 (byte 0x{raw[problem.start]:02x}): save it as UTF-8; a "
            'spreadsheet calls that "CSV UTF-8"'
        ) from None


def _columns(lab_values: Collection[str]) -> Callable[[str], str]:
    """Return what makes a column's name ours: case and blanks do not matter."""

    def canonical(name: str) -> str:
        plain = re.sub(r"[\s-]+", "_", name.strip()).lower()
        return plain if plain in lab_values else ALIASES.get(plain, plain)

    return canonical


def _csv_records(
    text: str, canonical: Callable[[str], str], mistakes: Mistakes
) -> Iterator[Record]:
    """Yield the rows of a CSV file: comma, semicolon or tab, as its heading has it."""
    lines = text.splitlines(keepends=True)
    told = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None  # Excel's own hint
    heading = next((line for line in lines[1 if told else 0 :] if line.strip(' \t\r\n,;"')), "")
    delimiter = told[1] if told else max(",;\t", key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    try:
        if told:
            next(reader)
        end = reader.line_num
        for cells in reader:
            row, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _heading(cells, row, canonical, mistakes)
                continue
            if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
                mistakes.add(row, "", f"{len(cells)} cells, but only {len(names)} columns")
            yield {name: Cell(cell.strip(), row) for name, cell in zip(names, cells, strict=False)}
    except csv.Error as problem:
        mistakes.add(end + 1, "", f"not CSV: {problem} (is a quote not closed?)")


def _heading(
    cells: list[str], row: int, canonical: Callable[[str], str], mistakes: Mistakes
) -> list[str]:
    names = [canonical(cell) for cell in cells]
    for place, name in enumerate(names):
        if name and name in names[:place]:
            mistakes.add(row, cells[place].strip(), "the column is there twice")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        mistakes.add(
            row,
            "",
            f"no column {' and no column '.join(missing)}: the first row must name the columns, "
            f"of which labwright knows {', '.join(KNOWN)}",
        )
        mistakes.check()
    return names


def _yaml_records(
    text: str, canonical: Callable[[str], str], mistakes: Mistakes
) -> Iterator[Record]:
    """Yield the mappings of a YAML list, or of the list under ``students``.

    The nodes are read, not what YAML makes of them: an id of 007 stays 007.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        why = getattr(problem, "problem", None) or problem
        mistakes.add(mark.line + 1 if mark else 1, "", f"not YAML: {why}")
        return
    if isinstance(root, yaml.MappingNode):
        root = next((value for key, value in root.value if key.value == "students"), root)
    if not isinstance(root, yaml.SequenceNode):
        mistakes.add(1, "", "not a list of students: write `- id: ...` for each")
        return
    for node in root.value:
        row = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            mistakes.add(row, "", "not a student: write `- id: ...` and `target: ...`")
            continue
        yield _yaml_record(node, canonical, mistakes)


def _yaml_record(
    node: yaml.MappingNode, canonical: Callable[[str], str], mistakes: Mistakes
) -> Record:
    record: Record = {}
    for key, value in node.value:
        row = key.start_mark.line + 1
        name = canonical(str(key.value))
        if name in record:
            mistakes.add(row, str(key.value), "it is there twice")
        if not isinstance(value, yaml.ScalarNode):
            mistakes.add(row, str(key.value), "one value is wanted, not a list or a mapping")
            continue
        null = value.tag == "tag:yaml.org,2002:null"
        record[name] = Cell("" if null else value.value.strip(), row)
    for name in REQUIRED:
        record.setdefault(name, Cell("", node.start_mark.line + 1))
    return record


def _unused(
    records: list[Record], lab_values: Collection[str], mistakes: Mistakes
) -> tuple[str, ...]:
    """Return the columns that mean nothing to us; one that looks misspelt is a mistake."""
    known = [*KNOWN, *ALSO_READ, *lab_values]
    rows = {name: cell.row for record in reversed(records) for name, cell in record.items()}
    unused = [name for name in rows if name and name not in known]
    for name in unused:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        if close:
            mistakes.add(rows[name], name, f"not a column that labwright knows; {close[0]}?")
    return tuple(sorted(unused))


def _student(record: Record, lab: Lab, mistakes: Mistakes) -> Student | None:
    row = next(iter(record.values())).row

    def text(name: str) -> str:
        return record[name].text if name in record else ""

    problems: dict[str, str] = {}
    for name, cell in record.items():
        if any(ord(character) < 32 for character in cell.text):
            problems[name] = "a line break or another control character is in it"
    if not ID.fullmatch(text("id")):
        problems["id"] = (
            f"not an id: {text('id')[:60]!r}: it names a folder; begin with a letter or digit and "
            "go on with those and . _ @ + -"
            if text("id")
            else "there is none"
        )
    target = _tried(
        "target", problems, lambda: normal_target(*map(text, ("target", "user", "port")))
    )
    jump = _tried("jump", problems, lambda: jump_of(text("jump"))) if text("jump") else ""
    if text("host_key") and not HOST_KEY.match(text("host_key")):
        problems["host_key"] = (
            "not a public key: copy type and key, `ssh-ed25519 AAAA...`, from "
            "/etc/ssh/ssh_host_ed25519_key.pub"
        )
    if text("email") and "@" not in text("email"):
        problems["email"] = f"not an address: {text('email')[:60]!r}"
    if not text("target"):
        problems["target"] = "there is none"
    values = {name: text(name) for name in sorted(lab.values) if text(name)}
    for name, value in values.items():
        _tried(name, problems, lambda pair=f"{name}={value}": str(lab.values_with([pair])))  # type: ignore[misc]
    for name, message in problems.items():
        mistakes.add(record[name].row if name in record else row, name, message)
    if problems:
        return None
    return Student(
        id=text("id"),
        target=target,
        name=text("name"),
        email=text("email"),
        jump=jump,
        host_key=" ".join(text("host_key").split()[:2]),
        values=values,
        extra={n: c.text for n, c in record.items() if n and n not in KNOWN and n not in values},
        row=row,
    )


def _tried(name: str, problems: dict[str, str], parse: Callable[[], str]) -> str:
    try:
        return parse()
    except UsageError as problem:
        problems[name] = str(problem)
        return ""


def _duplicates(records: list[Record], mistakes: Mistakes) -> None:
    """An id is a folder's name, and some systems know no capitals there."""
    first: dict[str, Cell] = {}
    for cell in (record["id"] for record in records if "id" in record):
        before = first.setdefault(cell.text.casefold(), cell)
        if cell.text and before is not cell:
            mistakes.add(cell.row, "id", f"{cell.text} is also the id of row {before.row}")
