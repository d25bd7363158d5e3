"""Checks the claims of ``[[step.claim]]`` in lab.toml, which need no Python.

A lab's own check can use claims as well::

    from labwright.checks.claims import File, Port, hold


    def site_is_up(machine):
        \"\"\"The page is there, and something serves it.\"\"\"
        yield from hold(machine, [File("/srv/site/index.html"), Port(8080, by="nginx")])

:mod:`labwright.lab.claims` defines the kinds of claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.checks.claims import (
    accounts,  # noqa: F401  these modules register how each kind is looked at
    docker,  # noqa: F401
    files,  # noqa: F401
    firewall,  # noqa: F401
    network,  # noqa: F401
    services,  # noqa: F401
    system,  # noqa: F401
)
from labwright.checks.claims.inspection import Seen, inspect_all
from labwright.errors import CheckFailed, MachineError
from labwright.lab.claims import (
    Claim,
    Command,
    Container,
    Cron,
    Directory,
    Environment,
    File,
    Firewall,
    Group,
    Http,
    Image,
    Interface,
    Module,
    Mount,
    Namespace,
    Network,
    Package,
    Port,
    Process,
    Program,
    Route,
    Service,
    Sysctl,
    Timer,
    User,
    UserGroup,
    Volume,
)
from labwright.outcome import Evidence, Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labwright.machines.machine import Machine

__all__ = [
    "Command",
    "Container",
    "Cron",
    "Directory",
    "Environment",
    "File",
    "Firewall",
    "Group",
    "Http",
    "Image",
    "Interface",
    "Module",
    "Mount",
    "Namespace",
    "Network",
    "Package",
    "Port",
    "Process",
    "Program",
    "Route",
    "Service",
    "Sysctl",
    "Timer",
    "User",
    "UserGroup",
    "Volume",
    "hold",
]


def hold(
    machine: Machine, claims: Sequence[Claim], *, undone: bool = True
) -> Iterator[Evidence | Notice]:
    """Check that claims hold; their questions are asked together.

    A claim with ``notice`` never fails. A claim with ``until`` costs no points if the step that
    undoes it may have been done. If claims have weights, a failure contains the share of the
    step's points that is still earned.

    :param undone: whether the steps after this one may have been done.
    :raises CheckFailed: a claim does not hold.
    :raises MachineError: a claim could not be checked, and no other claim decides the result.
    """
    leaves = [leaf for claim in claims for leaf in _leaves(claim)]
    seen = iter(inspect_all(machine, leaves))
    judged = [_judged(claim, seen) for claim in claims]
    for one in judged:
        yield from one.evidence
    charged: list[Seen] = []
    for one in judged:
        claim = one.claim
        if claim.notice:
            yield from _notice(one)
        elif claim.until and undone:
            if one.failure:
                step = f"as the document asks for in {claim.until}"
                yield Evidence(f"undone later, {step}", "", one.failure.actual)
        else:
            charged.append(one)
    _charge(charged)


def _leaves(claim: Claim) -> Iterator[Claim]:
    if isinstance(claim, Group):
        for inner in claim.claims:
            yield from _leaves(inner)
    else:
        yield claim


def _judged(claim: Claim, seen: Iterator[Seen]) -> Seen:
    """Return the result of a claim, or the combined result of a group of claims."""
    if not isinstance(claim, Group):
        return next(seen)
    inner = [_judged(one, seen) for one in claim.claims]
    whole = Seen(claim, [piece for one in inner for piece in one.evidence])
    failures = [one.failure for one in inner if one.failure]
    problems = [one.problem for one in inner if one.problem]
    held = [one for one in inner if not one.failure and not one.problem]
    if claim.how == "all":
        whole.failure = failures[0] if failures else None
    elif claim.how == "any" and not held and not problems:
        whole.failure = CheckFailed(
            " or ".join(failure.expected for failure in failures),
            "; ".join(dict.fromkeys(failure.actual for failure in failures)),
            next((failure.hint for failure in failures if failure.hint), ""),
        )
    elif claim.how == "none" and held:
        first = held[0].evidence[-1:] or [Evidence("it")]
        whole.failure = CheckFailed(f"not: {_stated(held[0].claim)}", f"it is so: {first[0].saw}")
    decided = whole.failure is not None or (claim.how == "any" and held)
    whole.problem = problems[0] if problems and not decided else None
    return whole


def _stated(claim: Claim) -> str:
    """Return a claim as it is written in lab.toml."""
    if isinstance(claim, Group):
        return f"{claim.how} of {len(claim.claims)} claims"
    key = claim.__struct_fields__[0]
    return f"{key} {getattr(claim, key)}"


def _notice(one: Seen) -> Iterator[Notice]:
    if one.failure:
        hint = one.claim.hint or one.failure.hint
        yield Notice(f"{one.failure.actual}; better: {one.failure.expected}. {hint}".rstrip())
    elif one.problem:
        yield Notice(f"not checked: {one.problem}")


def _charge(charged: list[Seen]) -> None:
    """Raise an error for the first claim that does not hold.

    A claim that could not be checked makes the step broken, except if another claim fails. With
    weights it is broken in any case, since the earned share needs all results.
    """
    failed = [one for one in charged if one.failure]
    weighted = any(one.claim.weight is not None for one in charged)
    problems: list[MachineError] = [one.problem for one in charged if one.problem]
    if problems and (weighted or not failed):
        raise problems[0]
    if not failed:
        return
    failure = failed[0].failure
    assert failure  # noqa: S101  for the type checker
    others = [one.failure for one in failed[1:] if one.failure]
    also = [f"{other.expected}: {other.actual}" for other in others]
    more = f"; also: {'; '.join(also)}" if also else ""
    share = 0.0
    if weighted:
        weights = {id(one): float(one.claim.weight or 0) for one in charged}
        total = sum(weights.values())
        share = 1 - sum(weights[id(one)] for one in failed) / total if total else 0.0
    raise CheckFailed(
        failure.expected,
        failure.actual + more,
        failed[0].claim.hint or failure.hint,
        failure.evidence,
        share=share,
    )
