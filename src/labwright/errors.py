"""Every error that labwright raises on purpose.

::

    LabwrightError              one clear sentence for the user; exit code 2
        ├── UsageError              the command line is wrong
        ├── DefinitionError         a lab's document or definition is wrong (file:line)
        ├── SetupError              this computer lacks something; what to install or free
        ├── PerformError            a step of the lab could not be performed
        ├── NotYet                  a watch does not wait for a state that may still come
        └── MachineError            the machine or the connection failed: never the student's fault
            ├── HostUnreachable     no connection, or the connection was lost
            ├── CommandTimedOut     a command or probe did not end in time
            ├── EngineRefused       the Docker Engine answered one question with an error
            ├── ProbeError          the probe's answer is malformed
            └── Disturbed           others used the machine, so nothing can be judged

        CheckFailed(AssertionError) the student's doing

    ``CheckFailed`` is outside the tree, so that the two kinds of faults are never confused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.text import escape_surrogates

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.outcome import Evidence


class LabwrightError(Exception):
    """An error that the user can correct; the message is one sentence that says how."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_surrogates(message))


class UsageError(LabwrightError):
    """The command line is wrong, or names something that does not exist."""


class DefinitionError(LabwrightError):
    """A lab's document or definition is wrong; the message begins with ``file:line``."""

    def __init__(self, path: Path | str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = str(path)
        self.line = line


class SetupError(LabwrightError):
    """This computer lacks something; the message says what to install or free."""


class PerformError(LabwrightError):
    """A command that performs a step failed."""


class MachineError(LabwrightError):
    """The machine, or the connection to it, failed: never counted against a student."""


class HostUnreachable(MachineError):  # noqa: N818  the field's own term
    """No connection could be made, or it was lost."""


class CommandTimedOut(MachineError):  # noqa: N818
    """A command or a probe did not end within its time-out."""


class ProbeError(MachineError):
    """The probe's answer is malformed."""


class EngineRefused(MachineError):  # noqa: N818
    """The Docker Engine answered one question with an error; others may succeed."""


class Disturbed(MachineError):  # noqa: N818
    """Others used the service during the check, so nothing can be judged."""


class CheckFailed(AssertionError):  # noqa: N818  an assertion about the machine
    """A claim about the machine does not hold: the student's doing.

    ``expected`` and ``actual`` are texts for people; ``hint`` says what was probably done and how
    to correct it (empty: the step's own hint is shown); ``evidence`` is the evidence until
    then; ``cause`` names a cause for which several steps fail: only the first of them loses
    points, the others are blocked by it; ``share`` is the share of the step's points that
    is still earned, less than 1.
    """

    def __init__(
        self,
        expected: str,
        actual: str,
        hint: str = "",
        evidence: tuple[Evidence, ...] = (),
        cause: str = "",
        share: float = 0.0,
    ) -> None:
        self.expected = escape_surrogates(expected)
        self.actual = escape_surrogates(actual)
        self.hint = escape_surrogates(hint)
        super().__init__(f"expected {self.expected}, but {self.actual}")
        self.evidence = evidence
        self.cause = cause
        self.share = share if 0 <= share < 1 else 0.0


class NotYet(LabwrightError):  # noqa: N818
    """The state that a check needs may come by itself, but this run does not wait for it."""

    SENTENCE = "it may become right by itself, but this run does not wait for it"

    def __init__(self) -> None:
        """Create it; the message is always the same."""
        super().__init__(self.SENTENCE)
