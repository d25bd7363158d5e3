"""A machine: the computer on which a lab is done. All kinds of machines have this interface."""

from __future__ import annotations

import json
import shlex
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labwright.errors import CommandTimedOut, MachineError, ProbeError
from labwright.machines import docker_host, probe_session
from labwright.machines.engine import Engine
from labwright.machines.probe_session import ProbeSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker

    from labwright.machines.docker_host import DockerHost
    from labwright.machines.process import Output

PROBE = "labwright/probe/v1"
ENVIRONMENT = "LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH\n"
"""The prefix of a command that only reads."""
OUTPUT_LIMIT = 1 << 20
"""Maximum bytes kept of each of a command's two outputs; the target is hostile."""


@dataclass(frozen=True)
class CommandResult:
    """The result of a command. Output is text of limited length; undecodable bytes are escaped."""

    command: str
    exit_status: int
    stdout: str
    stderr: str
    duration_s: float
    truncated: bool = False
    """Whether output beyond the limit was dropped."""

    @property
    def ok(self) -> bool:
        """Whether the command exited 0."""
        return self.exit_status == 0

    @classmethod
    def of(cls, command: str, output: Output) -> CommandResult:
        """Decode a program's output without raising an error."""
        return cls(
            command,
            output.exit_status,
            output.stdout.decode(errors="backslashreplace"),
            output.stderr.decode(errors="backslashreplace"),
            output.duration_s,
            output.truncated,
        )


@dataclass(frozen=True)
class Reply:
    """The result of one HTTP request made on the machine.

    Either ``status`` is set, or ``error`` says why there was no answer: ``refused``,
    ``timeout``, ``unreachable``, ``reset`` or ``protocol``, with ``detail`` in words.
    """

    status: int | None
    headers: Mapping[str, str]
    body: str
    error: str
    detail: str
    took_s: float | None = None
    """Seconds from opening the connection to the end of the answer; None without an answer."""

    def summary(self) -> str:
        """Return the result in one line."""
        if self.error:
            return f"{self.error} ({self.detail})" if self.detail else self.error
        return f"{self.status} {self.body.strip()[:500]}".rstrip()

    def json(self) -> Any:
        """Return the body as JSON, or None if it is not JSON."""
        return _json(self.body)


def _json(text: str) -> Any:
    """Parse untrusted text as JSON; return None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def reply_of(answer: Any) -> Reply:
    """Convert a probe's answer into a reply.

    :raises TypeError: the answer does not have the right form.
    """
    reply = Reply(**answer)
    texts = (reply.body, reply.error, reply.detail)
    if (
        not isinstance(reply.status, int | None)
        or not isinstance(reply.headers, dict)
        or not all(isinstance(text, str) for text in texts)
        or not isinstance(reply.took_s, int | float | None)
        or (reply.status is None) == (not reply.error)
    ):
        raise TypeError("not the shape of a reply")
    return reply


def _result_of(command: str, answer: Any, timeout: float) -> CommandResult | MachineError:
    """Convert a probe's answer into the result of a command."""
    if answer["status"] is None:
        return CommandTimedOut(f"`{command[:200]}` did not end within {timeout:g} s")
    return CommandResult(
        command=command,
        exit_status=int(answer["status"]),
        stdout=str(answer["stdout"]),
        stderr=str(answer["stderr"]),
        duration_s=float(answer["took_s"]),
        truncated=bool(answer["truncated"]),
    )


class Machine(ABC):
    """A machine on which a lab is done and checked."""

    target: str
    """The target: ``local``, ``ssh://...`` or ``vm:NAME``."""
    session: ProbeSession | None = None

    @abstractmethod
    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command as the machine's user.

        :param timeout: seconds.
        :raises HostUnreachable: no connection could be made, or it was lost.
        :raises CommandTimedOut: the command did not end in time.
        """

    def program(self, command: str) -> list[str]:
        """Return a program on this computer that runs a shell command on the machine."""
        raise MachineError(f"{self.target} cannot run the grader's programs: {command[:80]}")

    @abstractmethod
    def docker_socket(self) -> str:
        """Return the path, on this computer, of a socket to the machine's Docker Engine."""

    def shell(self) -> list[str]:
        """Return a program on this computer that is an interactive shell on the machine.

        It needs a terminal. It has no line editing, so that it prints only the output of commands.
        """
        raise MachineError(f"{self.target} has no terminal")

    def now(self) -> float:
        """Return the time in seconds, to measure how long something takes."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait some seconds for the machine to change."""
        time.sleep(seconds)

    def login_shell(self) -> list[str]:
        """Return a program on this computer that is the user's login shell on the machine.

        It needs a terminal.
        """
        raise MachineError(f"{self.target} has no terminal")

    def prepare(self) -> None:
        """Start connecting in the background, so that the first question waits less."""
        self._probe_session()

    def forget_engine_failure(self) -> None:
        """Forget a failure of the Docker Engine: it may have been started since."""
        self.__dict__.pop("engine", None)

    def close(self) -> None:
        """Close the connection; the machine itself is not changed."""
        if self.session:
            self.session.close()

    def run(
        self,
        command: str,
        *arguments: str,
        timeout: float = 30.0,
        stdin: bytes = b"",
        limit: int = OUTPUT_LIMIT,
    ) -> CommandResult:
        """Run a shell command in which each ``%s`` is replaced by a quoted argument.

        Example: ``machine.run("cat %s", path)``. It raises the same errors as :meth:`execute`.
        """
        if arguments:
            command %= tuple(shlex.quote(argument) for argument in arguments)
        return self.execute(command, timeout=timeout, stdin=stdin, limit=limit)

    def run_all(
        self, commands: Sequence[str], timeout: float = 10.0
    ) -> list[CommandResult | MachineError]:
        """Run several shell commands in one visit, one after another; they must only read.

        Their PATH includes ``/usr/sbin``, and their messages are English.

        :param timeout: seconds for each command. The error of a command is returned as its result.
        :raises MachineError: the machine or the connection failed.
        """
        task = {"task": "run", "commands": [ENVIRONMENT + c for c in commands], "timeout": timeout}
        try:
            answers = self.probe(task, timeout=timeout * len(commands) + 20)
        except CommandTimedOut:
            return [self._run_alone(command, timeout) for command in commands]
        try:
            pairs = zip(commands, answers, strict=True)
            return [_result_of(command, answer, timeout) for command, answer in pairs]
        except (KeyError, TypeError, ValueError) as problem:
            raise ProbeError(f"the probe on {self.target} answered something else") from problem

    def _run_alone(self, command: str, timeout: float) -> CommandResult | MachineError:
        try:
            return self.run(ENVIRONMENT + command, timeout=timeout)
        except CommandTimedOut as problem:
            return problem

    def read(self, path: str, limit: int = OUTPUT_LIMIT) -> str | None:
        """Return a file's text, or None if it does not exist or cannot be read."""
        result = self.run("cat %s", path, limit=limit)
        return result.stdout if result.ok else None

    def probe(self, task: Mapping[str, Any], timeout: float) -> Any:
        """Run one task of the probe on the machine, and return its answer.

        The tasks are described in :mod:`labwright.components.workload.probe`.

        :param timeout: seconds for the whole task.
        :raises ProbeError: the output is not a valid answer.
        """
        result = self.ask_probe(json.dumps(task), timeout)
        if result.exit_status == 127:
            raise MachineError(
                f"{self.target} has no python3, which the grader needs there: "
                "install it with `sudo apt-get install python3-minimal`"
            )
        if result.exit_status == probe_session.TOO_OLD:
            needed = ".".join(map(str, probe_session.OLDEST_PYTHON))
            release = result.stderr.strip()[:20] or "an older one"
            raise MachineError(
                f"{self.target} has python3 {release}; the grader needs {needed} or newer there"
            )
        answer = _json(result.stdout)
        if isinstance(answer, dict) and answer.get("probe") == PROBE and "result" in answer:
            return answer["result"]
        reason = answer.get("error") if isinstance(answer, dict) else None
        said = (result.stderr.strip() or result.stdout.strip()[:1000]).splitlines()
        last = reason or (said or ["nothing on stderr"])[-1]
        raise ProbeError(
            f"the probe on {self.target} gave no valid answer "
            f"(exit status {result.exit_status}): {str(last)[:200]}"
        )

    def ask_probe(self, task: str, timeout: float) -> CommandResult:
        """Return the probe's output for a task, without validating it.

        :param task: one line of JSON.
        :raises CommandTimedOut: it did not answer in time.
        """
        output = self._probe_session().ask(task, timeout)
        return CommandResult.of(f"probe {task}", output)

    def _probe_session(self) -> ProbeSession:
        if self.session is None or self.session.ended:
            self.session = ProbeSession(self.program)
        return self.session

    def http(self, requests: list[Mapping[str, Any]], timeout: float = 5.0) -> list[Reply]:
        """Make HTTP requests from the machine itself, in order, each on its own connection.

        A request is ``{"url": ...}``, optionally with ``method``, ``headers`` and ``body``.

        :param timeout: seconds for each request.
        """
        task = {"task": "http", "requests": list(requests), "timeout": timeout}
        answers = self.probe(task, timeout=timeout * len(requests) + 20)
        try:
            return [reply_of(answer) for _, answer in zip(requests, answers, strict=True)]
        except (TypeError, ValueError) as problem:
            raise ProbeError(f"the probe on {self.target} answered something else") from problem

    @cached_property
    def engine(self) -> Engine:
        """The machine's Docker Engine."""
        return Engine(self)

    @cached_property
    def docker_host(self) -> DockerHost:
        """The socket of the Docker Engine that the machine's user uses."""
        return self.find_docker_host()

    def find_docker_host(self) -> DockerHost:
        """Find the socket anew.

        :raises MachineError: the Engine is not on this machine.
        """
        said = self.execute(docker_host.FIND, timeout=docker_host.FIND_S).stdout
        return docker_host.found(said, self.target)

    @cached_property
    def docker(self) -> docker.DockerClient:
        """A client for the machine's Docker Engine."""
        from labwright.machines.docker_client import Client  # slow to load

        return Client(self.docker_socket())
