"""Draws the values of variants for each student.

The values are computed from the student's id and the course's secret. So they are the same each
time, and nobody without the secret can compute them. In the document and in ``lab.toml``,
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
"""Minimum length in characters: a secret that can be guessed reveals all variants."""


def values_for(lab: Lab, student: str, secret: str) -> dict[str, Any]:
    """Return the values of a student's variants.

    :raises UsageError: the lab has no variants, or the secret is too short.
    """
    if not lab.variants:
        raise UsageError(f"the lab {lab.name} has no variants: every student has the same values")
    if not student.strip():
        raise UsageError("the student's id is empty, which variants are drawn from: give an id")
    if len(secret) < SHORTEST_SECRET:
        raise UsageError(f"the course's secret must have at least {SHORTEST_SECRET} characters")
    found: dict[str, Any] = {}
    for variant in lab.variants:
        said = "\0".join((lab.name, variant.name, student.strip()))
        digest = hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()
        found.update(variant.option(int.from_bytes(digest[:8])))
    return found


def settings_for(lab: Lab, student: str, secret: str) -> list[str]:
    """Return the values of a student's variants as settings, ``KEY=VALUE``."""
    return [f"{key}={value}" for key, value in values_for(lab, student, secret).items()]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with values filled in; unknown names are not changed."""
    return PLACEHOLDER.sub(
        lambda found: str(values[found[1]]) if found[1] in values else found[0], text
    )


def filled(body: Any, values: Mapping[str, Any]) -> Any:
    """Return the content of a TOML file with values filled in.

    A text with nothing else becomes the value with its type.
    """
    if isinstance(body, dict):
        # Claims are filled in by the run, since `--set` can change their values.
        return {key: v if key == "claim" else filled(v, values) for key, v in body.items()}
    if isinstance(body, list):
        return [filled(value, values) for value in body]
    if isinstance(body, str):
        alone = PLACEHOLDER.fullmatch(body)
        return values[alone[1]] if alone and alone[1] in values else fill(body, values)
    return body
