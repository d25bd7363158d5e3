"""This computer as a machine."""

from __future__ import annotations

import os

from labwright.errors import MachineError
from labwright.machines.machine import OUTPUT_LIMIT, CommandResult, Machine
from labwright.machines.process import run_bounded


class LocalMachine(Machine):
    """The machine that labwright runs on: a student checks their own."""

    target = "local"

    def execute(
        self, command: str, *, timeout: float, stdin: bytes = b"", limit: int = OUTPUT_LIMIT
    ) -> CommandResult:
        """Run a shell command; see :meth:`Machine.execute`."""
        output = run_bounded(
            self.program(command), timeout=timeout, limit=limit, stdin=stdin, what=f"`{command}`"
        )
        return CommandResult.of(command, output)

    def docker_socket(self) -> str:
        """Return the path of the Docker Engine's socket."""
        host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not host.startswith("unix://"):
            raise MachineError(
                f"DOCKER_HOST is {host}, not a socket of this machine: unset it to check this one"
            )
        return host.removeprefix("unix://")

    def program(self, command: str) -> list[str]:
        """Return a shell that runs it."""
        return ["sh", "-c", command]

    def shell(self) -> list[str]:
        """Return a shell."""
        return ["bash", "--noediting", "-i"]

    def login_shell(self) -> list[str]:
        """Return the shell that this user has chosen."""
        return [os.environ.get("SHELL", "bash")]
