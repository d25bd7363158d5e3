"""``labwright checks``: lists claims and checks, with their parameters and examples."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from labwright.checks import catalogue
from labwright.errors import UsageError

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  labwright checks                 all of them, one line each
  labwright checks port            one, with its keys and an example
  labwright checks --json
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``checks``."""
    parser = commands.add_parser(
        "checks",
        help="list what a step can claim or check, with parameters and examples",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", metavar="CHECK", help="show these in full")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the checks; see ``labwright checks --help``."""
    claims, checks = catalogue.claims(), catalogue.checks()
    entries = {entry.name: entry for entry in (*claims, *checks)}
    for name in arguments.name:
        if name not in entries:
            raise UsageError(f"no check {name!r}; there are: {', '.join(entries)}")
    wanted = [entries[name] for name in arguments.name] or list(entries.values())
    if arguments.json:
        kinds = {entry.name for entry in claims}
        body = [
            {"kind": "claim" if one.name in kinds else "check", **asdict(one)} for one in wanted
        ]
        _print(json.dumps(body, indent=2))
    elif arguments.name:
        _print("\n\n".join(map(_whole, wanted)))
    else:
        _print("Claims, for [[step.claim]] in lab.toml:")
        _print("\n".join(f"  {entry.name:<12} {entry.says}" for entry in claims))
        _print('Checks, for check = "...":')
        _print("\n".join(f"  {entry.name}\n    {entry.says}" for entry in checks))
        _print("Details of one: labwright checks port")
    return 0


def _whole(entry: catalogue.Entry) -> str:
    keys = [
        f"  {p.name:<14} {p.type}{'' if not p.meaning else f': {p.meaning}'}"
        + (" (required)" if p.required else "")
        for p in entry.parameters
    ]
    return "\n".join((f"{entry.name}: {entry.says}", *keys, "", entry.example))


def _print(text: str) -> None:
    print(text)  # noqa: T201
