"""``labwright new``: creates a skeleton lab, which passes the gate."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from labwright.errors import SetupError, UsageError
from labwright.gate import lock
from labwright.gate.draft import Draft, draft
from labwright.host.progress import say
from labwright.lab.definition import LONGEST_NAME, load_lab
from labwright.lab.definition_reader import STEP_ID
from labwright.lab.document import Document
from labwright.lab.instructions import pieces

if TYPE_CHECKING:
    import argparse

FILES = {
    "lab.md": """\
# The lab `$name`

This is a skeleton: its one step stands for those to come.

You need a Linux machine with Docker.

## Part (1/1): Greet

<!-- step: greeting-written -->
1. Write a greeting into a file in your home directory:

   ```sh
   echo "Good morning" >~/greeting
   ```
""",
    "lab.toml": """\
# What lab.md asks for, and how each step is checked. labwright's docs/course-author.md
# describes every key.

name = "$name"
title = "The lab $name"
document = "lab.md"

# What the claims take for granted about a machine; `--set KEY=VALUE` changes one.
[values]
greeting_file = "greeting"

# Named states of a machine: steps that have been performed in it.
[states]
deployed = ["greeting-written"]

# Without `perform`, a step is performed by the document's own commands.
[[step]]
id = "greeting-written"
title = "The greeting is written"
points = 100
hint = "Write it with the command of the document."

# What must hold then; `labwright checks` lists what can be claimed.
[[step.claim]]
file = "~/{{greeting_file}}"
matches = '\\S'
""",
    "mistakes/greeting-left-out.toml": """\
title = "The file is there, and empty"
run = ": >~/greeting"
fails = ["greeting-written"]
says = ["it is empty"]
""",
}
EXAMPLES = """\
example:
  labwright new labs/my-lab
  labwright new labs/theirs --from tutorial.md
  labwright gate labs/my-lab
  labwright demo --lab labs/my-lab
  labwright mistakes --lab labs/my-lab
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``new``."""
    from argparse import RawDescriptionHelpFormatter

    parser = commands.add_parser(
        "new",
        help="create a skeleton lab, which passes the gate",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=Path, metavar="LAB", help="the new folder; its name is the lab's name"
    )
    parser.add_argument(
        "--from",
        dest="document",
        type=Path,
        metavar="FILE.md",
        help="draft the lab from this document; propose marks, steps and claims",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Create a lab; see ``labwright new --help``."""
    folder: Path = arguments.folder
    name = folder.name
    if not STEP_ID.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"not a lab's name: {name[:60]!r}: write small letters, digits and single dashes, "
            f"at most {LONGEST_NAME}"
        )
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} already exists: give the name of a new folder")
    drafted = _drafted(arguments.document, name) if arguments.document else None
    files = FILES if drafted is None else {}
    try:
        _make(folder, name, files, drafted)
    except OSError as problem:
        raise SetupError(f"{folder} cannot be made: {problem.strerror or problem}") from None
    if drafted:
        say(f"{folder}: a lab of {drafted.steps} graded step{'s' * (drafted.steps != 1)}")
        for sentence in drafted.undecided:
            say(f"  left to decide, {sentence}")
    else:
        say(f"{folder}: a lab of one step")
    say(f"next: labwright gate {folder}; labwright demo --lab {folder}")
    return 0


def _drafted(document: Path, name: str) -> Draft:
    if not document.is_file():
        raise UsageError(f"no such document: {document}")
    found = draft(document, name)
    if not found.steps:
        raise UsageError(f"{document} contains no command")
    return found


def _make(folder: Path, name: str, files: dict[str, str], drafted: Draft | None) -> None:
    """Write the lab to a temporary folder, and rename it when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    values = {"name": name}
    texts = {
        Template(path).substitute(values): Template(text).substitute(values)
        for path, text in files.items()
    }
    if drafted:
        texts = {"lab.md": drafted.document, "lab.toml": drafted.definition}
    beside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    try:
        for path, text in texts.items():
            file = beside / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        lab = load_lab(beside)
        lock.write(beside / lock.NAME, pieces(Document.of(lab)))
        beside.chmod(0o755)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
