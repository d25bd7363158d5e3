"""Gives each student their own edition of a lab, and finds whose edition a machine fits."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labwright.lab.variants import settings_for, values_for
from labwright.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.batch.student import Student
    from labwright.lab.model import Lab
    from labwright.score import Score

MOST_EDITIONS = 200
"""The most editions with which a machine is compared if it does not fit its own."""
SEARCH_S = 60.0
"""Seconds that the comparison may take."""
NAMED = 3
Edition = tuple[str, ...]
"""The student or students who have it, then its settings, ``KEY=VALUE``."""


def with_own_values(students: Sequence[Student], lab: Lab, secret: str) -> tuple[Student, ...]:
    """Return the students with the values of their variants; values in the roster win.

    :raises UsageError: the lab has no variants, or the secret is too short.
    """
    return tuple(
        replace(
            student,
            values={
                **dict(s.split("=", 1) for s in settings_for(lab, student.id, secret)),
                **student.values,
            },
        )
        for student in students
    )


def fingerprint(lab: Lab, secret: str) -> str:
    """Return a fingerprint of a secret that reveals nothing about the secret.

    :raises UsageError: the lab has no variants, or the secret is too short.
    """
    values_for(lab, "anybody", secret)
    return hmac.new(secret.encode(), b"labwright fingerprint", hashlib.sha256).hexdigest()[:8]


def editions(students: Sequence[Student], lab: Lab) -> tuple[Edition, ...]:
    """Return the editions that a class has, each with its students."""
    keys = [key for variant in lab.variants for key in variant.keys]
    owners: dict[tuple[str, ...], list[str]] = {}
    for student in students:
        settings = tuple(f"{key}={student.values[key]}" for key in keys if key in student.values)
        if settings:
            owners.setdefault(settings, []).append(student.id)
    if len(owners) < 2:
        return ()
    return tuple((_named(ids), *settings) for settings, ids in owners.items())[:MOST_EDITIONS]


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - NAMED
    return ", ".join(ids[:NAMED]) + (f" and {more} more" if more > 0 else "")


def values_note(given: dict[str, str], own: dict[str, str], known: Sequence[Edition]) -> str:
    """Return a note on values that are not the student's own; "" if they are."""
    keys = {setting.partition("=")[0] for _, *settings in known for setting in settings}
    said = {key: value for key, value in given.items() if key in keys}
    if not keys or said == {key: own[key] for key in keys if key in own}:
        return ""
    if not said:
        return "it was made without the values of the student's own variant"
    for owner, *settings in known:
        if said == dict(setting.split("=", 1) for setting in settings):
            return f"it was made with the variant of {owner}"
    shown = ", ".join(f"{key}={value}" for key, value in said.items())
    return f"it was made with values that no student has: {shown[:200]}"


def fits(
    score: Score,
    settings: Sequence[str],
    known: Sequence[Edition],
    judged: Callable[[Sequence[str], Sequence[str]], Score],
) -> str:
    """Return whose edition a machine fits better than the student's own, or "".

    Only steps that did not pass are judged, each without its needs: otherwise a first step
    that fails would block all others, and nothing could be compared.

    :param settings: the settings of the run, with those of the student's own edition.
    :param judged: judges the record for the given steps, without their needs, by settings.
    """
    steps = [step.id for step in score.steps if step.outcome is not Outcome.PASSED]
    if not steps or score.points == score.max_points:
        return ""
    best, owner = judged(steps, settings).points, ""
    deadline = time.monotonic() + SEARCH_S
    for whose, *other in known:
        keys = {setting.partition("=")[0] for setting in other}
        kept = [setting for setting in settings if setting.partition("=")[0] not in keys]
        if set(other) <= set(settings):
            continue
        if time.monotonic() > deadline:
            break
        points = judged(steps, [*kept, *other]).points
        if points > best:
            best, owner = points, whose
    return owner
