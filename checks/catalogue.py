"""The catalogue of all claims and checks, for ``labwright checks`` and docs/checks.md."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import typing
from dataclasses import dataclass
from typing import Any

import msgspec

import labwright.checks
from labwright.lab.claims import COMMON, KINDS, Claim

_TYPES = {
    "str": "text",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "NoneType": "",
}


@dataclass(frozen=True)
class Parameter:
    """A key of a claim, or a parameter of a check."""

    name: str
    type: str
    meaning: str
    required: bool


@dataclass(frozen=True)
class Entry:
    """A kind of claim, or a check that is written in Python."""

    name: str
    says: str
    parameters: tuple[Parameter, ...]
    example: str
    """An example for lab.toml."""


def claims() -> list[Entry]:
    """Return the kinds of claims."""
    return [
        Entry(
            name,
            inspect.getdoc(kind) or "",
            tuple(p for p in _keys(kind) if p.name not in COMMON),
            "[[step.claim]]\n" + "\n".join(_split(kind.EXAMPLE)),
        )
        for name, kind in KINDS.items()
    ]


def common() -> tuple[Parameter, ...]:
    """Return the keys that every claim has."""
    return tuple(_keys(Claim))


def checks() -> list[Entry]:
    """Return labwright's checks that are written in Python."""
    found = []
    for place in pkgutil.iter_modules(labwright.checks.__path__):
        if place.ispkg:
            continue
        module = importlib.import_module(f"labwright.checks.{place.name}")
        for name, function in inspect.getmembers(module, inspect.isgeneratorfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            if own and _is_check(function):
                found.append(_check(f"{place.name}.{name}", function))
    return found


def _is_check(function: Any) -> bool:
    returned = str(inspect.signature(function).return_annotation)
    kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    return "Evidence" in returned and inspect.Parameter.KEYWORD_ONLY in kinds


def _check(name: str, function: Any) -> Entry:
    parameters = [
        Parameter(
            p.name,
            re.sub(r"\w+", lambda word: _TYPES.get(word[0], word[0]), str(p.annotation)),
            "",
            p.default is inspect.Parameter.empty,
        )
        for p in inspect.signature(function).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    says = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return Entry(name, says, tuple(parameters), f'check = "{name}"')


def _keys(kind: type[Claim]) -> list[Parameter]:
    found = []
    for field in msgspec.structs.fields(kind):
        meaning, type_ = _meaning(field.type)
        found.append(Parameter(field.encode_name, type_, meaning, field.required))
    return found


def _meaning(annotation: Any) -> tuple[str, str]:
    """Return a field's meaning from its annotation, and its type in words."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *notes = typing.get_args(annotation)
        said = [n.description for n in notes if isinstance(n, msgspec.Meta) and n.description]
        return (said[0] if said else _meaning(inner)[0]), type_in_words(inner)
    return "", type_in_words(annotation)


def type_in_words(annotation: Any) -> str:
    """Return a type in words for people who do not write Python."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_in_words(inner[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is list:
        return f"list of {type_in_words(inner[0])}"
    if origin is dict:
        return "table of text"
    if inner:
        return " or ".join(dict.fromkeys(filter(None, map(type_in_words, inner))))
    return _TYPES.get(annotation.__name__, str(annotation.__name__))


def _split(example: str) -> list[str]:
    """Split an example, which is on one line, into one line for each key."""
    return re.split(r", (?=[a-z_]+ = )", example)
