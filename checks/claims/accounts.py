"""Checks claims about users, groups and the environment of a login."""

from __future__ import annotations

import shlex

from labwright.checks.claims.inspection import (
    Ask,
    Inspection,
    as_list,
    evidence,
    inspects,
    quoted,
    refused,
    require,
    require_text,
    said,
    unseen,
)
from labwright.lab.claims import Environment, User, UserGroup

NOT_FOUND = 2
"""getent's exit status if there is no such entry."""
_MARK = "labwright-environment:"
_LOGIN = f"""\
exec env -i HOME="$HOME" USER="$(id -un)" LOGNAME="$(id -un)" TERM=dumb \
SHELL="${{SHELL:-/bin/sh}}" PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games \
sh -c 'set -a; [ ! -r /etc/environment ] || . /etc/environment; set +a
exec "$SHELL" -lic "echo; echo {_MARK}; printenv $0"' """
"""Prints a variable of an interactive login shell; reads the file that PAM reads for sshd."""


@inspects(User)
def user(claim: User) -> Inspection:
    """Ask the system's user database."""
    name = shlex.quote(claim.user)
    entry, groups = yield Ask((f"getent passwd -- {name}", f"id -nG -- {name}"))
    what = f"the user {claim.user}"
    if not entry.ok and entry.exit_status != NOT_FOUND:
        raise unseen(what, entry)
    line, names = entry.stdout.strip(), groups.stdout.split()
    saw = f"{line}\n{' '.join(names)}" if line else "there is none"
    yield evidence(what, f"getent passwd {claim.user}; id -nG {claim.user}", saw)
    if claim.absent:
        require(not line, f"no user {claim.user}", "there is one")
        return
    require(line, f"a user {claim.user}", "there is none")
    fields = [*line.split(":"), *[""] * 7]
    for number, wanted, words in (
        (2, "" if claim.uid is None else str(claim.uid), "the uid"),
        (5, claim.home, "the home directory"),
        (6, claim.shell, "the shell"),
    ):
        if wanted:
            has = fields[number]
            require(has == wanted, f"{what} to have {words} {wanted}", f"it is {has or 'none'}")
    for group in as_list(claim.groups):
        has = f"the groups are {' '.join(names)}"
        hint = f"`sudo usermod -aG {group} {claim.user}`."
        require(group in names, f"{what} to be in the group {group}", has, hint)


@inspects(UserGroup)
def group(claim: UserGroup) -> Inspection:
    """Ask the system's group database."""
    members = as_list(claim.members)
    entry, *ids = yield Ask(
        (
            f"getent group -- {shlex.quote(claim.group)}",
            *(f"id -nG -- {shlex.quote(member)}" for member in members),
        )
    )
    what = f"the group {claim.group}"
    if not entry.ok and entry.exit_status != NOT_FOUND:
        raise unseen(what, entry)
    line = entry.stdout.strip()
    yield evidence(what, f"getent group {claim.group}", line or "there is none")
    if claim.absent:
        require(not line, f"no group {claim.group}", "there is one")
        return
    require(line, f"a group {claim.group}", "there is none")
    if claim.gid is not None:
        gid = [*line.split(":"), "", ""][2]
        require(gid == str(claim.gid), f"{what} to have the gid {claim.gid}", f"it is {gid}")
    for member, found in zip(members, ids, strict=True):
        has = f"{member} is in {quoted(found.stdout)}" if found.ok else f"there is no user {member}"
        require(claim.group in found.stdout.split(), f"{member} to be in {what}", has)


@inspects(Environment)
def environment(claim: Environment) -> Inspection:
    """Log in as a person does, and ask for one variable."""
    script = _LOGIN + claim.environment
    if claim.owner:
        who = shlex.quote(claim.owner)
        script = f"sudo -n -H -u {who} sh -c {shlex.quote(_with_shell(claim.owner) + script)}"
    (result,) = yield Ask((script,))
    who = f" of {claim.owner}" if claim.owner else ""
    what = f"the variable {claim.environment} after a login{who}"
    _, mark, value = result.stdout.rpartition(f"{_MARK}\n")
    if not mark:
        raise unseen(what, result, "no login shell could be started" if refused(result) else "")
    there = result.ok
    shown = f"printenv {claim.environment}"
    yield evidence(what, shown, value if there else f"it is not set\n{said(result)}")
    if claim.absent:
        require(not there, f"no {what.removeprefix('the ')}", f"it is `{quoted(value)}`")
        return
    require(
        there,
        what,
        "it is not set",
        "Set it in ~/.profile or ~/.bashrc: what is exported in one terminal is gone with it.",
    )
    require_text(
        what,
        value,
        equals=claim.equals,
        contains=claim.contains,
        lacks=claim.lacks,
        matches=claim.matches,
    )


def _with_shell(owner: str) -> str:
    return f"SHELL=$(getent passwd -- {shlex.quote(owner)} | cut -d: -f7); "
