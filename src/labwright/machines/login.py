"""Runs a command through any login shell.

sshd passes a command to the account's login shell. This can be any shell, its start-up files
can print anything, and it may be no shell at all. So the command is one word that every shell
reads in the same way. It first prints a mark; output before the mark is ignored.
"""

from __future__ import annotations

import re
import shlex

NAME = "labwright"
SAFE = re.compile(rb"""[^\x20-\x7e]|[!'"\\$`]""")
"""Bytes that have a special meaning between quotes in some shell."""
_WARNING = re.compile(r"(\*\* |Warning: |@@@|debug\d: |Pseudo-terminal will not)")
_SAYS_LITTLE = re.compile(
    r"(Disconnected from |kex_exchange_identification: |.* UNKNOWN port 65535$)"
)
LONGEST_REASON = 300


def mark(nonce: str) -> bytes:
    """Return the mark that is printed before a command's own output."""
    return f"{NAME}-{nonce}".encode()


def command_line(script: str, nonce: str) -> str:
    """Return a command for any login shell that prints the mark, then runs a script with ``sh``.

    The mark is printed on both outputs, followed by the process group (with which all processes
    can be ended) and a newline. Exit status 255 becomes 254, since 255 means that ssh failed.
    """
    # The mark is in two parts, so that a shell that echoes its commands does not print the mark.
    return quoted(
        "{ read -r x x x x g x </proc/$$/stat; } 2>/dev/null\n"
        f"printf '%s-%s %s\\n' {NAME} {nonce} \"$g\"; printf '%s-%s\\n' {NAME} {nonce} >&2\n"
        f"sh -c {shlex.quote(script)}; s=$?; [ $s = 255 ] && s=254; exit $s"
    )


def quoted(script: str) -> str:
    """Return a command for any login shell that runs a script with ``sh``.

    Tested with bash, dash, zsh, fish, tcsh, mksh and busybox. Between single quotes, these treat
    quotes, backslashes, exclamation marks, newlines and non-ASCII bytes differently. So such bytes
    are written in octal, and the printf of ``sh`` converts them back.
    """
    octal = SAFE.sub(lambda found: b"\\0%03o" % ord(found[0]), script.encode())
    return f"""sh -c 'eval "$(printf %b "{octal.decode()}")"'"""


def reason(stderr: str) -> str:
    """Return why ssh failed: its message without warnings, or ""."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not _WARNING.match(line)]
    telling = [line for line in lines if not _SAYS_LITTLE.match(line)]
    return (telling or lines or [""])[-1][:LONGEST_REASON]


def refusal(stdout: str, stderr: str, status: int) -> str:
    """Return why a login did not run the command.

    :param status: the exit status of ssh.
    """
    said = [line.strip() for line in stdout.splitlines() if line.strip()]
    if said and (status != 255 or not reason(stderr)):
        return f"it runs no commands; it answered: {said[-1][:LONGEST_REASON]}"
    return reason(stderr) or f"ssh exited {status}"
