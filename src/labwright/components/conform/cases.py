"""How a case is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from labwright.components.conform.gorb import Gorb

    Claim = Callable[[Gorb], None]


class Case(NamedTuple):
    """One claim about a daemon."""

    group: str
    name: str
    """A sentence."""
    claim: Claim
    original: str = ""
    """In what the original itself falls short of it, if it does."""
    addition: bool = False
    """Whether the original has nothing of the kind, so that who lacks it still conforms."""


class Group:
    """The cases of one subject, in the order in which they are written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case] = []

    def case(self, claim: Claim) -> Claim:
        """Add a case; its name is the function's."""
        self.cases.append(Case(self.name, _sentence(claim), claim))
        return claim

    def beyond(self, original: str) -> Callable[[Claim], Claim]:
        """Add a case that the original does not meet, and say how it fails."""

        def add(claim: Claim) -> Claim:
            self.cases.append(Case(self.name, _sentence(claim), claim, original=original))
            return claim

        return add

    def addition(self, claim: Claim) -> Claim:
        """Add a case about something that the original does not have."""
        self.cases.append(Case(self.name, _sentence(claim), claim, addition=True))
        return claim


def _sentence(claim: Claim) -> str:
    return claim.__name__.replace("_", " ")
