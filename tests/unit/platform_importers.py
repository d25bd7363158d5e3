"""What Moodle and Canvas do with a file, after the rules that are read in their sources.

Moodle: ``grade/import/csv/classes/load_data.php``. Canvas: ``lib/gradebook_importer.rb``.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field


class Refused(Exception):  # noqa: N818
    """The platform takes nothing of the file."""


@dataclass
class Moodle:
    """A gradebook of Moodle's: users by one field, grades and feedback by user."""

    users: set[str]
    grades: dict[str, float] = field(default_factory=dict)
    feedback: dict[str, str] = field(default_factory=dict)
    most: float = 100.0

    def take(self, text: str) -> None:
        _, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        grades, feedback, user = dict(self.grades), dict(self.feedback), ""
        for identifier, grade, said in (map(str.strip, row) for row in rows if len(row) > 1):
            if identifier and identifier != "0":  # what PHP takes for empty
                user = identifier
                if user not in self.users:
                    raise Refused(f"no user {user}")
            if not user:
                raise Refused("no user")
            if grade in ("", "-"):
                grades.pop(user, None)
            else:
                if not re.fullmatch(r"-?\d+(\.\d+)?", grade):
                    raise Refused(f"bad grade {grade}")
                if float(grade) > self.most:
                    raise Refused(f"{grade} is too big")
                grades[user] = float(grade)
            feedback[user] = said
        self.grades, self.feedback = grades, feedback


@dataclass
class CanvasUser:
    id: int
    name: str
    sis: str
    login: str


@dataclass
class Canvas:
    """A course of Canvas's: assignments by id, grades by user and assignment."""

    users: list[CanvasUser]
    titles: dict[int, str] = field(default_factory=dict)
    points: dict[int, float] = field(default_factory=dict)
    grades: dict[tuple[str, int], str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def take(self, text: str) -> None:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [*next(rows)]
        if not ("Student" in header[0] and "ID" in header[1] and "Section" in header[4]):
            raise Refused("Invalid header row")
        assert header[2:4] == ["SIS User ID", "SIS Login ID"]
        totals = "(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)"
        columns = {
            place: self._assignment(title)
            for place, title in enumerate(header)
            if place > 4 and not re.search(totals, title)
        }
        for row in rows:
            cells = [self._number(cell) for cell in row]
            if "Points Possible" in cells[0]:
                for place, id in columns.items():
                    if cells[place]:
                        self.points[id] = float(cells[place])
                continue
            user = self._user(cells)
            if user is None:
                self.unknown.append(cells[0])
                continue
            for place, id in columns.items():
                if cells[place].strip():
                    self.grades[user.name, id] = cells[place]
                else:
                    self.grades.pop((user.name, id), None)

    def _assignment(self, name: str) -> int:
        match = re.fullmatch(r"(.*)\s\((\d+)\)", name)
        if match and int(match[2]) in self.titles:
            return int(match[2])
        for id, title in self.titles.items():
            if title == name:
                return id
        new = -1 - len(self.titles)
        self.titles[new] = match[1] if match else name
        return new

    def _user(self, cells: list[str]) -> CanvasUser | None:
        number = int((re.match(r"\s*-?\d+", cells[1]) or ["0"])[0])  # Ruby's to_i
        tests = (
            lambda user: user.id == number,
            lambda user: cells[2] and user.sis == cells[2],
            lambda user: cells[3] and user.login == cells[3],
            lambda user: user.name == cells[0],
        )
        for test in tests:
            for user in self.users:
                if test(user):
                    return user
        return None

    @staticmethod
    def _number(cell: str) -> str:
        """Thousands' separators are left out, and a decimal comma is made a point."""
        if not re.fullmatch(r"-?[0-9.,]+%?", cell):
            return cell
        *whole, last = re.split("[,.]", cell)
        return f"{''.join(whole)}.{last}" if whole else last
