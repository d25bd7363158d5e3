"""Values that differ from student to student.

A variant is drawn from the student's id and a secret of the course: it is the same each time,
and nobody who lacks the secret can compute another's. In the document and in ``lab.toml``,
``{{name}}`` stands for a value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any

from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labwright.lab.model import Lab

PLACEHOLDER = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
SHORTEST_SECRET = 16
"""Characters: who can guess the secret knows everybody's variant."""


def values_for(lab: Lab, student: str, secret: str) -> dict[str, Any]:
    """Return the values of the lab that are a student's own.

    :raises UsageError: the lab has no variants, or the secret is no secret.
    """
    if not lab.variants:
        raise UsageError(f"the lab {lab.name} has no variants: every student has the same values")
    if not student.strip():
        raise UsageError("a variant is a student's: give the student's id")
    if len(secret) < SHORTEST_SECRET:
        raise UsageError(f"the course's secret must have at least {SHORTEST_SECRET} characters")
    found: dict[str, Any] = {}
    for variant in lab.variants:
        said = "\0".join((lab.name, variant.name, student.strip()))
        digest = hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()
        found.update(variant.option(int.from_bytes(digest[:8])))
    return found


def settings_for(lab: Lab, student: str, secret: str) -> list[str]:
    """Return a student's own values as settings, ``KEY=VALUE``, for a run of the lab."""
    return [f"{key}={value}" for key, value in values_for(lab, student, secret).items()]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with its values in their places; what is no value stays as it is."""
    return PLACEHOLDER.sub(
        lambda found: str(values[found[1]]) if found[1] in values else found[0], text
    )


def filled(body: Any, values: Mapping[str, Any]) -> Any:
    """Return what a file holds with all of its texts filled.

    A text that is nothing but a value becomes that value, with its type.
    """
    if isinstance(body, dict):
        # A claim is filled by the run that looks at it: `--set` may change its values.
        return {key: v if key == "claim" else filled(v, values) for key, v in body.items()}
    if isinstance(body, list):
        return [filled(value, values) for value in body]
    if isinstance(body, str):
        alone = PLACEHOLDER.fullmatch(body)
        return values[alone[1]] if alone and alone[1] in values else fill(body, values)
    return body
