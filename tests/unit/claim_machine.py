"""A machine whose answers a test of claims gives."""

from __future__ import annotations

import re

from labwright.errors import MachineError
from labwright.machines.machine import CommandResult


class Answering:
    """Answers each command by the first pattern that is found in it; else "not found"."""

    target = "vm:x"

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.visits: list[list[str]] = []

    def run_all(self, commands, timeout=10.0):
        self.visits.append(list(commands))
        return [self._answer(command) for command in commands]

    def _answer(self, command: str):
        for pattern, answer in self.answers.items():
            if re.search(pattern, command):
                if isinstance(answer, MachineError):
                    return answer
                status, out, err = answer if isinstance(answer, tuple) else (0, answer, "")
                return CommandResult(command, status, out, err, 0.0)
        return CommandResult(command, 127, "", f"sh: 1: {command.split()[0]}: not found", 0.0)
