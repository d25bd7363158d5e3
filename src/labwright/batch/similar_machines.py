"""Flags students whose machines look identical. A person decides what that means.

SSH host keys, machine-ids, and the ids of Docker Engines and containers are random, so two
machines never share one by chance: either both students gave the same machine, or one
machine is a copy of the other. If most of a class share one, it comes from the image that was
handed out: that is reported once, and nobody is flagged.
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
"""The most students who are named in a flag; the rest are counted."""
KINDS = {
    "target": "the same target in the roster",
    "boot": "the same boot of a machine",
    "container": "a container of the same id",
    "engine": "the same Docker Engine",
    "host key": "the same SSH host key",
    "machine": "the same machine-id",
}
"""What two machines can share, with its name in reports; the strongest evidence first."""
IN_IMAGES = {"container", "engine", "host key", "machine"}
"""What machines made from the same image share."""
FEWEST_ALIKE = 4
"""A property shared by at least this many machines can come from their image."""


@dataclass(frozen=True)
class Flag:
    """Students whose machines share something that no two machines share by chance."""

    kinds: tuple[str, ...]
    """Keys of :data:`KINDS`."""
    students: tuple[str, ...]

    @property
    def what(self) -> str:
        """The shared properties, in words."""
        return ", ".join(KINDS[kind] for kind in self.kinds)


def find(students: Sequence[Student], identities: Mapping[str, Identity]) -> list[Flag]:
    """Return the groups of students whose machines look identical, in the roster's order."""
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


def is_from_image(flag: Flag, machines: int) -> bool:
    """Whether most of a class share it, as machines made from one image do."""
    alike = len(flag.students)
    return set(flag.kinds) <= IN_IMAGES and alike >= FEWEST_ALIKE and 2 * alike > machines


def copies(records: Mapping[str, Record]) -> dict[str, str]:
    """Return, for each student, the names of others who handed in the same record.

    All of them are named: no file can prove who made the record first.
    """
    holders: dict[str, dict[str, None]] = defaultdict(dict)
    for id, record in records.items():
        for attempt in record.attempts:
            for mark in attempt.marks:
                holders[mark][id] = None
    # A copy has all marks of a record, so many marks have the same group of holders.
    groups = {tuple(ids) for ids in holders.values() if len(ids) > 1}
    found: dict[str, str] = {}
    for ids in sorted(groups, key=len):
        for id in ids:
            found[id] = named(ids, id)
    return found


def named(ids: Sequence[str], apart_from: str) -> str:
    """Return the names of a few students and the number of the others."""
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
