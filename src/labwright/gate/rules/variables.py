"""Rules about variables and quotes of the shell."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.lab.shell import calls, nodes, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Typed

KNOWN = frozenset(
    """
    HOME PATH USER PWD OLDPWD SHELL LANG TERM HOSTNAME UID EUID RANDOM SECONDS IFS LOGNAME
    EDITOR TMPDIR DISPLAY PS1 LINENO BASH_VERSION BASHPID PPID COLUMNS LINES XDG_RUNTIME_DIR
    pwd SSH_AUTH_SOCK XDG_CONFIG_HOME
    """.split()
)
"""Variables that every login has."""
_INTERPRETERS = frozenset(
    """
    awk gawk mawk sed perl python3 python ruby jq bash sh eval trap
    """.split()
)
"""Commands whose arguments are programs in which ``$`` has its own meaning."""
_SHELL_NAME = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ASSIGNED_BY_OTHERS = re.compile(r"^\s*(?:PS[^>]*>\s*)?\$(\w+)\s*=", re.MULTILINE)
"""A variable in PowerShell."""
_SPOKEN = re.compile(r"\$[A-Za-z_]\w*")
_ASSIGNED_IN_WORDS = re.compile(r"`([A-Za-z_][A-Za-z0-9_]*)=")


def _assigned(entry: Typed) -> set[str]:
    found = set()
    for node, _ in nodes(entry):
        if node.type in ("variable_assignment", "for_statement"):
            name = next((c for c in node.children if c.type == "variable_name"), None)
            if name:
                found.add(text_of(name))
    for call in calls(entry):
        if call.name in ("read", "mapfile", "readarray", "getopts"):
            found |= {word.text for word in call.words if word.text.isidentifier()}
    return found


def _undefined(reading: Reading) -> Iterator[Problem]:
    defined = set(KNOWN)
    later = {name for entry in reading.typed for name in _assigned(entry)}
    in_words = {
        name: block.place(match.start())[0]
        for block in reading.prose
        for match in _ASSIGNED_IN_WORDS.finditer(block.text)
        for name in [match[1]]
    }
    source = "\n".join(reading.document.source)
    spoken = {f"${match[1]}" for match in _ASSIGNED_BY_OTHERS.finditer(source)}
    spoken |= {match[0] for block in reading.prose for match in _SPOKEN.finditer(block.text)}
    sourced = False
    for entry in reading.typed:
        defined |= _assigned(entry)
        # A sourced file can set any variable.
        sourced = sourced or any(call.name in ("source", ".", "eval") for call in calls(entry))
        if sourced:
            continue
        seen = set[str]()
        for node, offset in nodes(entry):
            if node.type not in ("simple_expansion", "expansion"):
                continue
            name = next((text_of(c) for c in node.children if c.type == "variable_name"), "")
            safe = node.type == "expansion" and re.search(r":?[-=?+]", text_of(node))
            unclear = entry.text[offset - 1 : offset] == "[" or entry.text[offset:].startswith(
                (f"${name}=", "$ ")
            )
            if not name or name in defined or name in seen or safe or f"${name}" in spoken:
                continue
            if name.isdigit() or unclear:  # an argument of a script; or the syntax itself is shown
                continue
            seen.add(name)
            alike = difflib.get_close_matches(name, (defined | set(in_words)) - KNOWN, 1, 0.5)
            message = f"nothing sets the variable ${name} before this"
            suggestion = f"set it in a command: {name}=..."
            if name in later:
                suggestion = f"move the command that sets {name} before its first use"
            elif name in in_words:
                message += f"; line {in_words[name]} gives its value only in the text"
            elif alike:
                message = f"the variable ${name} is not set anywhere: it looks like ${alike[0]}"
                suggestion = f"write ${alike[0]}, or set {name}"
            yield Problem(*entry.block.place(offset), message, suggestion)


def _single_quotes(reading: Reading) -> Iterator[Problem]:
    for call in reading.calls:
        if call.name in _INTERPRETERS or call.name == "envsubst":
            continue
        if call.name in ("echo", "printf") and re.search(r">|\|", call.typed.text):
            continue  # written to a file, where it is replaced later
        for word in call.words:
            name = _SHELL_NAME.search(word.text) if word.kind == "raw_string" else None
            if name:
                yield Problem(
                    *call.place(word.offset + 1 + name.start()),
                    f"{name[0]} is between single quotes, where the shell does not replace it",
                    "use double quotes around the argument, with a backslash before inner ones",
                )


def _continuation(reading: Reading) -> Iterator[Problem]:
    for entry in reading.typed:
        lines = entry.text.split("\n")
        for number, line in enumerate(lines):
            stripped = line.rstrip()
            column = entry.block.columns[number] + len(stripped)
            if stripped.endswith("\\") and stripped != line:
                message = "there is a space after the backslash, so the command ends here"
            elif line.endswith("\\") and number == len(lines) - 1:
                message = "the command ends with a backslash, so the shell waits for more"
            else:
                continue
            yield Problem(
                entry.block.line + number,
                column,
                message,
                "make the backslash the last character of the line",
            )


RULES = (
    Rule(
        "undefined-variable",
        "The shell replaces an unset variable by nothing, without a message.",
        _undefined,
    ),
    Rule(
        "variable-in-single-quotes",
        "The program gets the variable's name instead of its value, and often accepts it.",
        _single_quotes,
    ),
    Rule(
        "broken-continuation",
        "The rest is run as a separate command, or the terminal waits for more.",
        _continuation,
    ),
)
