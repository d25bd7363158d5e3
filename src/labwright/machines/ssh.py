"""A machine over SSH: OpenSSH's client with a control master.

People's ssh_config, agents and jump hosts work, since it is their own ssh.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labwright.errors import CommandTimedOut, HostUnreachable, MachineError, UsageError
from labwright.host.temporary import Scratch
from labwright.machines.machine import OUTPUT_LIMIT, CommandResult, Machine
from labwright.machines.process import run_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from labwright.machines.probe_session import ProbeSession

CONNECT_TIMEOUT_S = 15
ALIVE_TIMEOUT_S = 8
READY = "labwright-connected"
SSH_FAILED = 255
"""ssh's own exit status for a connection that failed or was lost. A remote command
that exits with the same is told apart by being made to exit 254."""


@dataclass(frozen=True)
class Destination:
    """Where ssh connects to, and with what beyond the user's own configuration."""

    host: str
    port: int | None = None
    user: str | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    plain: bool = False
    """Without the user's own configuration: for a guest of ours."""
    config: Path | None = None
    """An ssh_config to read instead of the user's own, which it may include."""

    @classmethod
    def parse(cls, target: str) -> Destination:
        """Read ``ssh://[user@]host[:port]``.

        :raises UsageError: it is something else.
        """
        try:
            parts = urlsplit(target)
            port = parts.port
        except ValueError as problem:
            raise UsageError(f"not a target: {target!r}: {problem}") from None
        if parts.scheme != "ssh" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise UsageError(f"not a target: {target!r}: write ssh://[user@]host[:port]")
        if parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
            raise UsageError(f"not a target: {target!r}: a name cannot begin with a dash")
        if parts.password:
            raise UsageError(f"{parts.hostname}: no password in a target; use a key or an agent")
        return cls(parts.hostname, port, parts.username)

    def options(self) -> list[str]:
        """Return ssh's arguments for this destination, without its name."""
        options = ["-Fnone"] if self.plain else []
        if self.config:
            options.append(f"-F{self.config}")
        options += [
            "-oBatchMode=yes",
            "-oForwardAgent=no",
            "-oForwardX11=no",
            "-oClearAllForwardings=yes",
            f"-oConnectTimeout={CONNECT_TIMEOUT_S}",
            "-oServerAliveInterval=5",
            "-oServerAliveCountMax=3",
        ]
        if self.port:
            options.append(f"-p{self.port}")
        if self.user:
            options.append(f"-l{self.user}")
        if self.key:
            options += [f"-oIdentityFile={self.key}", "-oIdentitiesOnly=yes"]
        if self.known_hosts:
            options += [
                f"-oUserKnownHostsFile={self.known_hosts}",
                "-oStrictHostKeyChecking=yes",
                "-oGlobalKnownHostsFile=/dev/null",
            ]
        return options


class SshMachine(Machine):
    """A machine reached by SSH. Connects at the first command, with one connection for all."""

    def __init__(self, target: str, destination: Destination) -> None:
        self.target = target
        self._destination = destination
        self._scratch = Scratch()
        self._folder = self._scratch.path
        self._control = self._folder / "c"
        self._errors = self._folder / "stderr"
        self._lock = threading.RLock()
        self._warming: threading.Thread | None = None
        self._master: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._lost = ""

    def prepare(self) -> None:
        """Connect, and begin with the probe and the way to Docker, in a thread of its own."""
        self._warming = threading.Thread(target=self._warm_up, daemon=True)
        self._warming.start()

    def _warm_up(self) -> None:
        with contextlib.suppress(MachineError):  # whoever needs it will be told
            self._probe_session()
            self.docker_socket()

    def _begin(self) -> subprocess.Popen[bytes]:
        # The master's own session is a `cat` at the end of a pipe of ours: however this
        # process ends, the pipe closes, the cat ends, and the connection with it.
        with self._errors.open("wb") as stderr:
            return subprocess.Popen(
                [*self._argv("-oControlMaster=yes"), f"echo {READY}; exec cat >/dev/null"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command; see :meth:`Machine.execute`.

        The user's login shell may be any, so the command is handed to ``sh`` as one word.
        Once the connection is lost, every later command says so without waiting again.
        """
        argv = self.program(command)
        try:
            output = run_bounded(argv, timeout=timeout, limit=limit, stdin=stdin)
        except CommandTimedOut:
            self._still_there()
            raise CommandTimedOut(
                f"`{_short(command)}` did not end within {timeout:g} s on {self.target}"
            ) from None
        return self._checked(CommandResult.of(command, output))

    def program(self, command: str) -> list[str]:
        """Return a session of ssh over the one connection, which is made if it was not."""
        self._connect()
        script = f"sh -c {shlex.quote(command)}; s=$?; [ $s = 255 ] && s=254; exit $s"
        return [*self._argv(), f"exec sh -c {shlex.quote(script)}"]

    def ask_probe(self, task: str, timeout: float) -> CommandResult:
        """Return what the probe printed for a task; see :meth:`Machine.ask_probe`."""
        self._connect()
        try:
            result = super().ask_probe(task, timeout)
        except CommandTimedOut:
            self._still_there()
            raise CommandTimedOut(
                f"the probe did not answer within {timeout:g} s on {self.target}"
            ) from None
        return self._checked(result)

    def _checked(self, result: CommandResult) -> CommandResult:
        if result.exit_status == SSH_FAILED:
            self._give_up(_reason(result))
        return result

    def _probe_session(self) -> ProbeSession:
        with self._lock:
            return super()._probe_session()

    def docker_socket(self) -> str:
        """Forward the machine's Docker socket to one of ours, once."""
        socket = self._folder / "d"
        with self._lock:
            if not socket.exists():
                self._connect()
                # Without the options: ClearAllForwardings would clear this one too.
                argv = ["ssh", f"-oControlPath={self._control}", "-Oforward"]
                argv += [f"-L{socket}:/var/run/docker.sock", "--", self._destination.host]
                output = run_bounded(argv, timeout=10, limit=OUTPUT_LIMIT)
                if output.exit_status != 0:
                    self._give_up(_reason(CommandResult.of("forward", output)))
        return str(socket)

    def shell(self) -> list[str]:
        """Return a session of its own over the one connection."""
        self._connect()
        return [*self._argv("-tt", "-q", "-enone"), "exec bash --noediting -i"]

    def close(self) -> None:
        """End the connection and remove its sockets."""
        if self._master:
            self._master.terminate()
            self._master.wait()
        if self._warming:
            self._warming.join()  # not for long: there is no connection any more
        super().close()
        if self._master:
            for pipe in (self._master.stdin, self._master.stdout):
                if pipe:
                    pipe.close()
            self._master = None
        self._scratch.close()

    def interactive(self, command: str = "") -> int:
        """Hand the terminal to a shell or a command on the machine; return its exit status."""
        argv = ["ssh", *self._destination.options(), "--", self._destination.host]
        return subprocess.run([*argv, command] if command else argv, check=False).returncode

    def _connect(self) -> None:
        """Wait for the connection, which is begun if it was not."""
        with self._lock:
            if self._lost:
                raise HostUnreachable(self._lost)
            if self._master is None:
                self._master = self._begin()
            if self._ready:
                # Without its master, ssh would quietly make a connection anew: to a machine
                # that was started again, perhaps, on which nothing runs of what ran before.
                if self._master.poll() is not None:
                    self._give_up("the connection was lost")
                return
            problem = _await_ready(self._master, CONNECT_TIMEOUT_S + 10)
            if problem:
                lines = self._errors.read_text(errors="backslashreplace").strip().splitlines()
                self._give_up(lines[-1].strip()[:300] if lines else problem)
            self._ready = True

    def _still_there(self) -> None:
        """Tell a slow command from a machine that is gone."""
        try:
            output = run_bounded(
                [*self._argv(), "true"], timeout=ALIVE_TIMEOUT_S, limit=OUTPUT_LIMIT
            )
        except CommandTimedOut:
            self._give_up(f"it stopped answering (no reply to `true` within {ALIVE_TIMEOUT_S} s)")
        self._checked(CommandResult.of("true", output))

    def _give_up(self, reason: str) -> None:
        self._lost = f"{self.target} cannot be reached: {reason}"
        raise HostUnreachable(self._lost)

    def _argv(self, *options: str) -> list[str]:
        """Return the ssh command up to and with the host's name."""
        return [
            *("ssh", f"-oControlPath={self._control}"),
            *self._destination.options(),
            *options,
            *("--", self._destination.host),
        ]


def _await_ready(master: subprocess.Popen[bytes], timeout: float) -> str:
    """Wait until the far end speaks; return what went wrong, or nothing."""
    deadline = time.monotonic() + timeout
    heard = b""
    assert master.stdout  # noqa: S101
    while READY.encode() not in heard:
        remaining = max(0.0, deadline - time.monotonic())
        if not select.select([master.stdout], [], [], remaining)[0]:
            return f"no answer within {timeout:g} s"
        data = os.read(master.stdout.fileno(), 4096)
        if not data:
            return f"ssh exited {master.wait()}"
        heard = (heard + data)[-8192:]
    return ""


def _reason(result: CommandResult) -> str:
    """Return ssh's own last words, which are for people."""
    lines = result.stderr.strip().splitlines()
    return lines[-1].strip()[:300] if lines else f"ssh exited {result.exit_status}"


def _short(command: str) -> str:
    return command if len(command) <= 80 else command[:77] + "..."
