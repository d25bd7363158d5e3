"""Rules about containers, images and files that are used before they are made."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from labwright.gate import docker_line
from labwright.gate.rules.rule import Problem, Reading, Rule
from labwright.lab.instructions import is_typed
from labwright.lab.shell import nodes, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labwright.lab.shell import Call, Typed, Word

_READERS = frozenset(
    """
    cat less head tail bash sh source . python3 python wc sort cp mv
    """.split()
)
_ELSEWHERE = frozenset("cd pushd ssh su vagrant multipass chroot scp rsync sftp unzip tar".split())
"""After one of these commands, it is not known which files exist."""
_NOT_PINNED = re.compile(r"(?:.*/)?hello-world$|localhost(?::\d+)?/|127\.0\.0\.1|scratch$")
"""Images that have only one version, or that the document itself has made."""
_FILE = re.compile(r"(?:\./)?[\w.-]+(?:/[\w.-]+)*/?")


def _containers(reading: Reading) -> Iterator[Problem]:
    """Track which containers are made and removed, beginning with the required documents."""
    made: set[str] = set()
    removed: dict[str, int] = {}
    ends: set[str] = set()
    for earlier in reading.before:
        for _ in _follow(earlier, made, {}, ends):
            pass
    yield from _follow(reading, made, removed, ends)


def _follow(
    reading: Reading, made: set[str], removed: dict[str, int], ends: set[str]
) -> Iterator[Problem]:
    """Track the containers of one document.

    :param removed: removed containers, with the line that removed each.
    :param ends: containers that are removed when they stop (``--rm``).
    """
    for call in reading.calls:
        started = docker_line.run(call)
        if started and started.name:
            made.add(started.name)
            removed.pop(started.name, None)
            ends.discard(started.name)
            if started.removed_at_end:
                ends.add(started.name)
        action, words = docker_line.action(call)
        for word in docker_line.used_containers(call):
            name = word.text.partition(":")[0]
            if name in removed:
                yield Problem(
                    *call.place(word.offset),
                    f"the container {name} was removed in line {removed[name]}",
                    "make it again before this line, or remove it later",
                )
            elif name not in made and not _named_elsewhere(reading, name):
                yield Problem(
                    *call.place(word.offset),
                    f"no earlier step makes the container {name}",
                    "add the command that makes it, or name the lab that makes it: "
                    "`requires` in lab.toml",
                )
                made.add(name)  # report it only once
            if action == "rm" or (action in ("stop", "kill") and name in ends):
                removed[name] = call.place()[0]
        if action == "rename" and len(words) == 2:
            made.add(words[1].text)
            removed[words[0].text] = call.place()[0]


def _named_elsewhere(reading: Reading, name: str) -> bool:
    """Whether a shown file, or code in a language that is not parsed, names a container."""
    # Compose makes names such as `server-1`.
    if re.fullmatch(r"[0-9a-f]{2,64}|[A-Z_]+|clab-.*|.+[_-]\d+", name):
        return True  # an id that the reader has seen, a placeholder, or a name made by a tool
    named = re.compile(rf"(?:--name[= ]|container_name:\s*)[\"']?{re.escape(name)}\b")
    return bool(named.search("\n".join(reading.document.source))) or any(
        "compose" in (call.name, *(word.text for word in call.words[:1])) for call in reading.calls
    )


def _unpinned(reading: Reading) -> Iterator[Problem]:
    built = {
        docker_line.built_image(call).partition(":")[0]
        for document in (*reading.before, reading)
        for call in document.calls
    }
    source = "\n".join(reading.document.source)
    for call in reading.calls:
        image = docker_line.pulled_image(call)
        if image is None or not image.literal or re.search(r"@sha256:|<|:$", image.text):
            continue
        name, tag = _name_and_tag(image)
        pulled = docker_line.action(call)[0] == "pull" or "/" in name
        if not pulled and name not in docker_line.OFFICIAL:
            continue  # built by the reader elsewhere
        made = re.search(rf"(?:-t|--tag|tag \S+) +{re.escape(name)}\b", source)
        if made or name in built or tag not in ("", "latest") or _NOT_PINNED.match(name):
            continue
        lacks = "is the tag `latest`" if tag else "has no tag"
        yield Problem(
            *call.place(image.offset),
            f"the image {image.text} {lacks}: its content can change",
            "pin a version, or a digest with @sha256:",
        )


def _name_and_tag(image: Word) -> tuple[str, str]:
    """Split an image's name and tag; the port of a registry is not a tag."""
    name, colon, tag = image.text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image.text, "")


def _files(reading: Reading) -> Iterator[Problem]:
    made = set[str]()
    anywhere = False
    """Whether the shell is in a place that cannot be tracked."""
    folder = reading.document.path.parent
    for entry in reading.typed:
        for call in _calls_of(reading, entry):
            for word in _read_files(call):
                path = word.text.removeprefix("./").rstrip("/") or "."
                known = (
                    anywhere
                    or _is_made(path, made)
                    or (folder / path).exists()
                    or _is_spoken_of(reading, entry, path)
                )
                if not known:
                    yield Problem(
                        *call.place(word.offset),
                        f"no earlier step makes {word.text}, and the document has no such file",
                        "add the command that downloads or writes it",
                    )
                    made.add(path)
            anywhere = anywhere or call.name in _ELSEWHERE
            made |= set(_written(call))
            if call.name == "rm":
                made -= {word.text.removeprefix("./") for word in call.words}
        made |= _redirected(entry)


def _is_spoken_of(reading: Reading, entry: Typed, path: str) -> bool:
    """Whether the text, or a shown file, mentions a file and so explains where it comes from."""
    name = re.compile(rf"(?<![\w-]){re.escape(PurePosixPath(path).name)}(?![\w-])")
    for block in reading.document.blocks:
        its_own = block.line <= entry.block.line < block.line + len(block.columns)
        before = block.line < entry.block.line and not its_own
        tells = block.kind != "comment" and (before or not is_typed(block))
        if tells and name.search(block.text):
            return True
    return False


def _calls_of(reading: Reading, entry: Typed) -> list[Call]:
    return [call for call in reading.calls if call.typed is entry]


def _is_made(path: str, made: set[str]) -> bool:
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    return path == "." or path in made or any(parent in made for parent in parents[:-1])


def _read_files(call: Call) -> Iterator[Word]:
    """Yield the arguments that are relative paths of files or folders that must exist."""
    action, _words = docker_line.action(call)
    chosen: list[Word] = []
    operands = call.operands()
    if call.name == "go" and operands and operands[0].text in ("run", "build"):
        chosen = operands[1:2]
    elif action == "build":
        chosen = [w for w in call.operands(docker_line.WITH_VALUE) if w.text != "build"][-1:]
    elif call.name in ("kubectl", "docker") and not (action and docker_line.run(call)):
        for number, word in enumerate(call.words[:-1]):
            if word.text in ("-f", "--file", "--filename") and action not in ("logs", "rm"):
                chosen.append(call.words[number + 1])
    elif call.name in _READERS and not call.has("-c", "-m"):
        chosen = operands[:1]
    elif call.name.startswith("./"):
        yield _itself(call)
    for word in chosen:
        if word.literal and _FILE.fullmatch(word.text) and re.search(r"[A-Za-z]", word.text):
            yield word


def _itself(call: Call) -> Word:
    from labwright.lab.shell import Word

    return Word(call.name, call.offset, "word")


def _written(call: Call) -> Iterator[str]:
    operands = [word.text.removeprefix("./").rstrip("/") for word in call.operands()]
    if call.name in ("mkdir", "touch", "tee"):
        yield from operands
    elif call.name in ("cp", "mv", "ln") and operands:
        yield operands[-1]
    elif call.name == "git" and operands[:1] == ["clone"] and len(operands) > 1:
        yield operands[2] if len(operands) > 2 else PurePosixPath(operands[1]).stem
    elif call.name in ("curl", "wget"):
        for number, word in enumerate(call.words[:-1]):
            short = re.fullmatch(
                r"-[A-Za-z]*o" if call.name == "curl" else r"-[A-Za-z]*O", word.text
            )
            if short or word.text == "--output":
                yield call.words[number + 1].text.removeprefix("./")
        if call.name == "wget" or call.has("-O", "--remote-name"):
            yield from (PurePosixPath(operand).name for operand in operands)


def _redirected(entry: Typed) -> set[str]:
    found = set()
    for node, _ in nodes(entry):
        if node.type == "file_redirect" and any(c.type in (">", ">>") for c in node.children):
            found.add(text_of(node.children[-1]).removeprefix("./"))
    return found


RULES = (
    Rule(
        "unmade-container",
        "Docker answers that there is no such container, and the reader cannot know why.",
        _containers,
    ),
    Rule(
        "unpinned-image",
        "Next year the tag is another image, with which the document was not tried.",
        _unpinned,
    ),
    Rule(
        "unmade-file",
        "The command fails with 'no such file', and the reader cannot know where to get it.",
        _files,
    ),
)
