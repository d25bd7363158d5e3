"""This computer as a machine."""

from __future__ import annotations

import os

from labwright.errors import MachineError
from labwright.host.temporary import Scratch
from labwright.machines.machine import OUTPUT_LIMIT, CommandResult, Machine
from labwright.machines.process import run_bounded
from labwright.machines.relay import Relay


class LocalMachine(Machine):
    """The machine that labwright runs on: a student checks their own."""

    target = "local"
    _relay: Relay | None = None
    _scratch: Scratch

    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command; see :meth:`Machine.execute`."""
        output = run_bounded(
            self.program(command), timeout=timeout, limit=limit, stdin=stdin, what=f"`{command}`"
        )
        return CommandResult.of(command, output)

    def docker_socket(self) -> str:
        """Return the path of the Docker Engine's socket, or of a relay to it."""
        host = self.docker_host
        if problem := host.problem(self.target):
            raise MachineError(problem)
        if host.writable:
            return host.path
        if not self._relay:
            self._scratch = Scratch()
            path = self._scratch.path / "d"
            self._relay = Relay(path, self.program(host.relay()))
        return str(self._scratch.path / "d")

    def close(self) -> None:
        """End what was started."""
        super().close()
        if self._relay:
            self._relay.close()
            self._scratch.close()
            self._relay = None

    def program(self, command: str) -> list[str]:
        """Return a program that runs a shell command."""
        return ["sh", "-c", command]

    def shell(self) -> list[str]:
        """Return a program that is a shell."""
        return ["bash", "--noediting", "-i"]

    def login_shell(self) -> list[str]:
        """Return the user's login shell."""
        return [os.environ.get("SHELL", "bash")]
