"""A session of the probe: one process on a machine that does many tasks.

Starting a process needs an ssh session, a Python start and compiling the probe, which together
take longer than most tasks. The probe's source is sent on standard input; nothing is installed.
Then each line of input is a task, and each line of output is its answer. The process ends when
its input is closed, so it also ends if labwright is killed.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from importlib import resources
from typing import TYPE_CHECKING

from labwright.errors import CommandTimedOut
from labwright.machines import login
from labwright.machines.process import Mark, Output, Streams, start_piped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OLDEST_PYTHON = (3, 7)
TOO_OLD = 125
"""Exit status if the machine's python3 is too old; its release is on standard error."""
_COMMAND = """\
exec python3 -I -c 'import os, sys
word = "NAME-%s" % "NONCE"
sys.stdout.write("%s %d\\n" % (word, os.getpgrp()))
sys.stdout.flush()
sys.stderr.write(word + "\\n")
if sys.version_info < OLDEST:
    sys.stderr.write("%d.%d.%d" % sys.version_info[:3])
    sys.exit(TOO_OLD)
lines = sys.stdin.buffer
probe = {"__name__": "probe"}
exec(compile(lines.read(int(lines.readline())), "probe", "exec"), probe)
for line in lines: probe["main"]([line.decode()])'"""


def command(nonce: str) -> str:
    """Return the shell command that starts the probe.

    :param nonce: part of the mark. Python prints the mark, since a wrapper of python3 can print
        other text before.
    """
    words = {"NAME": login.NAME, "NONCE": nonce, "OLDEST": OLDEST_PYTHON, "TOO_OLD": TOO_OLD}
    text = _COMMAND
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


ANSWER = b'{"probe":'
"""The beginning of an answer. Any other output does not come from the probe."""
ANSWER_LIMIT = 8 << 20
"""Maximum bytes of an answer; the target is hostile."""
ENDING_S = 5.0
"""Seconds that a process has to end after it has closed its output."""


class ProbeSession:
    """A process of the probe.

    After a time-out or a malformed answer the process is ended and ``ended`` is true, so that an
    answer is never taken for the answer of another task.
    """

    def __init__(self, program: Callable[[str], Sequence[str]]) -> None:
        """Start the process without waiting for it.

        :param program: returns a program on this computer that runs a command on the machine.
        """
        self.ended = False
        nonce = secrets.token_hex(8)
        self._mark = Mark(login.mark(nonce))
        self.process = start_piped(program(command(nonce)))
        self._streams = Streams(self.process, ANSWER_LIMIT, self._mark)
        source = resources.files("labwright.components.workload").joinpath("probe.py").read_bytes()
        self._streams.send(b"%d\n%b" % (len(source), source), last=False)

    def begin(self, timeout: float) -> None:
        """Wait until Python has started, and send it the probe.

        :param timeout: seconds.
        """
        self._streams.pump(time.monotonic() + timeout, lambda: self._mark.seen)

    def ask(self, task: str, timeout: float) -> Output:
        """Do a task; the exit status is 0 while the process keeps running.

        :param task: one line of JSON.
        :param timeout: seconds.
        :raises CommandTimedOut: there was no answer in time.
        """
        streams, start = self._streams, time.monotonic()
        status, whole = 0, False
        try:
            streams.send(f"{task}\n".encode(), last=False)
            if not streams.pump(start + timeout, self._enough):
                raise CommandTimedOut(f"the probe did not answer within {timeout:g} s")
            said, told = bytes(streams.stdout), bytes(streams.stderr)
            whole = said.startswith(ANSWER) and said.find(b"\n") == len(said) - 1
            if not self._enough():
                status = self.process.wait(timeout=ENDING_S)
        except subprocess.TimeoutExpired:
            raise CommandTimedOut("the probe closed its output and did not end") from None
        finally:
            if not whole:
                self.close()
        streams.stdout.clear()
        streams.stderr.clear()
        return Output(status, said, told, time.monotonic() - start, streams.truncated)

    @property
    def group(self) -> str:
        """The process group's number on the machine; empty before the process has started."""
        return self._mark.note

    def _enough(self) -> bool:
        """Whether the output is a whole answer, or cannot become one."""
        if not self._mark.seen:
            return self._streams.truncated
        said = self._streams.stdout
        begun = ANSWER.startswith(bytes(said[: len(ANSWER)]))
        return self._streams.truncated or not begun or b"\n" in said

    def close(self) -> None:
        """End the process."""
        self.ended = True
        self._streams.close()
