"""Reads and validates a lab.

For each step of ``lab.md``, ``lab.toml`` has the points, the needs, how it is checked and how it
is performed; docs/lab-toml.md describes each key. An error in one of the files is a
:class:`~labwright.errors.DefinitionError` with file and line.
"""

from __future__ import annotations

import re
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from labwright.lab import claim_reader
from labwright.lab.definition_reader import STEP_ID, Reader, is_file
from labwright.lab.definition_tables import LabTable
from labwright.lab.document import Document
from labwright.lab.model import Lab
from labwright.lab.toml_file import TomlFile, shown
from labwright.lab.variants import filled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labwright.lab.model import Step

LONGEST_NAME = 30
"""Limited, since a machine can be named after its lab."""


def load_lab(folder: Path, variant: Mapping[str, Any] | None = None) -> Lab:
    """Read and validate the lab in a folder.

    :param variant: values of its variants, for a student's own edition.
    :raises DefinitionError: the lab is wrong; the message has file and line.
    """
    file = TomlFile.read(folder / "lab.toml", "no such file: a lab needs a lab.toml")
    file = _filled(file, variant)
    tables = file.convert(LabTable)
    _verify_name_and_language(file, tables)
    usual = folder / tables.document
    template = folder / tables.variants.document if tables.variants.document else None
    document_path = template if template and variant else usual
    if not is_file(document_path):
        raise file.error(f"the document {shown(tables.document)} does not exist", "document")
    prompts = (tables.prompt,) if isinstance(tables.prompt, str) else tuple(tables.prompt)
    prompts = tuple(filter(None, prompts))
    values = tables.values if tables.variants.values else {}
    reader = Reader(file, tables, Document.read(document_path, prompts, tables.language, values))
    steps = tuple(reader.step(number, table) for number, table in enumerate(tables.step))
    if not steps:
        raise file.error("the lab has no step: add a [[step]]")
    waived = tuple(reader.waived())
    reader.verify(steps, waived)
    for step in steps:
        claim_reader.read(file, step, tables.values)
    claim_reader.verify_until(file, steps, tuple(reader.document.steps))
    states = reader.states()
    return Lab(
        name=tables.name,
        title=reader.words(tables.title, "title"),
        folder=folder,
        document=document_path,
        values=tables.values,
        states=states,
        prelude=tables.perform.prelude,
        steps=_in_order(steps, {id: n for n, id in enumerate(reader.document.steps)}),
        waived=waived,
        prose=tuple(reader.prose()),
        typed=tuple(reader.typings()),
        code=tuple(reader.code()),
        variants=tuple(reader.variants()),
        template=template,
        prompts=prompts,
        language=tables.language,
        opening=tables.perform.opening.strip(),
        varies=reader.varies(),
        requires=tuple(tables.requires),
        images=tuple(reader.images(folder)),
        start=reader.start(states),
        modules=tuple(tables.machine.modules),
        systems=tuple(tables.machine.systems),
        setup=reader.setup(),
    )


def _verify_name_and_language(file: TomlFile, tables: LabTable) -> None:
    if not STEP_ID.fullmatch(tables.name) or len(tables.name) > LONGEST_NAME:
        raise file.error(
            f"'name' must be short and kebab-case, like 'docker-server', not {shown(tables.name)}",
            "name",
        )
    if not re.fullmatch(r"[a-z]{2}", tables.language):
        raise file.error(
            f"'language' must have two letters, like 'en' or 'es', not {shown(tables.language)}",
            "language",
        )


def _filled(file: TomlFile, variant: Mapping[str, Any] | None) -> TomlFile:
    """Return a definition with the values of a variant, and with ``{{...}}`` replaced."""
    values = file.body.get("values")
    if not file.body.get("variants") or not isinstance(values, dict):
        return file
    values = {**values, **(variant or {})}
    kept = {key: file.body[key] for key in ("variants",)}
    return replace(file, body={**filled(file.body, values), **kept, "values": values})


def _in_order(steps: tuple[Step, ...], order: dict[str, int]) -> tuple[Step, ...]:
    """Sort steps in the document's order, but each one after the steps it needs."""
    sorter = TopologicalSorter({step.id: step.needs for step in steps})
    sorter.prepare()
    by_id = {step.id: step for step in steps}
    ready: list[str] = []
    done: list[Step] = []
    while sorter.is_active():
        ready.extend(sorter.get_ready())
        ready.sort(key=order.__getitem__)
        first = ready.pop(0)
        done.append(by_id[first])
        sorter.done(first)
    return tuple(done)
