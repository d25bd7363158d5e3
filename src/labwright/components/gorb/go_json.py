"""JSON as Go's encoding/json reads and writes it, down to the wording of its errors.

Clients of Gorb see these errors in answers, so they are part of the interface. The text is
parsed by the standard library; what is added here is Go's view of the result: typed fields,
keys in any case, ``null`` that changes nothing, and everything after the value ignored.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from labwright.components.gorb.problems import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPACE = " \t\r\n"
LITERALS = ("true", "false", "null")
SURROGATES = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON can spell and UTF-8 cannot, or a byte that is no UTF-8; Go
replaces each, too."""


class Number(str):
    """A number as it was written: errors quote it, and 4444.0 is no integer for Go."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object as it was written: a key may come twice, the last one counts."""


class Mismatch(Exception):  # noqa: N818
    """A value does not fit its field; the message is Go's name for the value."""


class Field(NamedTuple):
    """A field's type: its name in Go, and how a value that was read becomes ours."""

    type_name: str
    convert: Callable[[Any], Any]


class Struct(NamedTuple):
    """A Go struct: its package and name, and its fields by their lower-case JSON keys."""

    package: str
    name: str
    fields: Mapping[str, Field | Struct]

    @property
    def type_name(self) -> str:
        """Return the name by which Go's errors call it."""
        return f"{self.package}.{self.name}"


def unmarshal(body: bytes, struct: Struct) -> dict[str, Any]:
    """Return the fields that a body sets, of those that the struct has.

    :raises Invalid: in Go's words. As in Go, the first field that does not fit is named.
    """
    # Bytes that are no UTF-8 become halves of characters, so that errors can name them.
    value = _first_value(body.decode(errors="surrogateescape"))
    if value is None:
        return {}
    if not isinstance(value, Pairs):
        raise Invalid(
            f"json: cannot unmarshal {_kind(value)} into Go value of type {struct.type_name}"
        )
    problems: list[str] = []
    fields = _assign(struct, value, "", problems)
    if problems:
        raise Invalid(problems[0])
    return fields


def marshal(value: Any) -> bytes:
    """Write a value indented by tabs, with the characters escaped that Go escapes."""
    text = json.dumps(value, ensure_ascii=False, indent="\t")
    # None of them means anything in JSON outside strings.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _assign(struct: Struct, pairs: Pairs, path: str, problems: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        name = key.casefold()
        field = struct.fields.get(name)
        if field is None or value is None:
            continue
        if isinstance(field, Struct) and isinstance(value, Pairs):
            fields[name] = _assign(field, value, f"{path}{name}.", problems)
            continue
        try:
            fields[name] = _fitting(field, value)
        except Mismatch as seen:
            problems.append(
                f"json: cannot unmarshal {seen} into Go struct field "
                f"{struct.name}.{path}{name} of type {field.type_name}"
            )
    return fields


def _fitting(field: Field | Struct, value: Any) -> Any:
    if isinstance(field, Struct):
        raise Mismatch(_kind(value))
    return field.convert(value)


def _kind(value: Any) -> str:
    """Return Go's name for a kind of JSON value; the order matters, for two are subclasses."""
    if isinstance(value, bool):
        return "bool"
    for kind, name in ((Pairs, "object"), (list, "array"), (Number, "number")):
        if isinstance(value, kind):
            return name
    return "string"


def _string(value: Any) -> str:
    if _kind(value) != "string":
        raise Mismatch(_kind(value))
    return SURROGATES.sub("\ufffd", value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Mismatch(_kind(value))
    return value


def _integer(pattern: str, low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if not isinstance(value, Number):
            raise Mismatch(_kind(value))
        # The length first: Python refuses to read numbers of thousands of digits.
        if len(value) > 20 or not re.fullmatch(pattern, value) or not low <= int(value) <= high:
            raise Mismatch(f"number {value}")
        return int(value)

    return convert


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, Pairs):
        raise Mismatch(_kind(value))
    plain: dict[str, Any] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    """Return what Go holds in an ``interface{}``: numbers are floats, keys are sorted."""
    if isinstance(value, Pairs):
        items = {_string(key): _plain(item) for key, item in value}
        return dict(sorted(items.items()))
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Number):
        return plain_number(_float(value))
    return _string(value) if isinstance(value, str) else value


def _float(number: Number) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise Mismatch(f"number {number}")
    return value


def plain_number(value: float) -> float | int:
    """Return a float as Go prints it: whole ones without a fraction."""
    return int(value) if value == int(value) and abs(value) < 1e21 else value


STRING = Field("string", _string)
BOOL = Field("bool", _bool)
UINT16 = Field("uint16", _integer("[0-9]+", 0, 0xFFFF))
INT32 = Field("int32", _integer("-?[0-9]+", -(1 << 31), (1 << 31) - 1))
MAP = Field("util.DynamicMap", _map)


class _NotJson(ValueError):  # noqa: N818
    """Python's parser reads a word that JSON does not have."""


def _refuse(word: str) -> NoReturn:
    raise _NotJson(word)


DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=_refuse
)


def _first_value(text: str) -> Any:
    start = len(text) - len(text.lstrip(SPACE))
    if start == len(text):
        raise Invalid("EOF")
    try:
        value, end = DECODER.raw_decode(text, start)
    except json.JSONDecodeError as problem:
        raise Invalid(_wording(problem.msg, text, problem.pos)) from None
    except _NotJson as problem:
        raise Invalid(_no_value(str(problem), 0)) from None
    except RecursionError:
        raise Invalid("exceeded max depth") from None
    if broken := _broken_number(text, end):
        raise Invalid(broken)
    return value


def _wording(message: str, text: str, position: int) -> str:
    """Return what Go says where Python says ``message`` at ``position``."""
    if message.startswith("Unterminated string"):
        return "unexpected EOF"
    if message.startswith("Illegal trailing comma"):  # since Python 3.13
        position += 1
        message = "Expecting property name" if "object" in message else "Expecting value"
    if message.startswith("Expecting property name"):
        where = "looking for beginning of object key string"
    elif message.startswith("Expecting value"):
        return _no_value(text, position)
    elif broken := _broken_number(text, position):
        return broken
    elif message.startswith("Expecting ':'"):
        where = "after object key"
    elif message.startswith("Expecting ','"):
        where = (
            "after array element" if _in_array(text[:position]) else "after object key:value pair"
        )
    elif message.startswith("Invalid control character"):
        return _unexpected(text[position], "in string literal")
    elif message.startswith("Invalid \\u"):
        return _bad_hexadecimal(text, position)
    else:
        return _bad_escape(text, position)
    return _at(text, position, where)


def _at(text: str, position: int, where: str) -> str:
    return _unexpected(text[position], where) if position < len(text) else "unexpected EOF"


def _unexpected(character: str, where: str) -> str:
    """Name a character as Go does: by the first byte of its UTF-8."""
    shown = chr(character.encode(errors="surrogateescape")[0])
    quoted = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(shown)
    if quoted is None:
        quoted = shown if shown.isprintable() else f"\\x{ord(shown):02x}"
    return f"invalid character '{quoted}' {where}"


def _no_value(text: str, position: int) -> str:
    rest = text[position:].lstrip(SPACE)
    for literal in LITERALS:
        common = 0
        while common < min(len(literal), len(rest)) and rest[common] == literal[common]:
            common += 1
        if common == 0:
            continue
        if common == len(rest):
            return "unexpected EOF"
        return _unexpected(rest[common], f"in literal {literal} (expecting '{literal[common]}')")
    if rest == "-":
        return "unexpected EOF"
    if rest.startswith("-"):
        return _unexpected(rest[1], "in numeric literal")
    return _unexpected(rest[0], "looking for beginning of value") if rest else "unexpected EOF"


def _broken_number(text: str, position: int) -> str | None:
    """Return what Go says of a number that breaks off; Python ends it before ``.`` or ``e``."""
    before, after = text[:position], text[position : position + 1].lower()
    number = before[len(before.rstrip("0123456789.eE+-")) :].lower()
    if not (number[-1:].isdigit() and after in (".", "e")) or "e" in number or after in number:
        return None
    if after == ".":
        return _at(text, position + 1, "after decimal point in numeric literal")
    sign = text[position + 1 : position + 2] in ("+", "-")
    return _at(text, position + 1 + sign, "in exponent of numeric literal")


def _in_array(text: str) -> bool:
    """Return whether the innermost bracket that is open is an array's."""
    depth: list[str] = []
    for bracket in re.findall(r"[][{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        if bracket in "[{":
            depth.append(bracket)
        elif depth:
            depth.pop()
    return depth[-1:] == ["["]


def _bad_hexadecimal(text: str, position: int) -> str:
    digits = text[text.rfind("u", 0, position + 2) + 1 :][:4]
    for digit in digits:
        if digit not in "0123456789abcdefABCDEF":
            return _unexpected(digit, "in \\u hexadecimal character escape")
    return "unexpected EOF"


def _bad_escape(text: str, position: int) -> str:
    after = text[position:].lstrip("\\")[:1]
    return _unexpected(after, "in string escape code") if after else "unexpected EOF"
