"""A TOML file with the place of everything in it, read into msgspec structs.

tomllib reads the file, msgspec validates it by a struct, and tree-sitter's grammar says in
which line a key stands, which neither of them says. Each error is one
:class:`DefinitionError` in words that an author knows.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import tomllib
import types
import typing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from labwright.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tree_sitter import Node

T = TypeVar("T")

Place = tuple[str | int, ...]
"""Where a value stands in a file: ``("step", 2, "points")``."""

SHOWN = 60
"""Characters that a message shows of a value."""
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)
_KEY = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


class Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of a file, each key a field. Inherit from it for each kind of table."""


@dataclass(frozen=True)
class TomlFile:
    """A file of TOML: what it says, and in which line."""

    path: Path
    text: str
    body: dict[str, Any]
    name: str = ""
    """How a message names all of it."""
    base: Place = ()
    """Where it stands in the file, if it is a part of one."""

    @classmethod
    def read(cls, path: Path, missing: str = "no such file") -> TomlFile:
        """Read a file.

        :param missing: what is said where there is none.
        :raises DefinitionError: it cannot be read, or is not TOML.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
            return cls(path, text, tomllib.loads(text))
        except FileNotFoundError:
            raise DefinitionError(path, 1, missing) from None
        except OSError as problem:
            raise DefinitionError(path, 1, f"it cannot be read: {problem.strerror}") from None
        except UnicodeDecodeError as problem:
            raise DefinitionError(path, 1, f"not UTF-8 text: {problem.reason}") from None
        except tomllib.TOMLDecodeError as problem:
            at = re.search(r"line (\d+)", str(problem))
            line = int(at[1]) if at else max(1, len(text.splitlines()))
            raise DefinitionError(path, line, f"not TOML: {problem}") from None
        except (ValueError, RecursionError) as problem:  # a number of 5,000 digits; [[[[[...
            raise DefinitionError(path, 1, f"not TOML that can be read: {problem}") from None

    def part(self, name: str, body: dict[str, Any], *place: str | int) -> TomlFile:
        """Return a table of the file by itself.

        :param name: how a message names it.
        :param body: what it says: what stands there, or what that was made into.
        """
        return replace(self, name=name, body=body, base=(*self.base, *place))

    def error(self, message: str, *place: str | int) -> DefinitionError:
        """Return an error at the line of a place."""
        return DefinitionError(self.path, self.line(*place), message)

    def line(self, *place: str | int) -> int:
        """Return the line of a place, or of the nearest thing that holds it."""
        place = (*self.base, *place)
        for length in range(len(place), 0, -1):
            if place[:length] in self._lines:
                return self._lines[place[:length]]
        return 1

    def convert(self, kind: type[T]) -> T:
        """Return what the file says as a struct.

        :raises DefinitionError: it has another shape.
        """
        try:
            return msgspec.convert(self.body, kind)
        except msgspec.ValidationError as problem:
            raise self._plain(str(problem), kind) from None

    def _plain(self, problem: str, kind: type) -> DefinitionError:
        """Return msgspec's error in words for an author, with its line."""
        found = _AT.fullmatch(problem)
        said, path = (found[1], found[2] or "") if found else (problem, "")
        place = tuple(self._place(path, problem, kind))
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL):
            known = sorted(_fields(kind, place))
            near = difflib.get_close_matches(unknown[1], known, n=1)
            advice = f"did you mean {near[0]!r}? Known" if near else "known"
            return self.error(
                f"{self.what(place)} has an unknown key {unknown[1][:SHOWN]!r}; "
                f"{advice} are: {', '.join(known)}",
                *(*place, unknown[1]),
            )
        if missing := re.fullmatch(r"Object missing required field `(.*)`", said):
            return self.error(f"{self.what(place)} has no {missing[1]!r}", *place)
        if wrong := re.fullmatch(r"Expected `(.*)`, got `.*`", said):
            return self.error(
                f"{self._named(place)} must be {_wanted(wrong[1])}, not {shown(self._at(place))}",
                *place,
            )
        if re.fullmatch(r"Invalid enum value .*", said, re.DOTALL):
            known_values = ", ".join(f"{one}" for one in _choices(kind, place))
            given = shown(self._at(place))
            return self.error(
                f"{self._named(place)} must be one of {known_values}, not {given}", *place
            )
        said = re.sub(r"^Expected `(\w+)`", lambda found: _wanted(found[1]), said)
        said = said.replace(" matching regex ", " of the form ")
        return self.error(
            f"{self._named(place)} must be {said}, not {shown(self._at(place))}", *place
        )

    def _place(self, path: str, problem: str, kind: type) -> Iterator[str | int]:
        """Yield the keys of a path of msgspec's, which does not name a dictionary's key."""
        here: Any = self.body
        for name, number in _KEY.findall(path):
            key: str | int = name or number
            if number == "...":
                key = next((k for k in here if self._fails(here, k, problem, kind)), "")
            elif number:
                key = int(number)
            yield key
            try:
                here = here[key]
            except (KeyError, IndexError, TypeError):
                return

    def _fails(self, table: dict[str, Any], key: str, problem: str, kind: type) -> bool:
        """Whether the problem is still there when a table has this key alone."""
        others = {k: table.pop(k) for k in list(table) if k != key}
        try:
            msgspec.convert(self.body, kind)
        except msgspec.ValidationError as again:
            return str(again) == problem
        else:
            return False
        finally:
            table.update(others)

    def _at(self, place: Place) -> Any:
        here: Any = self.body
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in place:
                here = here[key]
        return here

    def _named(self, place: Place) -> str:
        """Name a value: ``'points' of step 'a'``, or ``item 2 of 'needs' of step 'a'``."""
        if not place:
            return "the file"
        last, rest = place[-1], place[:-1]
        if isinstance(last, int):
            return f"item {last + 1} of {self._named(rest)}"
        return f"{last!r} of {self.what(rest)}" if rest or self.name else repr(last)

    def what(self, place: Place) -> str:
        """Name a table: ``step 'a'``, ``[machine]``, ``[[waived]]``."""
        names = [
            key if _BARE.fullmatch(key) else shown(key) for key in place if isinstance(key, str)
        ]
        if self.name:
            return self.name if not names else f"{'.'.join(names)} of {self.name}"
        if not names:
            return "the lab" if self.path.name == "lab.toml" else "the file"
        if names == ["step"] and len(place) == 2:
            step = self._at(place)
            id = step.get("id") if isinstance(step, dict) else None
            return f"step {id!r}" if isinstance(id, str) else f"step {int(place[1]) + 1}"
        if len(place) > len(names):
            return f"[[{'.'.join(names)}]]"
        return f"[{'.'.join(names)}]"

    @cached_property
    def _lines(self) -> dict[Place, int]:
        import tree_sitter
        import tree_sitter_toml

        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
        lines: dict[Place, int] = {}
        arrays: dict[Place, int] = {}
        root = parser.parse(self.text.encode()).root_node
        for node in root.named_children:
            if node.type == "pair":
                _pair(node, (), lines)
            elif node.type in ("table", "table_array_element"):
                head: Place = ()
                keys = list(_keys(node.named_children[0]))
                for number, key in enumerate(keys):
                    head = (*head, key)
                    last = number == len(keys) - 1
                    lines.setdefault(head, node.start_point.row + 1)
                    if last and node.type == "table_array_element":
                        arrays[head] = arrays.get(head, -1) + 1
                    if head in arrays:
                        head = (*head, arrays[head])
                lines.setdefault(head, node.start_point.row + 1)
                for pair in node.named_children[1:]:
                    if pair.type == "pair":
                        _pair(pair, head, lines)
        return lines


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, on one line."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _wanted(kinds: str) -> str:
    names = [name for name in kinds.split(" | ") if name != "null"]
    if "float" in names and "int" in names:
        names.remove("int")
    return " or ".join(_KINDS.get(name, name) for name in names)


def _fields(kind: Any, place: Place) -> list[str]:
    """Return the keys that the table at a place can have."""
    here = [kind]
    for key in place:
        here = [part for one in here for part in _inside(one, key)]
    structs = [one for one in here if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return [field.encode_name for struct in structs for field in msgspec.structs.fields(struct)]


def _choices(kind: Any, place: Place) -> list[Any]:
    """Return the values that are right at a place."""
    here = [kind]
    for key in place:
        here = [part for one in here for part in _inside(one, key)]
    return [
        value for one in here if typing.get_origin(one) is typing.Literal for value in one.__args__
    ]


def _inside(kind: Any, key: str | int) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        types_ = [f.type for f in msgspec.structs.fields(kind) if f.encode_name == key]
    else:
        types_ = list(typing.get_args(kind))
    return [part for one in types_ for part in _parts(one)]


def _parts(kind: Any) -> Sequence[Any]:
    """Return the members of a union; of one that is annotated, too."""
    if typing.get_origin(kind) is typing.Annotated:
        return _parts(typing.get_args(kind)[0])
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _pair(node: Node, head: Place, lines: dict[Place, int]) -> None:
    """Note the line of a key and of what its value holds."""
    key, value = node.named_children[:2]
    for name in _keys(key):
        head = (*head, name)
        lines.setdefault(head, node.start_point.row + 1)
    _value(value, head, lines)


def _value(node: Node, head: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(head, node.start_point.row + 1)
    inside = [child for child in node.named_children if child.type != "comment"]
    if node.type == "inline_table":
        for pair in inside:
            _pair(pair, head, lines)
    elif node.type == "array":
        for number, child in enumerate(inside):
            _value(child, (*head, number), lines)


def _keys(node: Node) -> Iterator[str]:
    """Yield the parts of a dotted key, without their quotes."""
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _keys(child)
    else:
        text = (node.text or b"").decode()
        yield next(iter(tomllib.loads(f"{text} = 0"))) if text[:1] in "'\"" else text
