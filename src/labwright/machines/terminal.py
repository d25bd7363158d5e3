"""A terminal as a student has it: an interactive shell on a pty of the machine.

Commands are typed line by line, each after the shell's prompt. The prompt contains a secret
mark, the exit status of the last command, and the HTTP status of each ``curl``.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pexpect

from labwright.errors import CommandTimedOut, HostUnreachable, MachineError

if TYPE_CHECKING:
    from labwright.machines.machine import Machine

OUTPUT_LIMIT = 1 << 20
START_S = 60.0
HANG_UP_S = 2.0
"""Seconds that a shell has to clean up; most need less than a hundredth of this."""
_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "${XDG_RUNTIME_DIR:-/tmp}", "~")  # noqa: S108  there
"""Folders for the shell's own files; the first is used in which a program can be run."""
_SETUP = r"""
stty -echo
for D in FOLDERS; do mkdir -m 700 $D && mkdir $D/bin && printf '#!/bin/sh\nexit 0\n' >$D/bin/true &&
chmod +x $D/bin/true && $D/bin/true && break; rm -rf $D; D=; done 2>/dev/null
[ -n "$D" ] || { printf '<%s:none>' MARK; exit; }
rm $D/bin/true; trap "trap '' HUP INT; rm -rf $D" EXIT
export SUDO_PROMPT=$(printf '<%s:sudo>' MARK)
C=$(type -P curl); printf '%s\n' '#!/bin/sh' ": >$D/http.\$\$" \
"exec ${C:-/usr/bin/curl} --dump-header $D/http.\$\$ \"\$@\"" >$D/bin/curl; chmod +x $D/bin/curl
PATH=$D/bin:$PATH; unset PROMPT_COMMAND
eval "__labwright() { local s=\$? f v c rest all; printf '<%s:%s:' MARK \$s
for f in $D/http.*; do if [ -e \$f ]; then all=; while read -r v c rest; do
case \$v in HTTP/*) all=\"\$all \${c%%[!0-9]*}\";; esac; done <\$f
printf '%s' \"\${all:- 000}\"; rm \$f; fi; done
printf '>'; }"
unset C D; PS2='<MARK+>'; PS1='$(__labwright)'
"""
"""Prepares the shell. Each ``curl`` writes the received headers to a file, which a student does
not notice."""


@dataclass(frozen=True)
class Reply:
    """The result of typed text."""

    output: str
    exit_status: int
    http: tuple[int, ...]
    """The HTTP status of each ``curl``; 0 without an answer."""
    lines: int
    """The number of lines typed until the shell was ready for the next command."""
    unfinished: bool = False
    """Whether the shell waits for more, since the typed text is not a whole command."""


class Terminal:
    """One terminal. Its shell is started in the background; :meth:`ready` waits for it."""

    def __init__(self, machine: Machine, *, root: bool = False) -> None:
        """Start a terminal.

        :param root: whether its shell runs as root, with sudo, which must not need a password.
        """
        self._machine, self._target = machine, machine.target
        self.mark = f"lw-{secrets.token_hex(6)}"
        self._prompt = re.compile(rf"<{self.mark}(?:\+|:(\d+):([ 0-9]*))>")
        self._asks = re.compile(f"<{self.mark}:sudo>")
        self._nowhere = re.compile(f"<{self.mark}:none>")
        argv = machine.shell()
        self._child = pexpect.spawn(
            argv[0],
            argv[1:],
            encoding="utf-8",
            codec_errors="backslashreplace",
            dimensions=(50, 500),
            timeout=None,
            maxread=65536,
        )
        self._child.delaybeforesend = None
        self._child.delayafterclose = self._child.delayafterterminate = 0.02
        self._is_ready = self._is_set_up = False
        self._folders = " ".join(f"{folder}/{self.mark}" for folder in _FOLDERS)
        setup = _SETUP.replace("FOLDERS", self._folders).replace("MARK", self.mark)
        become = "exec sudo -n -H bash -i\n" if root else ""
        self._child.send(become + setup.strip() + "\n")

    def ready(self) -> None:
        """Wait for the shell's first prompt.

        :raises HostUnreachable: the machine cannot be reached.
        """
        if not self._is_ready:
            self._until(r"<" + self.mark + r":0:>", START_S, "the shell of a terminal")
            self._is_ready = self._is_set_up = True

    def type(self, text: str, timeout: float) -> Reply:
        """Type a command and return its result.

        If a command ends before its last line, the rest is not typed.

        :param timeout: seconds for the whole text.
        :raises CommandTimedOut: it did not end in time.
        :raises HostUnreachable: the connection was lost.
        """
        self.ready()
        deadline = time.monotonic() + timeout
        output = ""
        rows = text.split("\n")
        for number, row in enumerate(rows, 1):
            self._child.send(row + "\n")
            found = self._until(self._prompt, deadline - time.monotonic(), f"`{rows[0]}`")
            output = (output + self.said)[-OUTPUT_LIMIT:]
            if found[1] is not None:
                http = tuple(int(code) for code in (found[2] or "").split())
                ended = number == len(rows) or not any(map(str.strip, rows[number:]))
                return Reply(output, int(found[1]), http, number if not ended else len(rows))
        return Reply(output, 0, (), len(rows), unfinished=True)

    def interrupt(self, text: str, after: float, timeout: float) -> Reply:
        """Type a command, press Ctrl-C after some seconds, and return its result.

        If Ctrl-C ended it, its exit status is 0.

        :raises CommandTimedOut: Ctrl-C did not end it.
        """
        self.begin(text)
        deadline = time.monotonic() + after
        while time.monotonic() < deadline:
            ended = self.ended()
            if ended:
                self._is_ready = True
                return ended
            time.sleep(0.1)
        self._child.send("\x03")
        self._until(self._prompt, timeout, f"`{text}` after Ctrl-C")
        self._is_ready = True
        return Reply(self.said, 0, (), len(text.split("\n")))

    def begin(self, text: str) -> None:
        """Type a command that keeps the terminal."""
        self.ready()
        self._is_ready = False
        self._child.send(text + "\n")

    def ended(self) -> Reply | None:
        """Return the result of a command that keeps the terminal, if it has ended."""
        found = self._child.expect(
            [self._prompt, pexpect.TIMEOUT, pexpect.EOF, self._asks], timeout=0
        )
        if found == 1:
            return None
        if found == 3:
            raise self._password_asked()
        match = self._child.match
        status = match[1] if isinstance(match, re.Match) else None
        return Reply(self.said, int(status or 0), (), 1)

    def close(self) -> None:
        """Close the terminal and its programs; the shell cleans up.

        A shell does not clean up if an ``exec`` replaced it, or if it was still starting.
        """
        cleans_up = self._is_set_up and not self._child.flag_eof
        try:
            self._child.kill(signal.SIGHUP)
            self._child.expect(pexpect.EOF, timeout=HANG_UP_S)
        except (pexpect.ExceptionPexpect, OSError):
            cleans_up = False
        self._child.close(force=True)
        if not cleans_up:
            with contextlib.suppress(MachineError):
                self._machine.run(f"rm -rf {self._folders}")

    @property
    def said(self) -> str:
        """The output before the last prompt, or after it while there is no new prompt."""
        return str(self._child.before or "").replace("\r\n", "\n")

    def _until(self, pattern: str | re.Pattern[str], timeout: float, what: str) -> re.Match[str]:
        try:
            found = self._child.expect(
                [re.compile(pattern), self._asks, self._nowhere], timeout=max(0.1, timeout)
            )
        except pexpect.TIMEOUT:
            said = str(self._child.before or "")[-OUTPUT_LIMIT:].replace("\r\n", "\n")
            problem = CommandTimedOut(f"{what} did not end in time on {self._target}")
            problem.add_note(said)
            raise problem from None
        except pexpect.EOF:
            last = str(self._child.before or "").strip().splitlines() or ["nothing"]
            raise HostUnreachable(
                f"a terminal of {self._target} was closed; its last output: {last[-1][:200]}"
            ) from None
        if found == 1:
            raise self._password_asked()
        if found == 2:
            raise MachineError(
                f"a terminal on {self._target} needs a folder in which a program can be written "
                f"and run: none of {', '.join(_FOLDERS)} has free space and allows it"
            )
        match = self._child.match
        assert isinstance(match, re.Match)  # noqa: S101  a pattern was waited for
        return match

    def _password_asked(self) -> MachineError:
        self._child.sendintr()
        return MachineError(
            f"sudo on {self._target} asks for a password, which nobody can type here: allow the "
            "user sudo without one (`NOPASSWD: ALL` in a file of /etc/sudoers.d)"
        )
