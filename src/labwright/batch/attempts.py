"""Which of a student's attempts counts, and why. Every attempt is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labwright.batch.journal import Attempt

Policy = Literal["best", "last"]
HANDED_IN = "handed in"
"""The key of an attempt that was handed in as a file: its machine is not known."""
POLICIES: tuple[Policy, ...] = ("best", "last")


@dataclass(frozen=True)
class Choice:
    """The attempt that counts, and the reason."""

    attempt: Attempt | None = None
    why: str = "not examined yet"


def choose(
    attempts: Sequence[Attempt],
    policy: Policy = "best",
    key: str = "",
    value: Callable[[Attempt], float] = lambda attempt: attempt.points,
) -> Choice:
    """Return the attempt that counts.

    An attempt that could not be graded never counts if another one was graded: a machine
    that is switched off today does not remove a grade.

    :param key: the student's key in the current roster; an attempt on another machine counts
        only until the student is graded on this one.
    :param value: returns the points of an attempt, after the late rule.
    """
    if not attempts:
        return Choice()
    graded = _judged_last([attempt for attempt in attempts if attempt.graded])
    if not graded:
        seen = max(attempts, key=lambda attempt: (_examined(attempt), attempt.number))
        return Choice(seen, "no attempt could be graded")
    here = [attempt for attempt in graded if belongs(attempt, key)]
    elsewhere = "" if here else "; it was graded at another target than the roster has now"
    candidates = here or graded
    if len(candidates) == 1:
        why = "the only attempt that was graded"
    elif policy == "best":
        why = f"the best of {len(candidates)}"
    else:
        why = f"the last of {len(candidates)}"
    # Of attempts with equal points the first counts, so later ones do not change the choice.
    if policy == "best":
        chosen = max(candidates, key=lambda attempt: (value(attempt), -_place(attempt)))
    else:
        chosen = max(candidates, key=_place)
    if chosen.of:
        why += f"; attempt {chosen.of} judged again"
    return Choice(chosen, why + elsewhere)


def belongs(attempt: Attempt, key: str) -> bool:
    """Whether an attempt was made on the student's current machine, or was handed in."""
    return key in ("", attempt.key) or attempt.key == HANDED_IN


def _judged_last(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the latest judgement of each attempt: an attempt can be judged again later."""
    latest: dict[int, Attempt] = {}
    for attempt in attempts:
        latest[_place(attempt)] = attempt
    return list(latest.values())


def _place(attempt: Attempt) -> int:
    """Return the number of the original attempt, whose record was judged."""
    return attempt.of or attempt.number


def _examined(attempt: Attempt) -> int:
    return sum(outcome != "broken" for outcome, _, _ in attempt.steps.values())
