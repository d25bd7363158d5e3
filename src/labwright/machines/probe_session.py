"""The probe on a machine: one process of it, which does task after task.

A process costs a session of ssh, the start of a Python and the compiling of the probe, which
together take longer than most tasks. The probe arrives by standard input, nothing is
installed; then comes a task a line, and a line is answered to each. The process ends when its
input does, however the asking process ends.
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
"""Exit status where the machine's python3 is older; its release is on standard error."""
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
    """Return what the machine's shell runs.

    :param nonce: of the mark, which Python itself prints: its wrapper may have said something.
    """
    words = {"NAME": login.NAME, "NONCE": nonce, "OLDEST": OLDEST_PYTHON, "TOO_OLD": TOO_OLD}
    text = _COMMAND
    for word, value in words.items():
        text = text.replace(word, str(value))
    return text


ANSWER = b'{"probe":'
"""What an answer begins with. Anything else was not printed by the probe."""
ANSWER_LIMIT = 8 << 20
"""Bytes kept of an answer; the target is hostile."""
ENDING_S = 5.0
"""Seconds that a process may take to end after the end of its output."""


class ProbeSession:
    """A process of the probe.

    An answer must not be taken for that of another task, so after a time-out, and after
    whatever is not one answer, the process is ended and ``ended`` is true.
    """

    def __init__(self, program: Callable[[str], Sequence[str]]) -> None:
        """Start it, without waiting for it.

        :param program: returns a program of this computer that runs a command on the machine.
        """
        self.ended = False
        nonce = secrets.token_hex(8)
        self._mark = Mark(login.mark(nonce))
        self.process = start_piped(program(command(nonce)))
        self._streams = Streams(self.process, ANSWER_LIMIT, self._mark)
        source = resources.files("labwright.components.workload").joinpath("probe.py").read_bytes()
        self._streams.send(b"%d\n%b" % (len(source), source), last=False)

    def begin(self, timeout: float) -> None:
        """Wait until Python has started there, and have it compile the probe meanwhile.

        :param timeout: seconds.
        """
        self._streams.pump(time.monotonic() + timeout, lambda: self._mark.seen)

    def ask(self, task: str, timeout: float) -> Output:
        """Do a task; the exit status is 0 while the process keeps running.

        :param task: JSON, on one line.
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
        """The number of its process group on the machine; empty before it has begun."""
        return self._mark.note

    def _enough(self) -> bool:
        """Whether there is an answer, or what cannot become one."""
        if not self._mark.seen:
            return self._streams.truncated
        said = self._streams.stdout
        begun = ANSWER.startswith(bytes(said[: len(ANSWER)]))
        return self._streams.truncated or not begun or b"\n" in said

    def close(self) -> None:
        """End it."""
        self.ended = True
        self._streams.close()
