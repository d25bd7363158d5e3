"""Reads the claims of a step: ``[[step.claim]]`` in lab.toml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labwright.lab.claims import (
    COMMON,
    GROUPS,
    KINDS,
    Claim,
    ClaimError,
    Group,
    kind_of,
    with_values,
)
from labwright.lab.toml_file import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labwright.lab.model import Step
    from labwright.lab.toml_file import TomlFile


def read(file: TomlFile, step: Step, values: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Return the claims of a step, with the lab's values filled in.

    :raises DefinitionError: a claim is wrong; the message has file and line.
    """
    found = []
    for number, table in enumerate(step.claims):
        place = ("step", step.number, "claim", number)
        part = file.part(f"a claim of step {step.id!r}", table, *place)
        try:
            filled = with_values(table, values)
        except ClaimError as problem:
            raise part.error(str(problem)) from None
        found.append(_read(file.part(part.name, filled, *place)))
    _verify(file, step, found)
    return tuple(found)


def _read(part: TomlFile) -> Claim:
    """Read a claim, or a group of them."""
    try:
        key = kind_of(part.body)
    except ClaimError as problem:
        raise part.error(f"{part.name}: {problem}") from None
    if key in GROUPS:
        return _read_group(part, key)
    claim = part.convert(KINDS[key])
    patterns = getattr(claim, "matches", None) or []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as problem:
            raise part.error(f"'matches' of {part.name}: {problem}", "matches") from None
    return claim


def _read_group(part: TomlFile, how: str) -> Group:
    inner = part.body[how]
    if not isinstance(inner, list) or not inner or not all(isinstance(one, dict) for one in inner):
        raise part.error(f"{how!r} of {part.name} must be a list of claims", how)
    rest = {key: value for key, value in part.body.items() if key != how}
    common = part.part(part.name, rest).convert(Claim)
    claims = []
    for number, table in enumerate(inner):
        for key in ("weight", "notice", "until"):
            if key in table:
                raise part.error(f"{key!r} stands beside {how!r}, not within it", how, number, key)
        claims.append(_read(part.part(part.name, table, how, number)))
    own = {key: getattr(common, key) for key in COMMON}
    return Group(how=how, claims=claims, **own)  # type: ignore[arg-type]


def _verify(file: TomlFile, step: Step, claims: Sequence[Claim]) -> None:
    """Check that the claims of a step are consistent."""
    what = f"step {step.id!r}"
    charged = [claim for claim in claims if not claim.notice and not claim.until]
    if claims and step.points and not charged:
        raise file.error(
            f"{what} has points, but each of its claims is a notice or undone later: "
            "add a claim about a lasting result, or set 'points' to 0",
            *("step", step.number, "claim"),
        )
    weights = [claim.weight for claim in charged if claim.weight is not None]
    for number, claim in enumerate(claims):
        place = ("step", step.number, "claim", number, "weight")
        if claim.weight is None:
            continue
        if claim not in charged:
            raise file.error(
                f"{what}: a claim with 'notice' or 'until' cannot have a weight", *place
            )
        if not 0 < claim.weight < 1_000_000:
            raise file.error(f"{what}: a weight must be more than 0, not {claim.weight}", *place)
        if len(weights) < len(charged):
            raise file.error(f"{what}: either all of its claims have a weight, or none", *place)


def verify_until(file: TomlFile, steps: Sequence[Step], order: Sequence[str]) -> None:
    """Check that each ``until`` names a later step of the document."""
    ids = [step.id for step in steps]
    for step in steps:
        for number, table in enumerate(step.claims):
            until = table.get("until")
            if until is None:
                continue
            place = ("step", step.number, "claim", number, "until")
            if until not in ids:
                raise file.error(f"'until' names {shown(until)}, which is not a step", *place)
            if order.index(until) <= order.index(step.id):
                raise file.error(f"{until!r} does not come after {step.id!r}", *place)
