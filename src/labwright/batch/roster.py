"""Reads a roster: the students of a class and their targets. All errors are reported at once."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labwright.batch.roster_columns import ALSO_READ, EMPTY, KNOWN, REQUIRED, columns, plain
from labwright.batch.roster_table import Cell, Mistakes, read_table
from labwright.batch.student import ID, Student, jump_of, normal_target
from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from labwright.batch.roster_columns import Columns, Record
    from labwright.batch.roster_table import Table
    from labwright.lab.model import Lab

HOST_KEY = re.compile(r"(ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,2}")
IDS = ("id", "login", "email", "canvas_id", "sis_id", "moodle_id")
"""Columns by which a second file can identify a student."""
MONTHS = (
    # Not words that only begin like one: 12-mary is an id.
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    "|oct(ober)?|nov(ember)?|dec(ember)?"
    # German, French, Spanish, Italian, Dutch and Swedish months with other spellings.
    "|mrz|mai|okt|dez|avr|juin|ene|abr|dic|giu|lug|ott|mei|mrt|maj"
)
MANGLED = {
    r"\d+([.,]\d+)?[eE]\+\d+": "a spreadsheet shortened the number, and its last digits are lost",
    r"\d+[.,]0+": "a spreadsheet turned it into a number",
    r"#(####*|REF!|NAME\?|N/A|VALUE!)": "it is a spreadsheet's error value, not an id",
    rf"(?i)\d{{1,2}}[-. ]({MONTHS})\.?|({MONTHS})\.?[-. ]\d{{2,4}}"
    r"|\d{1,2}(?P<between>[.-])\d{1,2}(?P=between)(19|20)\d\d": (
        "a spreadsheet turned it into a date"
    ),
}
"""Ids that a spreadsheet has damaged; the original id is lost."""
HOW_TO_KEEP = "format the column as text in the spreadsheet, then enter the ids again"


@dataclass(frozen=True)
class Roster:
    """The students of a class, in the order of the file."""

    students: tuple[Student, ...]
    unused: tuple[str, ...]
    """Columns that labwright does not use; an instructor's grade rule can read them."""
    notes: tuple[str, ...] = ()
    """Notes on how it was read."""
    skipped: tuple[str, ...] = ()
    """Errors in rows that were left out."""


@dataclass(frozen=True)
class Reading:
    """Options for reading a roster."""

    targets: Path | None = None
    """A second file, with the target of each id."""
    encoding: str | None = None
    skip_bad_rows: bool = False
    needs_target: bool = True
    """False if no machine is contacted, because students hand in files."""


def read(path: Path, lab: Lab, how: Reading | None = None) -> Roster:
    """Read a roster. A column with the name of one of the lab's values sets that value.

    :raises UsageError: the file cannot be read, or has errors.
    """
    how = how or Reading()
    mistakes = Mistakes(path)
    table = read_table(path, mistakes, how.encoding)
    found = columns(table, lab.values)
    _heading(table, found, mistakes, needs_target=how.needs_target and not how.targets)
    records = found.records
    notes = [table.note] if table.note else []
    if found.id_from:
        notes.append(f"{path}: a {found.kind.capitalize()} export: ids from {found.id_from}")
    others = None
    if how.targets:
        records, others = _joined(records, how, lab)
        if others.lines and not how.skip_bad_rows:
            others.check()
    unused = () if found.kind else _unused(records, lab.values, mistakes)
    drafts = [(record, _student(record, lab, mistakes, how)) for record in records]
    _duplicates(records, mistakes)
    _lost_zeros(records, mistakes)
    if not how.skip_bad_rows:
        mistakes.check()
    bad = mistakes.rows
    students = [student for record, student in drafts if student and not _rows(record) & bad]
    if not students:
        mistakes.check()
        raise UsageError(f"{path}: the roster has no students")
    skipped = (*(others.lines if others else ()), *mistakes.lines)
    return Roster(tuple(students), unused, tuple(notes), skipped)


def _rows(record: Record) -> set[int]:
    return {cell.row for cell in record.values()}


def _heading(table: Table, found: Columns, mistakes: Mistakes, *, needs_target: bool) -> None:
    """Check that each required column is there once."""
    heading = table.heading
    seen: set[str] = set()
    for cell in heading:
        if cell.text and plain(cell.text) in seen:
            mistakes.add(cell.row, cell.text, "there are two columns with this name")
        seen.add(plain(cell.text))
    if not found.records:
        return
    has = {name for record in found.records for name in record}
    missing = [n for n in REQUIRED if n not in has and (needs_target or n != "target")]
    if missing and not table.by_name:
        known = f"of which labwright knows {', '.join(KNOWN)}"
        if found.kind and missing == ["target"]:
            known = "so add one to the export, or give a second file by --targets"
        mistakes.fail(
            heading[0].row if heading else 1,
            "",
            f"no column {' and no column '.join(missing)}: the first row must name the columns, "
            f"{known}",
        )


def _joined(records: list[Record], how: Reading, lab: Lab) -> tuple[list[Record], Mistakes]:
    """Return the rows with the targets from a second file, matched by any id of a student."""
    assert how.targets  # noqa: S101
    mistakes = Mistakes(how.targets)
    second = columns(read_table(how.targets, mistakes, how.encoding), lab.values)
    places: dict[str, set[int]] = {}
    for place, record in enumerate(records):
        for key in IDS:
            if record.get(key, EMPTY).text:
                places.setdefault(record[key].text.casefold(), set()).add(place)
    joined = [{**record, "target": record.get("target", EMPTY)} for record in records]
    given: dict[int, int] = {}
    for record in second.records:
        id = next((record[key] for key in IDS if record.get(key, EMPTY).text), EMPTY)
        target = record.get("target", EMPTY)
        found = places.get(id.text.casefold(), set())
        row = id.row or min(_rows(record), default=1)
        if not found:
            mistakes.add(row, "id", f"{id.text[:60]!r} is not in the roster")
        elif len(found) > 1:
            mistakes.add(row, "id", f"{id.text[:60]!r} fits {len(found)} students of the roster")
        elif (place := min(found)) in given:
            mistakes.add(row, "id", f"{id.text[:60]!r} already has a target in row {given[place]}")
        else:
            given[place] = row
            at = min(_rows(records[place]), default=1)
            own = {k: c for k, c in record.items() if k not in IDS and c.text}
            more = {k: replace(c, row=at) for k, c in own.items()}
            joined[place].update({**more, "target": replace(target, row=at)})
    return joined, mistakes


def _unused(
    records: list[Record], lab_values: Collection[str], mistakes: Mistakes
) -> tuple[str, ...]:
    """Return the columns that labwright does not use; a misspelt column is an error."""
    known = [*KNOWN, *ALSO_READ, *lab_values]
    rows = {name: cell.row for record in reversed(records) for name, cell in record.items()}
    names = {"first_name", "last_name", "firstname", "lastname", "surname"}
    unused = [name for name in rows if name and name not in known and name not in names]
    for name in unused:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        if close:
            mistakes.fail(rows[name], name, f"unknown column; did you mean {close[0]}?")
    return tuple(sorted(unused))


@dataclass
class _Problems:
    """The errors of one row, by column."""

    found: dict[str, str] = field(default_factory=dict)

    def tried(self, name: str, parse: Callable[[], str]) -> str:
        """Return the parsed cell, or note its error and return ""."""
        try:
            return parse()
        except UsageError as problem:
            self.found[name] = str(problem)
            return ""


def _student(record: Record, lab: Lab, mistakes: Mistakes, how: Reading) -> Student | None:
    row = next((cell.row for cell in record.values() if cell.row), 1)
    problems = _Problems()

    def text(name: str) -> str:
        return record.get(name, EMPTY).text

    for name, cell in record.items():
        if any(ord(character) < 32 for character in cell.text):
            problems.found[name] = "it contains a line break or another control character"
        elif cell.odd and name in (*KNOWN, *ALSO_READ, *lab.values):
            problems.found[name] = cell.odd
    _check_ids(record, problems)
    target = (
        ""
        if not (text("target") or how.needs_target)
        else problems.tried("target", lambda: normal_target(*map(text, ("target", "user", "port"))))
    )
    jump = problems.tried("jump", lambda: jump_of(text("jump"))) if text("jump") else ""
    if text("host_key") and not HOST_KEY.match(text("host_key")):
        problems.found["host_key"] = (
            "not a public key: copy type and key, `ssh-ed25519 AAAA...`, from "
            "/etc/ssh/ssh_host_ed25519_key.pub"
        )
    if text("email") and "@" not in text("email"):
        problems.found["email"] = f"not an address: {text('email')[:60]!r}"
    if how.needs_target and not text("target"):
        problems.found["target"] = "it is missing"
    values = {name: text(name) for name in sorted(lab.values) if text(name)}
    for name, value in values.items():
        problems.tried(name, lambda pair=f"{name}={value}": str(lab.values_with([pair])))  # type: ignore[misc]
    for name, message in problems.found.items():
        mistakes.add(record[name].row if record.get(name, EMPTY).row else row, name, message)
    if problems.found:
        return None
    extra = {n: c.text for n, c in record.items() if n and n not in KNOWN and n not in values}
    if "participant" in extra:
        extra["participant"] = extra["participant"].rpartition(" ")[2]
    return Student(
        id=text("id"),
        target=target,
        name=text("name"),
        email=text("email"),
        jump=jump,
        host_key=" ".join(text("host_key").split()[:2]),
        values=values,
        extra=extra,
        row=row,
    )


def _check_ids(record: Record, problems: _Problems) -> None:
    """Refuse ids that a spreadsheet has damaged, or that cannot be a folder's name."""
    for name in ("id", "canvas_id", "sis_id", "moodle_id", "login"):
        id = record.get(name, EMPTY).text
        for pattern, why in MANGLED.items():
            if re.fullmatch(pattern, id):
                problems.found.setdefault(name, f"{id[:60]!r}: {why}: {HOW_TO_KEEP}")
    id = record.get("id", EMPTY).text
    if "id" not in problems.found and not ID.fullmatch(id):
        problems.found["id"] = (
            f"not an id: {id[:60]!r}: it becomes a folder's name, so it must begin with a letter "
            "or digit and have only letters, digits and . _ @ + -"
            if id
            else "it is missing"
        )


def _duplicates(records: list[Record], mistakes: Mistakes) -> None:
    """Refuse ids that are equal, or differ only in case or in leading zeros.

    An id is a folder's name, and some file systems ignore case. A spreadsheet may have made 7
    of 007.
    """
    first: dict[str, Cell] = {}
    for cell in (record["id"] for record in records if "id" in record):
        number = cell.text.isascii() and cell.text.isdigit()
        same = cell.text.lstrip("0") if number else cell.text.casefold()
        before = first.setdefault(same, cell)
        if cell.text and before is not cell:
            what = f"{cell.text} is also the id of row {before.row}"
            if before.text.casefold() != cell.text.casefold():
                what += f", {before.text}, without the zeros that a spreadsheet may have removed"
            mistakes.add(cell.row, "id", what)
            mistakes.doubtful.add(before.row)


def _lost_zeros(records: list[Record], mistakes: Mistakes) -> None:
    """Refuse an id that is shorter than the others if others begin with a zero."""
    cells = [record["id"] for record in records if "id" in record]
    numbers = [cell for cell in cells if cell.text.isascii() and cell.text.isdigit()]
    zeros = [cell.text for cell in numbers if cell.text.startswith("0")]
    if not zeros or len({len(text) for text in zeros}) != 1 or len(numbers) != len(cells):
        return
    width = len(zeros[0])
    if all(len(cell.text) <= width for cell in numbers):
        for cell in (cell for cell in numbers if len(cell.text) < width):
            mistakes.add(
                cell.row,
                "id",
                f"{cell.text} has {len(cell.text)} digits and others have {width}: a spreadsheet "
                f"may have removed leading zeros: {HOW_TO_KEEP}",
            )
