"""Reads a roster file as a table: CSV in the encodings that spreadsheets use, .xlsx, YAML."""

from __future__ import annotations

import csv
import datetime
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from labwright.errors import UsageError
from labwright.host import extras

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 16 << 20
"""Bytes; a larger file is not a roster."""
MOST_TOLD = 40
"""The most errors that are listed; the rest are counted."""
EXACT = 10**15
"""A spreadsheet keeps 15 digits of a number and loses the others."""
ANSI = "cp1252"
"""The encoding of Excel's plain "CSV" in western Europe and America."""


@dataclass(frozen=True)
class Cell:
    """A cell of a roster."""

    text: str
    row: int
    """The line in the file, from 1, as an editor shows it."""
    odd: str = ""
    """Why the cell is not the value that was entered; empty if it is."""


@dataclass(frozen=True)
class Table:
    """A heading and its rows, or rows that name their own columns (YAML)."""

    heading: list[Cell]
    rows: list[list[Cell]]
    note: str = ""
    """Notes on how it was read."""
    by_name: bool = False
    """Whether each row names its own columns, so that rows can have different ones."""


class Mistakes:
    """Collects the errors in a roster."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[tuple[int, str]] = []
        self.doubtful: set[int] = set()
        """Rows that are themselves correct but conflict with another row."""

    def add(self, row: int, column: str, message: str) -> None:
        """Note an error in a row; column "" means the whole row."""
        where = f'column "{column}": ' if column else ""
        self._found.append((row, f"{where}{message}"))

    def fail(self, row: int, column: str, message: str) -> None:
        """Note an error that makes all rows unreliable, and raise it with the others.

        :raises UsageError: always.
        """
        self.add(row, column, message)
        self.check()

    @property
    def rows(self) -> set[int]:
        """The rows that are unreliable."""
        return {row for row, _ in self._found} | self.doubtful

    @property
    def lines(self) -> list[str]:
        """The errors, each with its place."""
        lines = [f"{self._path}:{row}: {message}" for row, message in sorted(self._found)]
        if len(lines) > MOST_TOLD:
            lines[MOST_TOLD:] = [f"... and {len(lines) - MOST_TOLD} more"]
        return lines

    def check(self) -> None:
        """Raise the collected errors.

        :raises UsageError: there is at least one.
        """
        if self._found:
            many = "1 mistake" if len(self._found) == 1 else f"{len(self._found)} mistakes"
            raise UsageError(
                "\n".join([f"{many} in the roster, so nothing was started:", *self.lines])
            )


def read_table(path: Path, mistakes: Mistakes, encoding: str | None = None) -> Table:
    """Read a file as a table.

    :param encoding: the encoding of a CSV file, if it cannot be detected.
    :raises UsageError: the file cannot be read, or is not a table.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: larger than {LARGEST >> 20} MiB: this is not a roster")
        raw = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: the roster cannot be read: {problem.strerror}") from None
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xlsm"):
        return _spreadsheet(path, mistakes)
    if suffix in (".xls", ".ods", ".numbers"):
        raise UsageError(f"{path}: save it as .xlsx or as CSV; {suffix} cannot be read")
    text, note = _decoded(path, raw, encoding)
    if suffix in (".yaml", ".yml"):
        return _yaml(text, mistakes)
    return Table(*_csv(text, mistakes), note)


def _decoded(path: Path, raw: bytes, encoding: str | None) -> tuple[str, str]:
    if encoding:
        try:
            return raw.decode(encoding), ""
        except (LookupError, ValueError) as problem:
            raise UsageError(f"{path}: not in the encoding {encoding}: {problem}") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace"), ""
    # UTF-16 without a byte order mark: every second byte of a heading is null.
    for name, nulls in (("utf-16-le", raw[1:40:2]), ("utf-16-be", raw[0:40:2])):
        if len(nulls) > 4 and not any(nulls):
            return raw.decode(name, "replace"), ""
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError as problem:
        # Old spreadsheets on a Mac end lines with a carriage return only.
        row = len(re.split(rb"\r\n|\n|\r", raw[: problem.start]))
        where = f"{path}:{row}: not UTF-8 (byte 0x{raw[problem.start]:02x})"
    how = 'save it as "CSV UTF-8", or give --encoding cp1250, mac_roman, cp850, ...'
    try:
        text = raw.decode(ANSI)
    except UnicodeDecodeError:
        raise UsageError(f"{where}, nor Windows' western encoding: {how}") from None
    if any(ord(character) < 32 and character not in "\t\r\n" for character in text):
        raise UsageError(f"{where}, and not text: {how}")
    line = re.split("\r\n|\n|\r", text)[row - 1].strip()[:60]
    return text, f"{where}: read as Windows' western encoding: {line!r}; if that is wrong, {how}"


def _csv(text: str, mistakes: Mistakes) -> tuple[list[Cell], list[list[Cell]]]:
    """Return the rows of a CSV file; its heading shows the separator: comma, semicolon or tab."""
    lines = text.splitlines(keepends=True)
    told = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None  # Excel's own hint
    first = next((line for line in lines[1 if told else 0 :] if line.strip(' \t\r\n,;"')), "")
    delimiter = told[1] if told else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table: list[list[Cell]] = []
    end = 0
    try:
        if told:
            next(reader)
        end = reader.line_num
        for cells in reader:
            row, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            table.append([Cell(cell.strip(), row) for cell in cells])
            if any(cell.text for cell in table[-1][len(table[0]) :]):
                mistakes.add(row, "", f"{len(cells)} cells, but only {len(table[0])} columns")
    except csv.Error as problem:
        mistakes.fail(end + 1, "", f"not CSV: {problem} (is a quote not closed?)")
    return (table[0], table[1:]) if table else ([], [])


def _spreadsheet(path: Path, mistakes: Mistakes) -> Table:
    """Read the first sheet of an .xlsx file."""
    extras.require("openpyxl", ".xlsx rosters")
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    # openpyxl raises many kinds of errors on a file that is not a workbook.
    odd = (InvalidFileException, OSError, KeyError, ValueError, TypeError, EOFError, SyntaxError)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        rows = []
        for number, cells in enumerate(sheet.iter_rows(max_col=200), 1):
            if number > 100_000:
                break
            rows.append([_cell(cell, number) for cell in cells])
        book.close()
    except odd as problem:
        raise UsageError(f"{path}: not an .xlsx file: {problem}") from None
    except Exception as problem:  # noqa: BLE001  zipfile's and expat's errors, among others
        raise UsageError(f"{path}: not an .xlsx file: {problem}") from None
    filled = [row for row in rows if any(cell.text for cell in row)]
    if not filled:
        mistakes.fail(1, "", "the first sheet is empty")
    return Table(filled[0], filled[1:])


def _cell(cell: Any, row: int) -> Cell:
    """Return a cell of a spreadsheet as text."""
    value = cell.value
    if value is None:
        return Cell("", row)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return Cell(str(value), row, "the spreadsheet turned it into a date: format it as text")
    if isinstance(value, bool):
        return Cell(str(value).upper(), row)
    if isinstance(value, int | float):
        if abs(value) >= EXACT:
            return Cell(str(value), row, "digits after the 15th are lost: format it as text")
        if value != int(value):
            return Cell(str(value), row)
        zeros = cell.number_format or ""
        digits = str(int(value))
        return Cell(digits.zfill(len(zeros)) if re.fullmatch("0+", zeros) else digits, row)
    text = str(value).strip()
    odd = f"{text} is a spreadsheet's error value" if re.fullmatch("#[A-Z/0!?]+", text) else ""
    return Cell(text, row, odd)


def _yaml(text: str, mistakes: Mistakes) -> Table:
    """Return the mappings of a YAML list, or of the list under ``students``.

    The text of each node is read, not its YAML value, so the id 007 stays 007.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        mistakes.fail(1, "", "not a list of students: it is nested too deeply")
        raise AssertionError from None  # it has raised
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        why = getattr(problem, "problem", None) or problem
        mistakes.fail(mark.line + 1 if mark else 1, "", f"not YAML: {why}")
        raise AssertionError from None  # it has raised
    if isinstance(root, yaml.MappingNode):
        root = next((value for key, value in root.value if key.value == "students"), root)
    if not isinstance(root, yaml.SequenceNode):
        mistakes.fail(1, "", "not a list of students: write `- id: ...` for each")
        raise AssertionError  # it has raised
    names: dict[str, Cell] = {}
    records = []
    for node in root.value:
        if not isinstance(node, yaml.MappingNode):
            row = node.start_mark.line + 1
            mistakes.add(row, "", "not a student: write `- id: ...` and `target: ...`")
            continue
        records.append((node.start_mark.line + 1, dict(_yaml_pairs(node, mistakes))))
        for name, cell in records[-1][1].items():
            names.setdefault(name, Cell(name, cell.row))
    rows = [[found.get(name, Cell("", row)) for name in names] for row, found in records]
    return Table(list(names.values()), rows, by_name=True)


def _yaml_pairs(node: yaml.MappingNode, mistakes: Mistakes) -> Iterator[tuple[str, Cell]]:
    seen = set()
    for key, value in node.value:
        row, name = key.start_mark.line + 1, str(key.value)
        if name in seen:
            mistakes.add(row, name, "it is given twice")
        seen.add(name)
        if not isinstance(value, yaml.ScalarNode):
            mistakes.add(row, name, "give one value, not a list or a mapping")
            continue
        null = value.tag == "tag:yaml.org,2002:null"
        yield name, Cell("" if null else value.value.strip(), row)
