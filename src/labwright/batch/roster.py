"""Reads a roster: who is graded, and where. All mistakes in it are reported at once."""

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
"""Columns by which a second file may name a student."""
MONTHS = (
    # Not what only begins like one: 12-mary is an id.
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    "|oct(ober)?|nov(ember)?|dec(ember)?"
    # In German, French, Spanish, Italian, Dutch and Swedish, where they are written otherwise.
    "|mrz|mai|okt|dez|avr|juin|ene|abr|dic|giu|lug|ott|mei|mrt|maj"
)
MANGLED = {
    r"\d+([.,]\d+)?[eE]\+\d+": "a spreadsheet has written a number short, its end is lost",
    r"\d+[.,]0+": "a spreadsheet has made a number of it",
    r"#(####*|REF!|NAME\?|N/A|VALUE!)": "it is a spreadsheet's error, not an id",
    rf"(?i)\d{{1,2}}[-. ]({MONTHS})\.?|({MONTHS})\.?[-. ]\d{{2,4}}"
    r"|\d{1,2}(?P<between>[.-])\d{1,2}(?P=between)(19|20)\d\d": (
        "a spreadsheet has made a date of it"
    ),
}
"""What spreadsheets do to ids; what was there before is lost."""
HOW_TO_KEEP = "make the column text in the spreadsheet, and enter the ids again"


@dataclass(frozen=True)
class Roster:
    """The students of a class, in the order of the file."""

    students: tuple[Student, ...]
    unused: tuple[str, ...]
    """Columns that mean nothing to labwright; a rule of the instructor's may read them."""
    notes: tuple[str, ...] = ()
    """Notes on how it was read."""
    skipped: tuple[str, ...] = ()
    """The mistakes in rows that were left out."""


@dataclass(frozen=True)
class Reading:
    """How a roster is to be read."""

    targets: Path | None = None
    """A second file, with the target of each id."""
    encoding: str | None = None
    skip_bad_rows: bool = False
    needs_target: bool = True
    """Nobody is reached where all is handed in."""


def read(path: Path, lab: Lab, how: Reading | None = None) -> Roster:
    """Read a roster; columns that are named like a value of the lab set it.

    :raises UsageError: it cannot be read, or something in it is wrong.
    """
    how = how or Reading()
    mistakes = Mistakes(path)
    table = read_table(path, mistakes, how.encoding)
    found = columns(table, lab.values)
    _heading(table, found, mistakes, needs_target=how.needs_target and not how.targets)
    records = found.records
    notes = [table.note] if table.note else []
    if found.id_from:
        notes.append(f"{path}: an export of {found.kind.capitalize()}: the ids are {found.id_from}")
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
    """Check that the columns that are needed are there, and each once."""
    heading = table.heading
    seen: set[str] = set()
    for cell in heading:
        if cell.text and plain(cell.text) in seen:
            mistakes.add(cell.row, cell.text, "the column is there twice")
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
    """Return the rows with the targets of a second file, by any of the ids that a student has."""
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
            mistakes.add(row, "id", f"{id.text[:60]!r} may be {len(found)} students of the roster")
        elif (place := min(found)) in given:
            mistakes.add(row, "id", f"{id.text[:60]!r} has a target in row {given[place]} already")
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
    """Return the columns that mean nothing to us; one that looks misspelt is a mistake."""
    known = [*KNOWN, *ALSO_READ, *lab_values]
    rows = {name: cell.row for record in reversed(records) for name, cell in record.items()}
    names = {"first_name", "last_name", "firstname", "lastname", "surname"}
    unused = [name for name in rows if name and name not in known and name not in names]
    for name in unused:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        if close:
            mistakes.fail(rows[name], name, f"not a column that labwright knows; {close[0]}?")
    return tuple(sorted(unused))


@dataclass
class _Problems:
    """What is wrong with one row, by column."""

    found: dict[str, str] = field(default_factory=dict)

    def tried(self, name: str, parse: Callable[[], str]) -> str:
        """Return what a cell means, or note that it means nothing."""
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
            problems.found[name] = "a line break or another control character is in it"
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
        problems.found["target"] = "there is none"
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
    """Refuse ids that a spreadsheet has mangled, and those that can name no folder."""
    for name in ("id", "canvas_id", "sis_id", "moodle_id", "login"):
        id = record.get(name, EMPTY).text
        for pattern, why in MANGLED.items():
            if re.fullmatch(pattern, id):
                problems.found.setdefault(name, f"{id[:60]!r}: {why}: {HOW_TO_KEEP}")
    id = record.get("id", EMPTY).text
    if "id" not in problems.found and not ID.fullmatch(id):
        problems.found["id"] = (
            f"not an id: {id[:60]!r}: it names a folder; begin with a letter or digit and "
            "go on with those and . _ @ + -"
            if id
            else "there is none"
        )


def _duplicates(records: list[Record], mistakes: Mistakes) -> None:
    """An id is a folder's name, and some systems know no capitals there.

    Of 007 and 7, one is the other with its zeros lost.
    """
    first: dict[str, Cell] = {}
    for cell in (record["id"] for record in records if "id" in record):
        number = cell.text.isascii() and cell.text.isdigit()
        same = cell.text.lstrip("0") if number else cell.text.casefold()
        before = first.setdefault(same, cell)
        if cell.text and before is not cell:
            what = f"{cell.text} is also the id of row {before.row}"
            if before.text.casefold() != cell.text.casefold():
                what += f", {before.text}, but for zeros that a spreadsheet may have removed"
            mistakes.add(cell.row, "id", what)
            mistakes.doubtful.add(before.row)


def _lost_zeros(records: list[Record], mistakes: Mistakes) -> None:
    """Refuse a number that is shorter than all others, where others begin with a zero."""
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
                f"may have removed zeros at its beginning: {HOW_TO_KEEP}",
            )
