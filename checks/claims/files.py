"""Checks claims about commands, files and directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_list,
    evidence,
    home,
    inspects,
    quoted,
    require,
    require_text,
    said,
    user_or_root,
)
from labwright.errors import CheckFailed, MachineError
from labwright.lab.claims import Command, Directory, File

if TYPE_CHECKING:
    from collections.abc import Generator

    from labwright.checks.claims.inspection import Answers
    from labwright.machines.machine import CommandResult

CONTENT_LIMIT = 1 << 16
"""Maximum bytes that are read of a file."""
_GONE = ("No such file or directory", "Not a directory")


@inspects(Command)
def command(claim: Command) -> Inspection:
    """Run a command, and compare its exit status and output with the claim."""
    (result,) = yield Ask((claim.command,), timeout=float(claim.timeout))
    yield evidence("what the command does", claim.command, said(result))
    name = f"`{quoted(claim.command)}`"
    right = claim.status if isinstance(claim.status, list) else [claim.status]
    if result.exit_status in (126, 127) and result.exit_status not in right:
        raise MachineError(f"{name} cannot be run: {quoted(result.stderr) or 'not found'}")
    require(
        result.exit_status in right,
        f"{name} to exit {' or '.join(map(str, right))}",
        f"it exited {result.exit_status}: {quoted(result.stderr or result.stdout) or 'silently'}",
    )
    require_text(
        f"the output of {name}",
        result.stdout,
        equals=claim.equals,
        contains=claim.contains,
        lacks=claim.lacks,
        matches=claim.matches,
        truncated=result.truncated,
    )


@inspects(File)
def file(claim: File) -> Inspection:
    """Check a file and its content."""
    what, path = f"the file {claim.file}", home(claim.file)
    found = yield from _stat(claim.file, what)
    yield evidence(what, f"stat -L {claim.file}", " ".join(found) or "there is none")
    # -v prints the error: otherwise, an unreadable link looks like no link.
    link = yield from user_or_root(f"readlink -v -- {path}", what)
    target = link.stdout.rstrip("\n") if link.ok else ""
    if claim.absent:
        require(not found and not target, f"no file {claim.file}", "it is there")
        return
    if not found:
        gone = f"it is a link to {target}, which is not there" if target else "there is none"
        raise CheckFailed(f"the file {claim.file}", gone)
    kind, mode, user, group = found
    require(kind != "directory", f"a file {claim.file}", "it is a directory")
    if claim.links_to:
        require(
            target == claim.links_to,
            f"{claim.file} to be a link to {claim.links_to}",
            f"it is a link to {target}" if target else "it is no link",
        )
    _require_mode(what, mode, user, group, claim.mode, claim.owner)
    asked = (claim.equals, claim.contains, claim.lacks, claim.matches)
    if any(one is not None for one in asked):
        # Reading anything else can take forever.
        require(kind.startswith("regular"), f"an ordinary file {claim.file}", f"it is a {kind}")
        content = yield from user_or_root(f"head -c {CONTENT_LIMIT + 1} -- {path}", what)
        if not content.ok:
            raise MachineError(f"{what} could not be read: {quoted(content.stderr)}")
        yield evidence(f"what {claim.file} says", f"cat {claim.file}", content.stdout)
        require_text(
            claim.file,
            content.stdout[:CONTENT_LIMIT],
            equals=claim.equals,
            contains=claim.contains,
            lacks=claim.lacks,
            matches=claim.matches,
            truncated=content.truncated or len(content.stdout.encode()) > CONTENT_LIMIT,
        )


@inspects(Directory)
def directory(claim: Directory) -> Inspection:
    """Check a directory and its content."""
    what, path = f"the directory {claim.directory}", home(claim.directory)
    found = yield from _stat(claim.directory, what)
    yield evidence(what, f"stat -L {claim.directory}", " ".join(found) or "there is none")
    if claim.absent:
        require(not found, f"no directory {claim.directory}", "it is there")
        return
    require(found, what, "there is none")
    kind, mode, user, group = found
    require(kind == "directory", what, f"it is a {kind}")
    _require_mode(what, mode, user, group, claim.mode, claim.owner)
    if claim.holds is not None:
        listing = yield from user_or_root(f"ls -A -- {path}", what)
        if not listing.ok:
            raise MachineError(f"{what} could not be read: {quoted(listing.stderr)}")
        yield evidence(f"what is in {claim.directory}", f"ls -A {claim.directory}", listing.stdout)
        for name in as_list(claim.holds):
            require(
                name in listing.stdout.split("\n"),
                f"{name} in {claim.directory}",
                f"it holds {quoted(listing.stdout) or 'nothing'}",
            )


def _stat(path: str, what: str) -> Generator[Ask, Answers, tuple[str, ...]]:
    """Return kind, mode, user and group of a path; an empty tuple if it does not exist."""
    asked = f"stat -L -c '%F,%a,%U,%G' -- {home(path)}"
    result: CommandResult = yield from user_or_root(asked, what)
    if result.ok and result.stdout.count(",") == 3:
        return tuple(result.stdout.strip().split(","))
    if any(gone in result.stderr for gone in _GONE):
        return ()
    raise MachineError(f"{what} could not be checked: {quoted(result.stderr)}")


def _require_mode(
    what: str, mode: str, user: str, group: str, wanted_mode: str, wanted_owner: str
) -> None:
    """Check the mode, the owner and the group."""
    if wanted_mode:
        require(
            int(mode, 8) == int(wanted_mode, 8),
            f"{what} to have the mode {wanted_mode}",
            f"its mode is {mode.zfill(len(wanted_mode))}",
        )
    wanted_user, _, wanted_group = wanted_owner.partition(":")
    if wanted_user:
        require(user == wanted_user, f"{what} to belong to {wanted_user}", f"it is {user}'s")
    if wanted_group:
        require(
            group == wanted_group,
            f"{what} to belong to the group {wanted_group}",
            f"its group is {group}",
        )
