"""Looks at a machine for claims: what all of them ask goes there together.

A kind's *look* is a generator. It yields :class:`Ask` and is sent the answers; it yields
evidence; it raises :class:`CheckFailed` where the claim does not hold, and a
:class:`MachineError` where it could not be looked at. All looks of a step go on together, so
that a step costs a way to the machine or two, however many claims it has.
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
"""Characters of an answer that evidence shows."""
QUOTED = 120
"""Characters of an answer that a sentence quotes."""

Answers: TypeAlias = tuple["CommandResult", ...]


@dataclass(frozen=True)
class Ask:
    """Commands whose answers a look needs to go on. They are all run at the same visit."""

    commands: tuple[str, ...]
    timeout: float = 10.0


Look: TypeAlias = Generator[Ask | Evidence, Answers, None]
LOOKS: dict[type[Any], Callable[[Any], Look]] = {}
"""For each kind of claim how it is looked at."""


def looks_at(kind: type[Any]) -> Callable[[Callable[[Any], Look]], Callable[[Any], Look]]:
    """Return a decorator for the function that looks at a kind of claim."""

    def register(look: Callable[[Any], Look]) -> Callable[[Any], Look]:
        LOOKS[kind] = look
        return look

    return register


@dataclass
class Seen:
    """The result of one claim."""

    claim: Claim
    evidence: list[Evidence] = field(default_factory=list)
    failure: CheckFailed | None = None
    problem: MachineError | None = None


def look_all(machine: Machine, claims: Sequence[Claim]) -> list[Seen]:
    """Look at several claims together; each way to the machine is gone once for all."""
    seen = [Seen(claim) for claim in claims]
    looks = {number: LOOKS[type(claim)](claim) for number, claim in enumerate(claims)}
    answers: dict[int, Answers | None] = dict.fromkeys(looks)
    while looks:
        asks: dict[int, Ask] = {}
        for number in list(looks):
            ask = _advance(looks[number], answers.get(number), seen[number])
            if ask is None:
                del looks[number]
            else:
                asks[number] = ask
        answers = _ask(machine, asks, seen, looks)
    return seen


def _advance(look: Look, answers: Answers | None, seen: Seen) -> Ask | None:
    """Let a look go on until it asks; None when it has ended, however."""
    try:
        piece = next(look) if answers is None else look.send(answers)
        while isinstance(piece, Evidence):
            seen.evidence.append(piece)
            piece = next(look)
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
    machine: Machine, asks: dict[int, Ask], seen: list[Seen], looks: dict[int, Look]
) -> dict[int, Answers | None]:
    """Run what all looks ask; a look whose question had no answer has ended."""
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
            looks.pop(number).close()
        else:
            answers[number] = tuple(one for one in found if not isinstance(one, MachineError))
    return answers


# What looks have in common.


def quoted(text: str) -> str:
    """Return an answer as a sentence quotes it: short, and on one line."""
    text = " ".join(text.split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."


def shown(text: str) -> str:
    """Return an answer as evidence shows it."""
    text = text.rstrip("\n")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\n[{len(text) - SHOWN} more characters]"


def said(result: CommandResult) -> str:
    """Return what a command said: both of its outputs, and how it ended if not well."""
    text = "\n".join(part.rstrip("\n") for part in (result.stdout, result.stderr) if part.strip())
    ended = "" if result.ok else f"[exit status {result.exit_status}]"
    return shown("\n".join(part for part in (text, ended) if part))


def as_list(texts: str | list[str] | None) -> list[str]:
    """Return the texts of a key that takes one or several."""
    return [] if texts is None else [texts] if isinstance(texts, str) else list(texts)


def user_or_root(command: str, what: str) -> Generator[Ask, Answers, CommandResult]:
    """Ask as the user; as root, where the user may not and sudo asks for no password.

    :raises MachineError: neither may.
    """
    (result,) = yield Ask((command,))
    if refused(result):
        # The home stays the user's, and messages stay English.
        sudo = f'sudo -n env LC_ALL=C HOME="$HOME" sh -c {shlex.quote(command)}'
        (as_root,) = yield Ask((sudo,))
        if refused(as_root):
            raise unseen(what, result)
        return as_root
    return result


def lines_in(files: str, pattern: str, what: str) -> Generator[Ask, Answers, str]:
    """Return the lines that match, of files in their order; a file that is not there has none.

    :param files: for the shell, wildcards included; those that only root may read are read as root.
    :param pattern: an extended regular expression of grep's.
    :raises MachineError: neither the user nor root may read them.
    """
    # Without -s: that a file may not be read must be told.
    result = yield from user_or_root(f"grep -hE -- {shlex.quote(pattern)} {files}", what)
    return result.stdout


def in_netns(command: str, netns: str, what: str) -> Generator[Ask, Answers, CommandResult]:
    """Ask in a network namespace, which wants root; in the machine's own if none is named.

    :raises CheckFailed: there is no such namespace.
    :raises MachineError: it could not be asked.
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
    """Return a command as a person would repeat it."""
    return f"sudo ip netns exec {netns} {command}" if netns else command


def as_json(result: CommandResult, what: str) -> Any:
    """Return what a command printed as JSON.

    :raises MachineError: it failed, or printed something else.
    """
    try:
        if result.ok:
            return json.loads(result.stdout or "[]")
    except (ValueError, RecursionError):
        pass
    raise unseen(what, result)


def unseen(what: str, result: CommandResult, hint: str = "") -> MachineError:
    """Return the error for what could not be looked at; it is never a zero."""
    why = quoted(result.stderr or result.stdout) or f"exit status {result.exit_status}"
    if result.exit_status in (126, 127) and not hint:
        hint = "is the program installed?"
    return MachineError(f"{what} could not be looked at: {why}{f'; {hint}' if hint else ''}")


def refused(result: CommandResult) -> bool:
    """Whether a command failed since it was not allowed to look, or is not there."""
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
    """See that a text is what it must be.

    :param truncated: the text is longer than what was read of it.
    :raises MachineError: it is not there in what was read, and not all was read.
    """

    def fail(expected: str, actual: str) -> None:
        if truncated:
            raise MachineError(f"{what} is too long to be read whole; until there {actual}")
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
    """Return evidence, what was seen cut to what a report can show."""
    return Evidence(claim, ran, shown(saw))


def home(path: str) -> str:
    """Return a path for the shell: quoted, ``~/`` being the home of the user."""
    if path == "~" or path.startswith("~/"):
        return '"$HOME"' + (f"/{shlex.quote(path[2:])}" if path[2:] else "")
    return shlex.quote(path)


def pieces(seen: Seen) -> Iterator[Evidence]:
    """Yield the evidence for a claim."""
    yield from seen.evidence
    with contextlib.suppress(AttributeError):
        yield from seen.failure.evidence  # type: ignore[union-attr]
