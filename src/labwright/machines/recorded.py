"""Records the questions to a machine and their answers; and replays such a record.

Checks learn about a machine only through commands and its Docker Engine. The answers are plain
data. Saved with the results, they let the checks judge again without the machine, after a change
of points or thresholds.
"""

from __future__ import annotations

import re
import shlex
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright import errors
from labwright.errors import MachineError
from labwright.machines.engine import Engine
from labwright.machines.machine import OUTPUT_LIMIT, CommandResult, Machine
from labwright.outcome import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

KEPT_BYTES = 1 << 20
"""Maximum characters of one output; no question has a longer answer."""


_NEW_DATA = re.compile(r'"task": "(traffic|load)"')
"""Tasks that send traffic: each answer may be replayed only once."""
_SPENT = Observation("")
CLOCK = "seconds since the grading began"
"""The question under which a reading of the clock is recorded."""


class NotRecorded(MachineError):  # noqa: N818
    """The question was not asked when the machine was graded, so its answer is unknown."""


class RecordingMachine(Machine):
    """Wraps a machine, and records every question and answer."""

    def __init__(self, machine: Machine, tape: list[Observation]) -> None:
        self._machine = machine
        self._tape = tape
        self.target = machine.target
        # The clock of a record already begins at 0, and each reading is recorded once.
        self._began = 0.0 if isinstance(machine, RecordedMachine) else machine.now()

    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command; see :meth:`Machine.execute`."""
        return self._result_of(
            _command(command),
            lambda: self._machine.execute(command, timeout=timeout, stdin=stdin, limit=limit),
        )

    def run_all(
        self, commands: Sequence[str], timeout: float = 10.0
    ) -> list[CommandResult | MachineError]:
        """Run several commands; see :meth:`Machine.run_all`. Each is recorded as one question."""
        answers = self._machine.run_all(commands, timeout)
        for command, answer in zip(commands, answers, strict=True):
            asked = _command(command)
            if isinstance(answer, MachineError):
                self._tape.append(Observation(asked, str(answer), type(answer).__name__))
            else:
                self._tape.append(Observation(asked, _told(answer)))
        return answers

    def ask_probe(self, task: str, timeout: float) -> CommandResult:
        """Run a task of the probe; see :meth:`Machine.ask_probe`."""
        return self._result_of(_probe(task), lambda: self._machine.ask_probe(task, timeout))

    def _result_of(self, asked: str, run: Callable[[], CommandResult]) -> CommandResult:
        kept: dict[str, Any] = {}

        def answer() -> dict[str, Any]:
            kept["result"] = result = run()
            return _told(result)

        self._keep(asked, answer)
        result: CommandResult = kept["result"]
        return result

    @cached_property
    def engine(self) -> Engine:
        """The machine's Docker Engine, recorded as well."""
        inner = self._machine.engine
        return _TapedEngine(
            self, lambda asked, *question: self._keep(asked, lambda: inner.ask(*question))
        )

    def now(self) -> float:
        """Return and record the time in seconds, to measure how long something takes."""
        now: float = self._keep(CLOCK, lambda: round(self._machine.now() - self._began, 3))
        return now

    def pause(self, seconds: float) -> None:
        """Wait until the machine may have changed."""
        self._machine.pause(seconds)

    def docker_socket(self) -> str:
        """Return the path of a socket to the machine's Docker Engine."""
        return self._machine.docker_socket()

    def close(self) -> None:
        """Close the connection."""
        self._machine.close()

    def _keep(self, asked: str, answer: Callable[[], Any]) -> Any:
        try:
            answered = answer()
        except MachineError as problem:
            self._tape.append(Observation(asked, str(problem), type(problem).__name__))
            raise
        self._tape.append(Observation(asked, answered))
        return answered


class RecordedMachine(Machine):
    """A machine that gives the recorded answers.

    A question that was asked several times gets its answers in the same order, and then the last
    one again and again.
    """

    def __init__(self, target: str, observations: Iterable[Observation]) -> None:
        self.target = target
        self._answers: dict[str, list[Observation]] = {}
        for observation in observations:
            self._answers.setdefault(observation.asked, []).append(observation)

    def now(self) -> float:
        """Return the recorded time; 0 if the clock was not read.

        :raises NotRecorded: the clock was not read so often.
        """
        if CLOCK not in self._answers:
            return 0.0
        self._require_clock()
        found = self._answers[CLOCK].pop(0).answered
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise NotRecorded(f"the record of {self.target} is malformed: {CLOCK}")
        return float(found)

    def pause(self, seconds: float) -> None:  # noqa: ARG002  nothing takes time here
        """Continue with the answers after the pause.

        :raises NotRecorded: nothing was recorded after it.
        """
        self._require_clock()

    def _require_clock(self) -> None:
        if not self._answers.get(CLOCK):
            raise NotRecorded(
                f"the record of {self.target} ends before this time: grade the machine again"
            )

    def execute(
        self,
        command: str,
        *,
        timeout: float,  # noqa: ARG002  nothing takes time here
        stdin: bytes = b"",  # noqa: ARG002
        limit: int = OUTPUT_LIMIT,  # noqa: ARG002
    ) -> CommandResult:
        """Return the recorded result of a command.

        :raises NotRecorded: the command was not run.
        """
        return self._result_of(_command(command))

    def run_all(
        self,
        commands: Sequence[str],
        timeout: float = 10.0,
    ) -> list[CommandResult | MachineError]:
        """Return the recorded result of each command; raises as :meth:`execute` does."""
        answers: list[CommandResult | MachineError] = []
        for command in commands:
            try:
                answers.append(self.execute(command, timeout=timeout))
            except MachineError as problem:
                answers.append(problem)
        return answers

    def ask_probe(self, task: str, timeout: float) -> CommandResult:  # noqa: ARG002
        """Return the recorded answer of the probe; raises as :meth:`execute` does."""
        return self._result_of(_probe(task))

    def _result_of(self, asked: str) -> CommandResult:
        answered = self.answer(asked)
        try:
            return CommandResult(command=asked, duration_s=0.0, **answered)
        except TypeError:
            raise NotRecorded(f"the record of {self.target} is malformed: {asked[:80]}") from None

    @cached_property
    def engine(self) -> Engine:
        """The recorded Docker Engine."""
        return _TapedEngine(self, lambda asked, *_: self.answer(asked))

    def docker_socket(self) -> str:
        """Raise an error: a record has no Docker socket."""
        raise NotRecorded(f"{self.target} is a record, not a machine")

    def answer(self, asked: str) -> Any:
        """Return the recorded answer to a question, or raise the recorded error."""
        answers = self._answers.get(asked)
        if not answers:
            raise NotRecorded(
                f"this was not asked of {self.target} when it was graded: {asked[:120]}"
            )
        if _NEW_DATA.search(asked) and answers[0] is _SPENT:
            raise NotRecorded(
                f"the record of {self.target} has fewer requests than this check needs: "
                "grade the machine again"
            )
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if _NEW_DATA.search(asked) and found is answers[0]:
            answers[0] = _SPENT
        if not found.error:
            return found.answered
        kind = getattr(errors, found.error, MachineError)
        known = isinstance(kind, type) and issubclass(kind, MachineError)
        raise (kind if known else MachineError)(str(found.answered))


class _TapedEngine(Engine):
    """A Docker Engine whose questions are recorded or replayed."""

    def __init__(self, machine: Machine, tape: Callable[..., Any]) -> None:
        super().__init__(machine)
        self._tape = tape

    def ask(self, what: str, *arguments: Any) -> Any:
        asked = " ".join(["docker", what, *(repr(argument) for argument in arguments)])
        return self._tape(asked, what, *arguments)


def _told(result: CommandResult) -> dict[str, Any]:
    """Return a command's result as plain data for the record."""
    whole = len(result.stdout) <= KEPT_BYTES and len(result.stderr) <= KEPT_BYTES
    return {
        "exit_status": result.exit_status,
        "stdout": result.stdout[:KEPT_BYTES],
        "stderr": result.stderr[:KEPT_BYTES],
        "truncated": result.truncated or not whole,
    }


def _command(command: str) -> str:
    return f"run {command}"


def _probe(task: str) -> str:
    # The form of earlier versions, in which each task was a command: records are kept for years.
    return _command(f"exec python3 -I - {shlex.quote(task)}")
