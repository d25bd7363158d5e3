"""The columns of a roster: labwright's own, and those of Canvas and Moodle exports."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labwright.batch.roster_table import Cell

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from labwright.batch.roster_table import Table

REQUIRED = ("id", "target")
KNOWN = (*REQUIRED, "name", "email", "user", "port", "jump", "host_key")
ALSO_READ = ("login", "section", "canvas_id", "sis_id", "moodle_id", "participant")
"""Columns that are copied to the platforms' files."""
ALIASES = {
    "student": "id",
    "student_id": "id",
    "id_number": "id",
    "idnumber": "id",
    "email_address": "email",
    "e_mail": "email",
    "mail": "email",
    "full_name": "name",
    "host": "target",
    "address": "target",
    "machine": "target",
    "username": "login",
    "jump_host": "jump",
    "proxy_jump": "jump",
    "hostkey": "host_key",
}
"""Other names for the same columns, as platforms and people write them."""
CANVAS = {
    "student": "name",
    "id": "canvas_id",
    "sis_user_id": "sis_id",
    "sis_login_id": "login",
    "section": "section",
}
MOODLE = {
    "id_number": "moodle_id",
    "identifier": "participant",
    "email_address": "email",
    "full_name": "name",
    "username": "login",
}
Record = dict[str, Cell]


@dataclass(frozen=True)
class Columns:
    """The rows of a table, with their columns identified."""

    records: list[Record]
    kind: str = ""
    """The platform that exported it: ``canvas``, ``moodle`` or ""."""
    id_from: str = ""
    """The column of the export from which the ids are taken."""


def plain(name: str) -> str:
    """Return a column's name for comparison: lower case, without spaces."""
    return re.sub(r"[\s-]+", "_", name.strip()).lower()


def kind_of(heading: Sequence[str]) -> str:
    """Return which platform exported a table with this heading, or ""."""
    names = {plain(name) for name in heading}
    if "id" in names and {"sis_login_id", "section"} & names and {"student", "lastname"} & names:
        return "canvas"
    if {"first_name", "last_name"} <= names or {"first_name", "surname"} <= names:
        return "moodle" if {"email_address", "id_number", "username"} & names else ""
    return "moodle" if {"identifier", "full_name"} <= names else ""


def columns(table: Table, lab_values: Collection[str]) -> Columns:
    """Return the rows of a table with their columns identified."""
    heading = [cell.text for cell in table.heading]
    kind = kind_of(heading)
    names = [_name(text, kind, lab_values) for text in heading]
    records = [dict(zip(names, row, strict=False)) for row in table.rows]
    records = [_with_name(record) for record in records]
    if kind == "canvas":
        records = [record for record in records if _is_student(record)]
    if not kind or "id" in names:
        return Columns(records, kind)
    keys = ("sis_id", "login", "canvas_id") if kind == "canvas" else ("moodle_id", "login", "email")
    # The first column that every row has. With ids from several columns, a later export
    # could give the same id to another student.
    key = next(
        (k for k in keys if records and all(r.get(k, EMPTY).text for r in records)), keys[-1]
    )
    return Columns([{**r, "id": r.get(key, EMPTY)} for r in records], kind, key)


EMPTY = Cell("", 0)


def _name(text: str, kind: str, lab_values: Collection[str]) -> str:
    name = plain(text)
    if name in lab_values:
        return name
    if kind == "canvas":
        name = CANVAS.get(name, name)
    if kind == "moodle":
        name = MOODLE.get(name, name)
    # In a platform's export, "student" is the name; in people's own lists it is the id.
    return name if kind and name == "id" else ALIASES.get(name, name)


def _with_name(record: Record) -> Record:
    """Return a row whose name is joined from first and last name."""
    first = record.get("first_name", record.get("firstname", EMPTY))
    last = record.get("last_name", record.get("lastname", record.get("surname", EMPTY)))
    if "name" in record or not (first.text or last.text):
        return record
    return {**record, "name": replace(first, text=f"{first.text} {last.text}".strip())}


def _is_student(record: Record) -> bool:
    """Whether a row of a Canvas export is a student: the export also has three other rows."""
    name = record.get("name", EMPTY).text
    if "points possible" in name.lower() or name in ("Student, Test", "Test Student"):
        return False
    return any(record.get(key, EMPTY).text for key in ("name", "canvas_id", "login", "sis_id"))
