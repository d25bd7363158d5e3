"""Tests whether a document with variants is correct in each student's edition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labwright.gate.findings import Finding
from labwright.lab.variants import PLACEHOLDER, fill, values_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from labwright.lab.model import Lab

_WRONG = "In another student's edition this text is wrong."
SECRET = "editions that are only tried"  # noqa: S105  these editions belong to no student


def tried(lab: Lab, number: int) -> list[dict[str, Any]]:
    """Return the values of a number of editions, all different if possible."""
    found: list[dict[str, Any]] = []
    for student in range(20 * number):
        values = values_for(lab, f"edition-{student}", SECRET)
        if values not in found:
            found.append(values)
        if len(found) == number:
            break
    return found


def about_variants(lab: Lab) -> list[Finding]:
    """Find values of a variant that the document has as text instead of ``{{...}}``."""
    if not lab.variants:
        return []
    path = lab.template or lab.document
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [*_in_words(lab, path, lines), *_never_named(lab, path, lines), *_out_of_step(lab)]


def _in_words(lab: Lab, path: Path, lines: list[str]) -> Iterator[Finding]:
    for variant in lab.variants:
        for key in () if variant.elsewhere else variant.keys:
            value = str(lab.values[key])
            literal = re.compile(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\w)")
            for number, line in enumerate(lines, 1):
                bare = PLACEHOLDER.sub(lambda found: " " * len(found[0]), line)
                found = literal.search(bare)
                if found and len(value) > 1:
                    yield Finding(
                        path,
                        number,
                        found.start() + 1,
                        "cover/variant",
                        f"{value} is written here, but this value differs for each student",
                        _WRONG,
                        f"write {{{{{key}}}}}; if all students have the same, give the reason in "
                        "lab.toml: 'elsewhere' of this variant",
                    )


def _never_named(lab: Lab, path: Path, lines: list[str]) -> Iterator[Finding]:
    named = {found[1] for line in lines for found in PLACEHOLDER.finditer(line)}
    for variant in lab.variants:
        if not named & set(variant.keys):
            yield Finding(
                path,
                1,
                1,
                "cover/variant",
                f"the document does not contain the variant {variant.name!r}",
                "A student cannot know the value that is checked.",
                f"write {{{{{variant.keys[0]}}}}} where the value is used",
            )


def _out_of_step(lab: Lab) -> Iterator[Finding]:
    """Yield the first line where the template with the usual values is not the document."""
    if lab.template is None:
        return
    text = fill(lab.template.read_text(encoding="utf-8-sig"), lab.values)
    theirs = text.splitlines()
    ours = lab.document.read_text(encoding="utf-8-sig").splitlines()
    if ours == theirs:
        return
    same = 0
    while ours[same : same + 1] == theirs[same : same + 1]:
        same += 1
    number = same + 1
    yield Finding(
        lab.template,
        number,
        1,
        "cover/variant",
        f"with the usual values this line differs from {lab.document.name}",
        "Students with their own edition read a text that was not reviewed.",
        "make both lines equal, except for {{...}}",
        f"- {ours[number - 1] if number <= len(ours) else ''}\n"
        f"+ {theirs[number - 1] if number <= len(theirs) else ''}",
    )
