"""Every error that labwright raises on purpose.

::

    LabwrightError              one clear sentence for the user; exit code 2
    ├── UsageError              the command line asks for what cannot be
    ├── DefinitionError         a lab's document or definition is wrong (file:line)
    ├── SetupError              this computer lacks something, and what to install
    ├── PerformError            a step of the lab could not be performed
    └── MachineError            the machine or the way to it failed: never the student's fault
        ├── HostUnreachable     no connection, or the connection was lost
        ├── CommandTimedOut     a command or probe did not end in time
        ├── EngineRefused       the Docker Engine answered one question with an error
        └── ProbeError          the probe's answer is not what a probe answers

    CheckFailed(AssertionError) the student's doing

``CheckFailed`` stands outside the tree, so whose fault it is can never be confused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.text import escape_surrogates

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.outcome import Evidence


class LabwrightError(Exception):
    """Something that its reader can mend; the message is one sentence that says how."""

    def __init__(self, message: str) -> None:
        super().__init__(escape_surrogates(message))


class UsageError(LabwrightError):
    """The command line asks for what cannot be."""


class DefinitionError(LabwrightError):
    """A lab's document or definition is wrong; the message begins with ``file:line``."""

    def __init__(self, path: Path | str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = str(path)
        self.line = line


class SetupError(LabwrightError):
    """This computer lacks something; the message says what to install or free."""


class PerformError(LabwrightError):
    """A command that performs a step did not do what it must."""


class MachineError(LabwrightError):
    """The machine, or the way to it, failed: never counted against a student."""


class HostUnreachable(MachineError):  # noqa: N818  the field's own term
    """No connection could be made, or it was lost."""


class CommandTimedOut(MachineError):  # noqa: N818
    """A command or a probe did not end within its time-out."""


class ProbeError(MachineError):
    """The probe answered with something that is not a probe's answer."""


class EngineRefused(MachineError):  # noqa: N818
    """The Docker Engine answered one question with an error; others it may answer well."""


class Disturbed(MachineError):  # noqa: N818
    """Others used what is checked meanwhile, so that nothing can be said about it."""


class CheckFailed(AssertionError):  # noqa: N818  it is an assertion, not an error of ours
    """A claim about the machine does not hold: the student's doing.

    ``expected`` and ``actual`` are sentences for people; ``hint`` says what was most
    likely done and how to mend it (empty: the step's own hint is shown);
    ``evidence`` is what was run and seen until then; ``cause`` names what is wrong where
    several steps fail for it: the first of them is charged, the others are blocked by it;
    ``share`` is the part of the step's points that is earned all the same, less than 1.
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
    """What a check looks for may come by itself, and this run does not wait for it."""

    SENTENCE = "it may become right by itself, and is not waited for"

    def __init__(self) -> None:
        """It says always the same."""
        super().__init__(self.SENTENCE)
