"""The command line, as Go's flag package reads it: ``-f -i enp0s3``, ``--i=enp0s3``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from labwright.components.gorb.problems import StartError

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")

USAGE = """\
Usage of gorb:
  -adopt
        register what IPVS has on start (not in the original; without -f and -store)
  -c string
        URL for Consul HTTP API
  -f    flush IPVS pools on start
  -i string
        default interface to bind services on (default "eth0")
  -l string
        endpoint to listen for HTTP requests (default ":4672")
  -store string
        comma delimited list of store urls for sync data, as etcd://HOST:PORT/PATH or
        consul://HOST:PORT/PATH. All urls must have identical schemes and paths.
  -store-backend-path string
        store backend path (default "backends")
  -store-service-path string
        store service path (default "services")
  -store-sync-time int
        seconds between two looks at the store (default 60)
  -v    enable verbose output
  -vipi string
        interface to add VIPs
  -h    show this
"""


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
    c: str = ""
    """The URL of a Consul agent that services are registered with."""
    vipi: str = ""
    """The interface that the addresses of services are added to."""
    store: str = ""
    """The URLs of a store of services."""
    store_sync_time: int = 60
    """Seconds between two looks at the store."""
    store_service_path: str = "services"
    store_backend_path: str = "backends"
    adopt: bool = False
    """Whether what IPVS has at the start is registered."""


KNOWN = {field.name.replace("_", "-"): type(field.default) for field in fields(Flags)}


def parse(arguments: list[str]) -> Flags:
    """Read a command line.

    :raises FlagError: an unknown flag, or one without its value.
    :raises HelpWanted: ``-h`` or ``-help``.
    :raises StartError: flags that contradict each other.
    """
    given: dict[str, str | bool | int] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--" or not argument.startswith("-") or argument == "-":
            break  # Go's flag package ends here and Gorb ignores what follows.
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        _must_be_known(name, argument)
        key = name.replace("-", "_")
        if KNOWN[name] is bool:
            given[key] = _boolean(name, value) if equals else True
            continue
        if not equals and not rest:
            raise FlagError(f"flag needs an argument: -{name}")
        text = value if equals else rest.pop(0)
        given[key] = _integer(name, text) if KNOWN[name] is int else text
    return _consistent(Flags(**given))  # type: ignore[arg-type]


def _consistent(flags: Flags) -> Flags:
    if flags.adopt and flags.f:
        raise StartError("-adopt takes over what -f removes: start gorb with one of them")
    if flags.adopt and flags.store:
        raise StartError(
            "-adopt and -store contradict each other: what the store describes is taken over anyway"
        )
    if flags.store_sync_time < 1:
        raise StartError("-store-sync-time must be 1 second or more")
    return flags


def _must_be_known(name: str, argument: str) -> None:
    if not name or name[0] in "-=":
        raise FlagError(f"bad flag syntax: {argument}")
    if name in ("h", "help"):
        raise HelpWanted
    if name not in KNOWN:
        raise FlagError(f"flag provided but not defined: -{name}")


def _boolean(name: str, value: str) -> bool:
    if value not in TRUE + FALSE:
        raise FlagError(f'invalid boolean value "{value}" for -{name}: parse error')
    return value in TRUE


def _integer(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise FlagError(f'invalid value "{value}" for flag -{name}: parse error') from None
