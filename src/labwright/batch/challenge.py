"""A challenge: a text that makes each run unpredictable until the instructor publishes it.

The seed of a run, and so the requests that are sent, is computed from the challenge and
the student's id. A record that was made earlier, or by another student, used another seed and
is refused. The text contains its own validity period:
``2026-11-28T10:00Z/2026-11-28T12:00Z/8 random letters``.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from labwright.errors import UsageError

if TYPE_CHECKING:
    from labwright.score import Score

FORM = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\dZ)/(\d{4}-\d\d-\d\dT\d\d:\d\dZ)/([A-Za-z0-9_-]{8,40})"
)
CLOCKS_S = 120
"""Seconds by which a student's clock may be wrong."""
LETTERS = 16


@dataclass(frozen=True)
class Challenge:
    """The text of a challenge, and the period in which it is valid."""

    text: str
    begins: datetime
    ends: datetime

    @classmethod
    def parse(cls, text: str) -> Challenge:
        """Parse the text of a challenge.

        :raises UsageError: the text is not a challenge.
        """
        match = FORM.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError
            begins, ends = (datetime.fromisoformat(match[n]) for n in (1, 2))
        except ValueError:
            raise UsageError(
                f"not a challenge: {text[:80]!r}: copy it as your instructor gave it out: "
                "2026-11-28T10:00Z/2026-11-28T12:00Z/..."
            ) from None
        if begins >= ends:
            raise UsageError(f"not a challenge: {text[:80]!r}: it ends before it begins")
        return cls(text.strip(), begins, ends)

    @classmethod
    def new(cls, hours: float, begins: datetime | None = None) -> Challenge:
        """Return a new, unpredictable challenge that is valid for some hours.

        :raises UsageError: the calendar ends before.
        """
        try:
            start = (begins or datetime.now(UTC)).astimezone(UTC).replace(second=0, microsecond=0)
            end = start + timedelta(hours=hours)
        except (OverflowError, ValueError) as problem:
            raise UsageError(f"no challenge can begin at {begins}: {problem}") from None
        form = "%Y-%m-%dT%H:%MZ"
        text = f"{start:{form}}/{end:{form}}/{secrets.token_urlsafe(LETTERS)}"
        return cls.parse(text)

    def seed(self, student: str) -> int:
        """Return the seed of a student's run."""
        # The case of an id does not matter: see batch/collect.py.
        digest = hashlib.sha256(f"{self.text} {student.casefold()}".encode()).digest()
        return int.from_bytes(digest[:4]) >> 1

    def problem(self, given: str, student: str, score: Score) -> str:
        """Return why a file does not answer the challenge, or "" if it does."""
        if given != self.text:
            how = "for another" if given else "without a"
            return f"it was made {how} challenge"
        if score.seed != self.seed(student):
            return "its seed is not the one that this challenge gives this student"
        return ""

    def findings(self, score: Score) -> list[str]:
        """Return notes on times of a run (by the student's clock) outside the period."""
        said = []
        margin = timedelta(seconds=CLOCKS_S)
        for what, moment in (("started", score.started), ("finished", score.finished)):
            try:
                at = datetime.fromisoformat(moment)
            except ValueError:
                at = datetime(1, 1, 2, tzinfo=UTC)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            if at - self.begins < -margin or at - self.ends > margin:
                said.append(f"by its own clock it {what} outside the challenge's time")
        return said
