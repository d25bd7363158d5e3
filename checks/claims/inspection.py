"""Runs the inspections of several claims together, in few round trips to the machine.

The *inspection* of a claim is a generator. It yields :class:`Ask` and is sent the answers; it
yields evidence; it raises :class:`CheckFailed` if the claim does not hold, and
:class:`MachineError` if the claim could not be checked. All inspections of a step run together,
so that a step needs one or two round trips for any number of claims.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from labwright.errors import CheckFailed, MachineError
from labwright.outcome import Evidence

if TYPE_CHECKING:
    from labwright.lab.claims import Claim
    from labwright.machines.machine import CommandResult, Machine

SHOWN = 2000
"""Maximum characters of an answer in evidence."""
QUOTED = 120
"""Maximum characters of an answer in a sentence."""

Answers: TypeAlias = tuple["CommandResult", ...]


@dataclass(frozen=True)
class Ask:
    """Commands whose answers an inspection needs. They are all run in the same visit."""

    commands: tuple[str, ...]
    timeout: float = 10.0


Inspection: TypeAlias = Generator[Ask | Evidence, Answers, None]
Inspector: TypeAlias = Callable[[Any], Inspection]
INSPECTORS: dict[type[Any], Inspector] = {}
"""For each kind of claim, the function that inspects it."""


def inspects(kind: type[Any]) -> Callable[[Inspector], Inspector]:
    """Return a decorator that registers the function that inspects a kind of claim."""

    def register(inspector: Inspector) -> Inspector:
        INSPECTORS[kind] = inspector
        return inspector

    return register


@dataclass
class Seen:
    """The result of one claim."""

    claim: Claim
    evidence: list[Evidence] = field(default_factory=list)
    failure: CheckFailed | None = None
    problem: MachineError | None = None


def inspect_all(machine: Machine, claims: Sequence[Claim]) -> list[Seen]:
    """Inspect several claims together, with as few visits as possible."""
    seen = [Seen(claim) for claim in claims]
    inspections = {number: INSPECTORS[type(claim)](claim) for number, claim in enumerate(claims)}
    answers: dict[int, Answers | None] = dict.fromkeys(inspections)
    while inspections:
        asks: dict[int, Ask] = {}
        for number in list(inspections):
            ask = _advance(inspections[number], answers.get(number), seen[number])
            if ask is None:
                del inspections[number]
            else:
                asks[number] = ask
        answers = _ask(machine, asks, seen, inspections)
    return seen


def _advance(inspection: Inspection, answers: Answers | None, seen: Seen) -> Ask | None:
    """Run an inspection until it asks something; return None when it has ended."""
    try:
        piece = next(inspection) if answers is None else inspection.send(answers)
        while isinstance(piece, Evidence):
            seen.evidence.append(piece)
            piece = next(inspection)
    except StopIteration:
        return None
    except CheckFailed as failure:
        seen.failure = failure
        return None
    except MachineError as problem:
        seen.problem = problem
        return None
    return piece


def _ask(
    machine: Machine, asks: dict[int, Ask], seen: list[Seen], inspections: dict[int, Inspection]
) -> dict[int, Answers | None]:
    """Run the commands of all inspections; one whose question had no answer has ended."""
    if not asks:
        return {}
    timeout = max(ask.timeout for ask in asks.values())
    commands = list(dict.fromkeys(c for ask in asks.values() for c in ask.commands))
    told = dict(zip(commands, machine.run_all(commands, timeout=timeout), strict=True))
    answers: dict[int, Answers | None] = {}
    for number, ask in asks.items():
        found = [told[command] for command in ask.commands]
        lost = next((one for one in found if isinstance(one, MachineError)), None)
        if lost is not None:
            seen[number].problem = lost
            inspections.pop(number).close()
        else:
            answers[number] = tuple(one for one in found if not isinstance(one, MachineError))
    return answers


# Functions that the inspections share.


def quoted(text: str) -> str:
    """Return an answer for a sentence: short, and on one line."""
    text = " ".join(text.split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."


def shown(text: str) -> str:
    """Return an answer for evidence, with limited length."""
    text = text.rstrip("\n")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\n[{len(text) - SHOWN} more characters]"


def said(result: CommandResult) -> str:
    """Return both outputs of a command, and its exit status if it failed."""
    text = "\n".join(part.rstrip("\n") for part in (result.stdout, result.stderr) if part.strip())
    ended = "" if result.ok else f"[exit status {result.exit_status}]"
    return shown("\n".join(part for part in (text, ended) if part))


def as_list(texts: str | list[str] | None) -> list[str]:
    """Return the texts of a key that accepts one text or several."""
    return [] if texts is None else [texts] if isinstance(texts, str) else list(texts)


def user_or_root(command: str, what: str) -> Generator[Ask, Answers, CommandResult]:
    """Run a command as the user; if that is not permitted, as root with sudo.

    :raises MachineError: neither is permitted.
    """
    (result,) = yield Ask((command,))
    if refused(result):
        # Keep the user's home directory, and English messages.
        sudo = f'sudo -n env LC_ALL=C HOME="$HOME" sh -c {shlex.quote(command)}'
        (as_root,) = yield Ask((sudo,))
        if refused(as_root):
            raise unseen(what, result)
        return as_root
    return result


def lines_in(files: str, pattern: str, what: str) -> Generator[Ask, Answers, str]:
    """Return the matching lines of files; a missing file has none.

    :param files: a shell word, also with wildcards; unreadable files are read as root.
    :param pattern: an extended regular expression for grep.
    :raises MachineError: neither the user nor root may read them.
    """
    # Without -s: an unreadable file must give an error.
    result = yield from user_or_root(f"grep -hE -- {shlex.quote(pattern)} {files}", what)
    return result.stdout


def in_netns(command: str, netns: str, what: str) -> Generator[Ask, Answers, CommandResult]:
    """Run a command in a network namespace as root, or in the machine's own namespace.

    :raises CheckFailed: the namespace does not exist.
    :raises MachineError: the command could not be run.
    """
    if netns:
        command = f"ip netns exec {shlex.quote(netns)} {command}"
        result = yield from user_or_root(command, what)
        if "Cannot open network namespace" in result.stderr:
            raise CheckFailed(f"a network namespace {netns}", "there is none")
    else:
        result = yield from user_or_root(command, what)
    return result


def as_run(command: str, netns: str = "") -> str:
    """Return a command as a person would type it."""
    return f"sudo ip netns exec {netns} {command}" if netns else command


def as_json(result: CommandResult, what: str) -> Any:
    """Return a command's output, parsed as JSON.

    :raises MachineError: it failed, or its output is not JSON.
    """
    try:
        if result.ok:
            return json.loads(result.stdout or "[]")
    except (ValueError, RecursionError):
        pass
    raise unseen(what, result)


def unseen(what: str, result: CommandResult, hint: str = "") -> MachineError:
    """Return the error for something that could not be checked: never a failed claim."""
    why = quoted(result.stderr or result.stdout) or f"exit status {result.exit_status}"
    if result.exit_status in (126, 127) and not hint:
        hint = "is the program installed?"
    return MachineError(f"{what} could not be checked: {why}{f'; {hint}' if hint else ''}")


def refused(result: CommandResult) -> bool:
    """Whether a command failed because it was not permitted, or is not installed."""
    if result.ok:
        return False
    said_so = r"permission denied|not permitted|sudo:|must be root|not allowed"
    return result.exit_status in (126, 127) or bool(re.search(said_so, result.stderr, re.I))


def require_text(
    what: str,
    text: str,
    *,
    equals: str | None = None,
    contains: str | list[str] | None = None,
    lacks: str | list[str] | None = None,
    matches: str | list[str] | None = None,
    truncated: bool = False,
) -> None:
    """Check a text against a claim.

    :param truncated: whether only the beginning of the text was read.
    :raises MachineError: the beginning does not match, and the rest was not read.
    """

    def fail(expected: str, actual: str) -> None:
        if truncated:
            raise MachineError(f"{what} is too long to be read whole; in the part read {actual}")
        raise CheckFailed(expected, actual)

    if equals is not None and text.rstrip("\r\n") != equals.rstrip("\r\n"):
        fail(f"{what} to be `{quoted(equals)}`", _instead(text))
    for part in as_list(contains):
        if part not in text:
            fail(f"`{quoted(part)}` in {what}", _instead(text))
    for pattern in as_list(matches):
        if not re.search(pattern, text, re.MULTILINE):
            fail(f"{what} to match `{quoted(pattern)}`", _instead(text))
    for part in as_list(lacks):
        if part in text:
            raise CheckFailed(f"no `{quoted(part)}` in {what}", "it stands there")
    if truncated and (lacks or equals is not None):
        raise MachineError(f"{what} is too long to be read whole")


def _instead(text: str) -> str:
    return f"it says `{quoted(text)}`" if text.strip() else "it is empty"


def require(condition: object, expected: str, actual: str, hint: str = "") -> None:
    """Raise :class:`CheckFailed` unless a condition holds."""
    if not condition:
        raise CheckFailed(expected, actual, hint)


def evidence(claim: str, ran: str, saw: str) -> Evidence:
    """Return evidence, with limited length."""
    return Evidence(claim, ran, shown(saw))


def home(path: str) -> str:
    """Return a path quoted for the shell; ``~/`` becomes the user's home directory."""
    if path == "~" or path.startswith("~/"):
        return '"$HOME"' + (f"/{shlex.quote(path[2:])}" if path[2:] else "")
    return shlex.quote(path)


def pieces(seen: Seen) -> Iterator[Evidence]:
    """Yield the evidence for a claim."""
    yield from seen.evidence
    with contextlib.suppress(AttributeError):
        yield from seen.failure.evidence  # type: ignore[union-attr]
