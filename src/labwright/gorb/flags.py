"""The command line, as Go's flag package reads it: ``-f -i enp0s3``, ``--i=enp0s3``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from labwright.gorb.problems import StartError

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")

USAGE = """\
Usage of gorb:
  -f    flush IPVS pools on start
  -i string
        default interface to bind services on (default "eth0")
  -l string
        endpoint to listen for HTTP requests (default ":4672")
  -v    enable verbose output
  -h    show this
"""

NOT_SUPPORTED = {
    "c": "registration with Consul",
    "vipi": "adding service addresses to an interface",
    "store": "a store of services",
    "store-sync-time": "a store of services",
    "store-service-path": "a store of services",
    "store-backend-path": "a store of services",
}
"""Flags of the original that would change what this daemon does: never ignored silently."""


class HelpWanted(Exception):  # noqa: N818
    """The user asked for the usage."""


class FlagError(Exception):
    """The command line is wrong; the message is Go's."""


@dataclass(frozen=True)
class Flags:
    """What the command line says; the names are the flags' own."""

    f: bool = False
    """Whether all of the kernel's IPVS services are removed at the start."""
    i: str = "eth0"
    """The device whose first address is a service's where it names none."""
    l: str = ":4672"  # noqa: E741
    """Where to listen: ``[HOST]:PORT``."""
    v: bool = False
    """Whether the log tells more."""


BOOLEAN = {field.name for field in fields(Flags) if isinstance(field.default, bool)}
KNOWN = {field.name for field in fields(Flags)} | NOT_SUPPORTED.keys()


def parse(arguments: list[str]) -> Flags:
    """Read a command line.

    :raises FlagError: an unknown flag, or one without its value.
    :raises HelpWanted: ``-h`` or ``-help``.
    :raises StartError: a flag of the original that is not supported yet.
    """
    given: dict[str, str | bool] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--" or not argument.startswith("-") or argument == "-":
            break  # Go's flag package ends here and Gorb ignores what follows.
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        _must_be_known(name, argument)
        if name in BOOLEAN:
            given[name] = _boolean(name, value) if equals else True
            continue
        if not equals and not rest:
            raise FlagError(f"flag needs an argument: -{name}")
        given[name] = value if equals else rest.pop(0)
    return Flags(**given)  # type: ignore[arg-type]


def _must_be_known(name: str, argument: str) -> None:
    if not name or name[0] in "-=":
        raise FlagError(f"bad flag syntax: {argument}")
    if name in ("h", "help"):
        raise HelpWanted
    if name in NOT_SUPPORTED:
        raise StartError(
            f"-{name} ({NOT_SUPPORTED[name]}) is not supported yet: start gorb without it"
        )
    if name not in KNOWN:
        raise FlagError(f"flag provided but not defined: -{name}")


def _boolean(name: str, value: str) -> bool:
    if value not in TRUE + FALSE:
        raise FlagError(f'invalid boolean value "{value}" for -{name}: parse error')
    return value in TRUE
