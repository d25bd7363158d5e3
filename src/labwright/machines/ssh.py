"""A machine over SSH, with OpenSSH's client and a control master.

The user's ssh_config, agents and jump hosts work, since it is the user's own ssh.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from labwright.errors import (
    CommandTimedOut,
    HostUnreachable,
    LabwrightError,
    MachineError,
    SetupError,
)
from labwright.host.leash import Leash
from labwright.host.temporary import Scratch
from labwright.machines import login
from labwright.machines.destination import CONNECT_TIMEOUT_S
from labwright.machines.machine import OUTPUT_LIMIT, CommandResult, Machine
from labwright.machines.process import Mark, end_session, run_bounded
from labwright.machines.relay import Relay

if TYPE_CHECKING:
    from typing import IO

    from labwright.machines.destination import Destination

ALIVE_TIMEOUT_S = 8
BEGIN_S = 20.0
"""Seconds that the first question waits for the probe to start."""
CLOSING_S = 3.0
"""Seconds that ssh has to close its connection before it is killed."""
DOCKER_START_S = 30.0
"""Seconds for an Engine's first answer: systemd may start the Engine on the first request."""
SSH_FAILED = 255
"""ssh's exit status if the connection failed or was lost. A remote command that exits with
255 is made to exit with 254 instead."""
LAST_WORDS = 16384
"""Maximum bytes kept of ssh's own messages."""


class SshMachine(Machine):
    """A machine over SSH. It connects at the first command; one connection is used for all."""

    def __init__(self, target: str, destination: Destination) -> None:
        self.target = target
        self.destination = destination
        self._scratch = Scratch()
        self._folder = self._scratch.path
        self.control = self._folder / "c"
        self._configuration = self._folder / "config"
        self._nonce = secrets.token_hex(8)
        self._lock = threading.RLock()
        """Held while the connection, or a channel in it, is set up."""
        self._asking = threading.RLock()
        """Held while the probe does a task."""
        self._warming: threading.Thread | None = None
        self._master: subprocess.Popen[bytes] | None = None
        self._words: _LastWords | None = None
        self._docker = ""
        self._relay: Relay | None = None
        self._ready = False
        self._lost = ""

    def prepare(self) -> None:
        """Connect, start the probe and find Docker, in a background thread."""
        self._warming = threading.Thread(target=self._warm_up, daemon=True)
        self._warming.start()

    def _warm_up(self) -> None:
        # The error is reported when the connection is needed.
        with self._asking, contextlib.suppress(LabwrightError):
            session = self._probe_session()
            self.docker_socket()
            session.begin(BEGIN_S)

    def _begin(self) -> subprocess.Popen[bytes]:
        # The master's session is a `cat` that reads from a pipe of this process. When this
        # process ends, even by SIGKILL, the pipe closes and the connection ends.
        script = f"printf '%s-%s\\n' {login.NAME} {self._nonce}; exec cat >/dev/null"
        master = subprocess.Popen(
            [*self._argv("-oControlMaster=yes"), login.quoted(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert master.stderr  # noqa: S101  it is a pipe
        self._words = _LastWords(master.stderr)
        return master

    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command; see :meth:`Machine.execute`.

        After the connection is lost, every later command fails at once. A command that does not
        end in time is ended on the machine, with all its children.
        """
        argv = self.program(command)
        mark = Mark(login.mark(self._nonce))
        try:
            output = run_bounded(argv, timeout=timeout, limit=limit, stdin=stdin, mark=mark)
        except CommandTimedOut:
            self._end(mark.note)
            began = "did not end" if mark.seen else "was not started by the account's login"
            raise CommandTimedOut(
                f"`{_short(command)}` {began} within {timeout:g} s on {self.target}"
            ) from None
        result = self._checked(CommandResult.of(command, output))
        if not mark.seen:
            why = login.refusal(result.stdout, result.stderr, result.exit_status)
            raise MachineError(
                f"{self.target}: the account's login does not give a usable shell: {why}"
            )
        return result

    def program(self, command: str) -> list[str]:
        """Return an ssh program that runs a command over the connection; connect if needed."""
        self._connect()
        return [*self._argv(), login.command_line(command, self._nonce)]

    def ask_probe(self, task: str, timeout: float) -> CommandResult:
        """Return the probe's output for a task; see :meth:`Machine.ask_probe`."""
        self._connect()
        try:
            with self._asking:
                result = super().ask_probe(task, timeout)
        except CommandTimedOut:
            self._end(self.session.group if self.session else "")
            raise CommandTimedOut(
                f"the probe did not answer within {timeout:g} s on {self.target}"
            ) from None
        return self._checked(result)

    def _checked(self, result: CommandResult) -> CommandResult:
        if result.exit_status == SSH_FAILED:
            self._give_up(login.reason(result.stderr) or "ssh exited 255")
        return result

    def docker_socket(self) -> str:
        """Return a local socket that is connected to the machine's Docker Engine; it is made once.

        :raises MachineError: the Engine cannot be reached; the message says why.
        """
        with self._lock:
            if not self._docker:
                if problem := self.docker_host.problem(self.target):
                    raise MachineError(problem)
                self._docker = self._forwarded() or self._relayed()
            return self._docker

    def _forwarded(self) -> str:
        """Forward the Engine's socket; return "" if the machine does not allow it."""
        host, path = self.docker_host, self._folder / "d"
        if not host.writable:
            return ""
        # Without labwright's file: its ClearAllForwardings would clear this forwarding, too.
        argv = ["ssh", "-Fnone", f"-oControlPath={self.control}", "-Oforward"]
        argv += [f"-L{path}:{host.path}", "--", self.destination.host]
        output = run_bounded(argv, timeout=10, limit=OUTPUT_LIMIT)
        if output.exit_status != 0:
            said = output.stderr.decode(errors="backslashreplace")
            self._give_up(login.reason(said) or "ssh could not forward Docker's socket")
        return str(path) if self._answers(str(path)) else ""

    def _relayed(self) -> str:
        path = self._folder / "r"
        self._relay = Relay(path, self.program(self.docker_host.relay()), login.mark(self._nonce))
        if self._answers(str(path)):
            return str(path)
        said = self._relay.words or "`docker system dial-stdio` gave no answer"
        # sshd gives the same error for a forbidden forwarding and for a socket without a listener.
        perhaps = (
            "; without socket forwarding, a docker command is needed there: see whether its sshd "
            "has `AllowStreamLocalForwarding no`, or the key `restrict`"
        )
        if "Cannot connect to the Docker daemon" in said or not self.docker_host.writable:
            perhaps = ""
        raise MachineError(
            f"the Docker Engine on {self.target} cannot be asked: {said[:200]}{perhaps}"
        )

    def _answers(self, path: str) -> bool:
        """Whether an Engine answers at a local socket.

        :raises MachineError: the connection stays open, but there is no answer.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(DOCKER_START_S)
                connection.connect(path)
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return bool(connection.recv(1))
        except TimeoutError:
            raise MachineError(
                f"the Docker Engine on {self.target} gave no answer within {DOCKER_START_S:g} s"
            ) from None
        except OSError:
            return False

    def shell(self) -> list[str]:
        """Return an ssh program that is the user's login shell, over the connection."""
        self._connect()
        return [*self._argv("-tt", "-q", "-enone"), login.quoted("exec bash --noediting -i")]

    def login_shell(self) -> list[str]:
        """Return an ssh program that is the user's login shell, over the connection."""
        self._connect()
        return self._argv("-tt", "-q", "-enone")

    def close(self) -> None:
        """Close the connection and remove its sockets."""
        if self._master:
            end_session(self._master, gentle_s=CLOSING_S)
        if self._warming:
            self._warming.join(CLOSING_S)  # ends soon, since the connection is closed
        super().close()
        if self._master:
            for pipe in (self._master.stdin, self._master.stdout):
                if pipe:
                    pipe.close()
            self._master = None
        if self._relay:
            self._relay.close()
        self._scratch.close()

    def interactive(self, command: str = "") -> int:
        """Give the terminal to a shell or a command on the machine; return its exit status."""
        options = self._options("-oRequestTTY=auto", "-oEscapeChar=~", "-oControlPath=none")
        argv = ["ssh", *options, "--", self.destination.host]
        return subprocess.run([*argv, command] if command else argv, check=False).returncode

    def _connect(self) -> None:
        """Wait for the connection; start it if needed."""
        with self._lock:
            if self._lost:
                raise HostUnreachable(self._lost)
            if self._master is None:
                self._master = self._begin()
            if self._ready:
                # Without its master, ssh would silently open a new connection, perhaps to a
                # machine that was restarted and has lost its state.
                if self._master.poll() is not None:
                    self._give_up("the connection was lost")
                return
            # Its session is not the `cat` yet, so it would not end if this process is killed.
            leash = Leash(self._master.pid, group=True)
            try:
                problem = self._await_mark(self._master)
            finally:
                leash.release()
            if problem:
                self._give_up(problem)
            self._ready = True

    def _await_mark(self, master: subprocess.Popen[bytes]) -> str:
        """Wait until the master's command runs; return the problem, or ""."""
        heard, mark = b"", login.mark(self._nonce)
        timeout = CONNECT_TIMEOUT_S + 10
        deadline = time.monotonic() + timeout
        assert master.stdout and self._words  # noqa: S101, PT018  it is a pipe
        while mark not in heard:
            remaining = max(0.0, deadline - time.monotonic())
            if not select.select([master.stdout], [], [], remaining)[0]:
                said = login.reason(self._words.so_far() + heard.decode(errors="replace"))
                return f"no answer within {timeout} s" + (f"; it said: {said}" if said else "")
            data = os.read(master.stdout.fileno(), 4096)
            if not data:
                return self._why_ended(master, heard)
            heard = (heard + data)[-8192:]
        return ""

    def _why_ended(self, master: subprocess.Popen[bytes], heard: bytes) -> str:
        try:
            status = master.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            return "the account's login closes its output and runs no command"
        assert self._words  # noqa: S101  it was begun with the master
        return login.refusal(heard.decode(errors="backslashreplace"), self._words.text(), status)

    def _end(self, group: str) -> None:
        """End a process group on the machine, and test whether the machine still answers."""
        script = f"kill -s KILL -- -{group}" if group.isdecimal() and int(group) > 1 else "true"
        try:
            output = run_bounded(
                [*self._argv(), login.quoted(script)], timeout=ALIVE_TIMEOUT_S, limit=OUTPUT_LIMIT
            )
        except CommandTimedOut:
            self._give_up(f"it stopped answering (no reply to `true` within {ALIVE_TIMEOUT_S} s)")
        self._checked(CommandResult.of(script, output))

    def _give_up(self, reason: str) -> None:
        self._lost = f"{self.target} cannot be reached: {reason}"
        raise HostUnreachable(self._lost)

    def _argv(self, *options: str) -> list[str]:
        """Return the ssh command including the host's name."""
        control = f"-oControlPath={self.control}"
        return ["ssh", control, *self._options(*options), "--", self.destination.host]

    def _options(self, *options: str) -> list[str]:
        """Return these options and the destination's; write the destination's file."""
        if not self._configuration.exists():
            text = self.destination.configuration()
            try:
                self._configuration.write_text(text)
            except OSError as problem:
                raise SetupError(f"{self._configuration}: {problem.strerror}") from None
        return [*options, *self.destination.options(self._configuration)]


class _LastWords(threading.Thread):
    """Reads ssh's messages while it runs, and keeps the last ones."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Read until the pipe is closed."""
        with self._pipe:
            while data := os.read(self._pipe.fileno(), 4096):
                self._kept = (self._kept + data)[-LAST_WORDS:]

    def text(self) -> str:
        """Return the messages of an ssh that has ended."""
        self.join(CLOSING_S)  # its last line may still be in the pipe
        return self._kept.decode(errors="backslashreplace")

    def so_far(self) -> str:
        """Return the messages until now."""
        return self._kept.decode(errors="backslashreplace")


def _short(command: str) -> str:
    return command if len(command) <= 80 else command[:77] + "..."
