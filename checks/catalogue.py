"""Every check there is, as data: ``labwright checks`` and docs/checks.md are made from it."""

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
from labwright.lab.claims import COMMON, GROUPS, KINDS, Claim

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
    """For lab.toml."""


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
    """Return the checks that are written in Python and come with labwright."""
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
    """Return what a field's annotation says of it, and its type in words."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *notes = typing.get_args(annotation)
        said = [n.description for n in notes if isinstance(n, msgspec.Meta) and n.description]
        return (said[0] if said else _meaning(inner)[0]), _type(inner)
    return "", _type(annotation)


def _type(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "table of text"
    if inner:
        return " or ".join(dict.fromkeys(filter(None, map(_type, inner))))
    return _TYPES.get(annotation.__name__, str(annotation.__name__))


def _split(example: str) -> list[str]:
    """Return an example, which stands on one line, with a line for each key."""
    return re.split(r", (?=[a-z_]+ = )", example)


INTRODUCTION = """\
# The checks

<!-- Made by `labwright checks --markdown`; a test holds it against that. -->

What a step asks for is checked in one of two ways. Where it is of a kind that many labs have,
`lab.toml` states it as a **claim**, without Python. Where it is not, `check` names a function:
of those at the end of this page, or one of the lab's own
([course-author.md](course-author.md#checks-of-your-own)).

```toml
[[step]]
id = "site-answers"
title = "The site answers"
points = 20

[[step.claim]]
service = "nginx"
running = true

[[step.claim]]
http = "http://localhost:{{port}}/"
contains = "Welcome"
```

All claims of a step must hold. One is about one thing: the key of that name says which.
`{{port}}` is the value `port` of `[values]`, so that `--set` changes it everywhere.

- **It holds, fails, or could not be looked at.** A program that is missing on the machine, a
  question that only root may ask, a command that does not end: the step is *broken*, nobody's
  zero. What is asked as the user is asked again with `sudo -n` where the user may not look.
- **All claims of a step are looked at together**, in a visit to the machine or two, and what
  was run and seen is the step's evidence.
- **`any`, `all` and `none`** hold lists of claims:

  ```toml
  [[step.claim]]
  any = [
    { file = "/etc/nginx/conf.d/blog.conf" },
    { file = "/etc/nginx/sites-enabled/blog" },
  ]
  ```

- **Partial points**: where each claim has a `weight`, the step is worth the share of those that
  hold; it has failed all the same, and what needs it is blocked. With `points = 20`:

  ```toml
  [[step.claim]]
  port = 8080
  weight = 3

  [[step.claim]]
  file = "/srv/site/index.html"
  mode = "0644"
  weight = 1
  ```

- **`notice = true`**: worth knowing, and free.
- **`until = "STEP"`**: a later step of the document undoes it. The gate charges it when the
  document has just come to it. On a student's machine it is looked at and not charged; what
  lasts is what counts, so a step that is worth points needs a claim without `until`, too.
- **`wait = "30s"`** of the step: the claims are repeated until they hold or the time is over.

In Python: `from labwright.checks.claims import File, Port, hold`, and in a check
`yield from hold(machine, [File("/srv/site/index.html"), Port(8080, by="nginx")])`.
"""


def markdown() -> str:
    """Return the page of the documentation."""
    parts = [INTRODUCTION, "## Keys of every claim\n", _table(common())]
    parts.append(
        f"`{'`, `'.join(GROUPS)}` have them, too; the claims within them have `hint` only.\n"
    )
    parts.append("## Claims\n")
    for entry in claims():
        parts += [f"### `{entry.name}`\n", f"{entry.says}\n", _table(entry.parameters)]
        parts.append(f"```toml\n{entry.example}\n```\n")
    parts.append("## Checks in Python\n")
    parts.append("They are named by `check`, and take their values from `with` and `[values]`.\n")
    for entry in checks():
        parts += [f"### `{entry.name}`\n", f"{entry.says}\n", f"```toml\n{entry.example}\n```\n"]
        if entry.parameters:
            values = ", ".join(f"`{p.name}` ({p.type})" for p in entry.parameters)
            parts.append(f"Values: {values}.\n")
    return "\n".join(parts)


def _table(parameters: tuple[Parameter, ...]) -> str:
    rows = ["| key | type | meaning |", "| --- | --- | --- |"]
    for p in parameters:
        must = "" if p.required is False else " (required)"
        meaning = p.meaning.replace("|", "\\|")
        rows.append(f"| `{p.name}` | {p.type} | {meaning}{must} |")
    return "\n".join(rows) + "\n"
