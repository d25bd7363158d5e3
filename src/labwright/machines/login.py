"""What an account's login stands between us and a command: its shell, and what it prints.

sshd hands a command to the account's login shell, which may be any, reads start-up files that
may print anything, and may be no shell at all. So the command is one word that every shell
reads alike, it begins with a mark of ours, and what was printed before the mark is no answer.
"""

from __future__ import annotations

import re
import shlex

NAME = "labwright"
SAFE = re.compile(rb"""[^\x20-\x7e]|[!'"\\$`]""")
"""Bytes that some shell takes for more than themselves between quotes."""
_WARNING = re.compile(r"(\*\* |Warning: |@@@|debug\d: |Pseudo-terminal will not)")
_SAYS_LITTLE = re.compile(
    r"(Disconnected from |kex_exchange_identification: |.* UNKNOWN port 65535$)"
)
LONGEST_REASON = 300


def mark(nonce: str) -> bytes:
    """Return what is printed before a command's own output."""
    return f"{NAME}-{nonce}".encode()


def command_line(script: str, nonce: str) -> str:
    """Return a command for any login shell: prints the mark, then runs a script with ``sh``.

    The mark is on both outputs, followed by the process group, by which all of it can be
    ended, and a line's end. Exit status 255 becomes 254: ssh's own failures have 255.
    """
    # The mark as two words: a shell that prints what it runs does not print the mark.
    return quoted(
        "{ read -r x x x x g x </proc/$$/stat; } 2>/dev/null\n"
        f"printf '%s-%s %s\\n' {NAME} {nonce} \"$g\"; printf '%s-%s\\n' {NAME} {nonce} >&2\n"
        f"sh -c {shlex.quote(script)}; s=$?; [ $s = 255 ] && s=254; exit $s"
    )


def quoted(script: str) -> str:
    """Return a command with which any login shell has ``sh`` run a script.

    Tried with bash, dash, zsh, fish, tcsh, mksh and busybox: between single quotes they
    differ over quotes, backslashes, exclamation marks, ends of lines and bytes beyond ASCII.
    Those are written in octal; the printf of every sh turns them back.
    """
    octal = SAFE.sub(lambda found: b"\\0%03o" % ord(found[0]), script.encode())
    return f"""sh -c 'eval "$(printf %b "{octal.decode()}")"'"""


def reason(stderr: str) -> str:
    """Return why ssh failed: what ssh or the server said, no warning; empty if nothing was."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not _WARNING.match(line)]
    telling = [line for line in lines if not _SAYS_LITTLE.match(line)]
    return (telling or lines or [""])[-1][:LONGEST_REASON]


def refusal(stdout: str, stderr: str, status: int) -> str:
    """Return why a login did not come to our command, which was its end.

    :param status: with which ssh ended.
    """
    said = [line.strip() for line in stdout.splitlines() if line.strip()]
    if said and (status != 255 or not reason(stderr)):
        return f"it runs no commands; it answered: {said[-1][:LONGEST_REASON]}"
    return reason(stderr) or f"ssh exited {status}"
