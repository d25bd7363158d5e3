"""The first stage of the gate: does the definition cover everything that the document asks for?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.gate import lock
from labwright.gate.changes import Change, changes
from labwright.gate.findings import Finding
from labwright.lab.instructions import SESSIONS, Piece, is_typed, pieces
from labwright.lab.performance import code_of, instructions, shows_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from labwright.lab.document import Block, Document
    from labwright.lab.model import Lab, Prose

_FOLLOWED = "A student follows the text; a part that is not covered is neither tested nor graded."
_REVIEWED = "The checks were written for the document as it was at its last review."


def cover(document: Document, lab: Lab | None, locked: Sequence[Piece] | None) -> list[Finding]:
    """Compare a document with its definition and with its locked version.

    :param lab: None if there is no valid definition.
    :param locked: None if the document was never locked.
    """
    said = pieces(document)
    found = list(_nothing_to_do(document, said))
    if lab is None:
        if locked is None:
            found += _unbound(document, said, set())
            found += _uncovered_prose(document, said, ())
            found += _unread_blocks(document, None)
    else:
        bound = {step.id for step in lab.steps} | {step.id for step in lab.waived}
        found += _unbound(document, said, bound)
        found += _empty_steps(document, said)
        found += _unperformed(document, lab, said)
        found += _uncovered_prose(document, said, lab.prose)
        found += _items_without_commands(document, lab)
        found += _unread_blocks(document, lab)
        found += _orphaned_prose(lab, said)
        found += _before_its_needs(document, lab)
        if locked is None:
            found.append(
                Finding(
                    document.path,
                    1,
                    1,
                    "cover/unlocked",
                    f"the document has never been locked: there is no {lock.NAME}",
                    _REVIEWED,
                    "review the document and its definition, then run `labwright gate --update`",
                )
            )
    found += _unseen(document)
    if locked is not None:
        found += [_changed(document.path, change) for change in changes(locked, said)]
    return sorted(set(found))


def _nothing_to_do(document: Document, said: Sequence[Piece]) -> Iterator[Finding]:
    if not any(piece.instructs for piece in said):
        yield Finding(
            document.path,
            1,
            1,
            "cover/nothing-to-do",
            "the document asks for nothing",
            "With nothing to check, the gate would always pass.",
            "write numbered items and fenced commands",
        )


def _unbound(document: Document, said: Sequence[Piece], bound: set[str]) -> Iterator[Finding]:
    """Yield the commands and numbered items that belong to no step."""
    for piece in said:
        if piece.kind in ("command", "item") and piece.step not in bound:
            what = "this command" if piece.kind == "command" else "this numbered item"
            yield Finding(
                document.path,
                piece.line,
                1,
                "cover/unbound",
                f"{what} belongs to no step: {_short(piece.text)}",
                _FOLLOWED,
                "mark its step before it with <!-- step: ID -->, and in lab.toml give the step "
                "a check ([[step]]) or a reason why it needs none ([[waived]])",
            )


def _empty_steps(document: Document, said: Sequence[Piece]) -> Iterator[Finding]:
    full = {piece.step for piece in said if piece.instructs}
    for id, place in document.steps.items():
        if id not in full:
            yield Finding(
                document.path,
                place.line,
                1,
                "cover/empty-step",
                f"the step {id!r} asks for nothing",
                _FOLLOWED,
                "write what is to be done after its mark, or remove the mark and the definition",
            )


def _unperformed(document: Document, lab: Lab, said: Sequence[Piece]) -> Iterator[Finding]:
    """Yield the steps for which neither document nor definition has a command."""
    typed = {block.step for block in document.blocks if is_typed(block)}
    spoken = [prose.says for prose in lab.prose if prose.perform]
    for step in lab.steps:
        told = any(
            words in piece.text for words in spoken for piece in said if piece.step == step.id
        )
        # An empty 'perform' means that nothing has to be done: the step is only checked.
        if step.id not in typed and step.as_written and not step.perform and not told:
            yield Finding(
                document.path,
                step.line,
                1,
                "cover/unperformed",
                f"the step {step.id!r} has no command, and lab.toml does not say how it is "
                "performed",
                _FOLLOWED,
                "add 'perform' to its [[step]] ('perform = []' where there is nothing to do), or "
                "a command to the document",
            )


def _uncovered_prose(
    document: Document, said: Sequence[Piece], covered: Sequence[Prose]
) -> Iterator[Finding]:
    """Yield the sentences that ask for something and are not covered."""
    for piece in said:
        if piece.kind == "prose" and not any(prose.says in piece.text for prose in covered):
            yield Finding(
                document.path,
                piece.line,
                1,
                "cover/unbound",
                f"this sentence asks for something that is not performed: {_short(piece.text)}",
                _FOLLOWED,
                "cover it in lab.toml: [[prose]] with says = some of its words, and either the "
                "commands that perform it or the reason why there are none",
            )


def _items_without_commands(document: Document, lab: Lab) -> Iterator[Finding]:
    """Yield the numbered items that ask for something but have no command.

    Their step has commands only in other items, so nothing performs these.
    """
    fenced = {block.step for block in document.blocks if is_typed(block)}
    said = [prose.says for prose in lab.prose]
    for number, block in enumerate(document.blocks):
        if block.kind != "item" or block.step not in fenced:
            continue
        its = _belonging(document.blocks[number + 1 :], block)
        text = " ".join(block.text.split())
        if any(is_typed(other) or code_of(other, lab.code) for other in its):
            continue
        if not any(words in text for words in said):
            yield Finding(
                document.path,
                block.line,
                1,
                "cover/unperformed",
                f"this numbered item has no command, so nothing performs it: {_short(block.text)}",
                _FOLLOWED,
                "add its command to the document, or cover it in lab.toml: [[prose]] with says = "
                "some of its words, and either the commands that perform it or a reason",
            )


def _belonging(blocks: Sequence[Block], item: Block) -> Iterator[Block]:
    """Yield the blocks after an item, up to the next item, mark or heading."""
    for block in blocks:
        if block.kind == "heading" or (block.kind == "item" and block.level <= item.level):
            return
        if block.step != item.step:
            return
        yield block


def _unread_blocks(document: Document, lab: Lab | None) -> Iterator[Finding]:
    """Yield the blocks of code that are neither commands nor output, and are not covered."""
    for block in document.blocks:
        if block.kind != "fence" or is_typed(block) or not block.text.strip():
            continue
        if shows_output(document, block) or (lab and code_of(block, lab.code)):
            continue
        what = f"this block of {block.language}" if block.language else "this block of code"
        if block.language in SESSIONS:
            what = "this block shows a terminal without a prompt, and"
        yield Finding(
            document.path,
            block.line,
            1,
            "cover/unread-block",
            f"{what} is neither typed nor output of a command: {_short(block.text)}",
            _FOLLOWED,
            "in lab.toml, [[block]] with begins = its first words, and file = where a reader "
            "writes it, perform = what does with it as the text asks, or a reason",
        )


def _unseen(document: Document) -> Iterator[Finding]:
    """Yield the directives of a site generator whose content is not in the file, each once."""
    for directive, line in document.unknown.items():
        yield Finding(
            document.path,
            line,
            1,
            "cover/unseen",
            f"the content of `{directive}` is not in this file, and was not read",
            _FOLLOWED,
            "write its content here, or hand over the file that the site makes of it",
        )


def _orphaned_prose(lab: Lab, said: Sequence[Piece]) -> Iterator[Finding]:
    """Yield the [[prose]] entries that match no sentence, or several."""
    for prose in lab.prose:
        speaking = instructions(prose, said)
        if len({piece.text for piece in speaking}) != 1:
            yield Finding(
                lab.folder / "lab.toml",
                prose.line,
                1,
                "cover/orphaned",
                f"{len(speaking) or 'no'} instructions of the document say {prose.says!r}",
                "A reason or a command that is meant for one sentence must not cover another.",
                "quote words that stand in one instruction only, or remove this [[prose]]",
            )


def _before_its_needs(document: Document, lab: Lab) -> Iterator[Finding]:
    for step in lab.steps:
        for need in step.needs:
            if lab.step(need).line > step.line:
                yield Finding(
                    document.path,
                    step.line,
                    1,
                    "cover/order",
                    f"the step {step.id!r} stands before {need!r}, which it needs "
                    f"(line {lab.step(need).line})",
                    "A reader who follows the document from top to bottom cannot do it here.",
                    "move it after what it needs, or correct 'needs' in lab.toml",
                )


def _changed(path: Path, change: Change) -> Finding:
    piece = change.piece
    what = {
        "command": "command",
        "block": "block of code",
        "item": "numbered item",
        "prose": "instruction",
        "text": "sentence",
    }[piece.kind]
    says = {
        "new": f"this {what} is new",
        "gone": f"a {what} that stood before this line is gone",
        "changed": f"this {what} has changed",
        "moved": f"this {what} has moved",
    }[change.kind]
    where = f" (step {piece.step})" if piece.step else ""
    return Finding(
        path,
        change.line,
        1,
        f"cover/{change.kind}",
        f"{says}{where}: {_short(piece.text)}",
        _REVIEWED,
        "see that the step's check and commands still fit, then run `labwright gate --update`",
        change.difference(),
    )


def _short(text: str) -> str:
    first, *rest = text.split("\n")
    return first[:100] + (" ..." if rest or len(first) > 100 else "")
