"""Finds machines that look like one: flagged for a person to look at, never judged.

A host key, a machine's id, the Docker Engine's id and those of containers are drawn at
random, so that two machines never have the same by chance: either one machine was named
for two students, or one is a copy of the other. Where images are handed out with keys in
them, all of a class share one: that is said once, and flags nobody.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labwright.batch.record import Record
    from labwright.batch.student import Student
    from labwright.batch.task import Identity

FEW = 5
"""Students that are named as looking like another one; a whole class may, and is counted."""
KINDS = {
    "target": "the same target in the roster",
    "boot": "the same boot of a machine",
    "container": "a container of the same id",
    "engine": "the same Docker Engine",
    "host key": "the same SSH host key",
    "machine": "the same machine-id",
}
"""What may be the same, and what that is called; the strongest evidence first."""
IN_IMAGES = {"container", "engine", "host key", "machine"}
"""What an image has in it that is handed out."""
FEWEST_ALIKE = 4
"""Machines of which most must have the same for it to be their image's."""


@dataclass(frozen=True)
class Flag:
    """Students who have something in common that no two machines have by chance."""

    kinds: tuple[str, ...]
    """Keys of :data:`KINDS`."""
    students: tuple[str, ...]

    @property
    def what(self) -> str:
        """What they have in common, in words."""
        return ", ".join(KINDS[kind] for kind in self.kinds)


def find(students: Sequence[Student], identities: Mapping[str, Identity]) -> list[Flag]:
    """Return who looks like whom, in the order of the roster."""
    order = {student.id: place for place, student in enumerate(students)}
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for student in students:
        if student.target:
            holders["target", student.address].add(student.id)
        for kind, value in _values(identities.get(student.id)):
            holders[kind, value].add(student.id)
    shared: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for (kind, _), ids in holders.items():
        if len(ids) > 1:
            shared[tuple(sorted(ids, key=order.__getitem__))].add(kind)
    flags = [Flag(tuple(k for k in KINDS if k in found), ids) for ids, found in shared.items()]
    return sorted(flags, key=lambda flag: [order[id] for id in flag.students])


def of_an_image(flag: Flag, machines: int) -> bool:
    """Whether most of a class have it in common, as machines of one image do."""
    alike = len(flag.students)
    return set(flag.kinds) <= IN_IMAGES and alike >= FEWEST_ALIKE and 2 * alike > machines


def copies(records: Mapping[str, Record]) -> dict[str, str]:
    """Return for each student who has one of their records as well, in words.

    Both are named: no file can prove which of the two was first.
    """
    holders: dict[str, dict[str, None]] = defaultdict(dict)
    for id, record in records.items():
        for attempt in record.attempts:
            for mark in attempt.marks:
                holders[mark][id] = None
    # A copy has all marks of a record, so that most marks have the same holders.
    groups = {tuple(ids) for ids in holders.values() if len(ids) > 1}
    found: dict[str, str] = {}
    for ids in sorted(groups, key=len):
        for id in ids:
            found[id] = named(ids, id)
    return found


def named(ids: Sequence[str], apart_from: str) -> str:
    """Name a few students, and count the others: a whole class may have copied."""
    others = [id for id in ids[: FEW + 1] if id != apart_from][:FEW]
    more = len(ids) - 1 - len(others)
    return ", ".join(others) + (f" and {more} more" if more > 0 else "")


def _values(identity: Identity | None) -> Iterator[tuple[str, str]]:
    if identity is None:
        return
    yield from (("host key", key) for key in identity.host_keys)
    yield from (("container", id) for id in identity.containers)
    for kind in ("machine", "boot", "engine"):
        if getattr(identity, kind):
            yield kind, getattr(identity, kind)
