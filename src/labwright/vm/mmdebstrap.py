"""Runs mmdebstrap: where it fetches Debian from, how it is ended, what it says when it fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.host import programs
from labwright.host.leash import Leash
from labwright.vm import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUITES = "bookworm trixie forky sid oldstable stable testing unstable".split()
_OWN = re.compile(
    r"E: (setup failed|mmdebstrap failed to run|command failed|run_\w+ failed|\w+ failed: E: )"
)
"""What mmdebstrap says of a command that failed: the command's own words stand before it."""
_NOISE = re.compile(r"[IWN]: |labwright: |dpkg: warning")


def run(arguments: Sequence[str], disk: int, environment: Mapping[str, str], log: Path) -> None:
    """Run mmdebstrap with the open file of a disk as descriptor 3 of its hooks.

    :raises SetupError: it failed; with what the command that failed said last.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), *programs.SBIN])
    # The disk is handed over as standard input, and once only: mmdebstrap 1.5 has dash write
    # to a descriptor of the next free number, and dash knows those of one digit.
    shell = ["sh", "-c", 'exec "$@" 3<&0 </dev/null', "sh", "mmdebstrap", *arguments]
    with log.open("w") as output:
        process = subprocess.Popen(
            shell,
            env={**os.environ, **environment, "PATH": path},
            stdin=disk,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        leash = Leash(process.pid, group=True)
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # it removes what it has made
            process.wait()
            raise
        finally:
            leash.release()
    if status != 0:
        text = log.read_text(errors="backslashreplace")
        if "No space left on device" in text:
            raise store.no_room(log.parent)
        said = last_words(text)
        raise SetupError(f"the lab machine's Debian could not be built: {said} (see {log})")


def last_words(log: str) -> str:
    """Return what the command that failed said last, of a log of mmdebstrap."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    end = next((n for n, line in enumerate(lines) if _OWN.match(line)), len(lines))
    said = [line for line in lines[:end] if not _NOISE.match(line)]
    errors = [line for line in lines if line.startswith("E: ")]
    return (said[-1:] or errors[:1] or ["it printed nothing"])[0][:300]


def sources(suite: str, apt: Path = Path("/etc/apt")) -> list[str]:
    """Return mmdebstrap's sources for a suite; none: it takes Debian's own.

    This machine's own apt sources are handed over if they are of that suite. Those of another
    suite of Debian name a mirror, which is used. So a configured mirror is used, and none is
    named here.
    """
    found = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]
    texts = {
        str(path): _without_comments(path.read_text(errors="replace"))
        for path in found
        if path.suffix in (".list", ".sources") and path.is_file()
    }
    own = [path for path, text in texts.items() if _fits(text) and _has(text, suite)]
    if own:
        return own
    for text in texts.values():
        if _fits(text) and any(_has(text, other) for other in SUITES):
            mirrors = re.findall(r"\w+://\S+/debian/?(?=\s|$)", text)
            if mirrors:
                return [f"deb {mirrors[0]} {suite} main"]
    return []


def options() -> list[str]:
    """Return what of this computer's apt settings holds for the lab machine, too.

    Who uses a mirror that lags, and has told apt so, cannot build a suite in the making else:
    its list of packages is valid for a week.
    """
    if not programs.find("apt-config"):
        return []
    asked = ["apt-config", "shell", "CHECK", "Acquire::Check-Valid-Until"]
    done = programs.run(asked, capture_output=True, text=True, errors="replace")
    off = re.search(r"CHECK='(false|no|0|off|without|disable)'", done.stdout, re.I)
    return ['--aptopt=Acquire::Check-Valid-Until "false"'] if off else []


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _has(text: str, suite: str) -> bool:
    return re.search(rf"\b{suite}\b", text) is not None


def _fits(text: str) -> bool:
    """Whether sources are of Debian, signed by its own keyring if they name one."""
    own_key = "signed-by" not in text.lower() or "debian-archive" in text
    return "debian" in text and "main" in text and own_key
