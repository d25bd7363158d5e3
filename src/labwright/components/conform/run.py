"""Runs the cases against a daemon, and leaves it as it was."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from labwright.components.conform.backends import backends
from labwright.components.conform.gorb import Difference, Gorb
from labwright.components.conform.paths import paths
from labwright.components.conform.pulses import pulses
from labwright.components.conform.services import services
from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.components.conform.cases import Case

CASES: tuple[Case, ...] = tuple(
    case for group in (services, backends, pulses, paths) for case in group.cases
)


class Verdict(Enum):
    """What a case says of a daemon."""

    CONFORMS = "conforms"
    DIFFERS = "differs"
    LACKS = "lacks an addition"
    """Something that the original does not have either."""


class Finding(NamedTuple):
    """A case and what came of it."""

    case: Case
    verdict: Verdict
    difference: Difference | None = None


def run(gorb: Gorb, cases: tuple[Case, ...] = CASES, *, beside_others: bool) -> Iterator[Finding]:
    """Yield a finding for each case; after each, what it created is gone.

    :param beside_others: whether the daemon may have services of others. Their addresses
        may make a case differ; they are not touched.
    :raises UsageError: it has services, and may not.
    """
    others = gorb.services()
    if others and not beside_others:
        shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        raise UsageError(
            f"{gorb.url} has services ({shown}): try a daemon that nobody uses, "
            "or say --beside-others; they are not touched"
        )
    for case in cases:
        try:
            case.claim(gorb)
        except Difference as difference:
            yield _finding(case, difference)
        except (KeyError, TypeError, AttributeError) as problem:
            # An answer whose JSON is not made as Gorb's is.
            seen = f"{problem!r} in reading it"
            yield _finding(case, Difference(case.name, "JSON made as Gorb's", seen))
        else:
            yield Finding(case, Verdict.CONFORMS)
        finally:
            gorb.clean_up()


def _finding(case: Case, difference: Difference) -> Finding:
    return Finding(case, Verdict.LACKS if case.addition else Verdict.DIFFERS, difference)
