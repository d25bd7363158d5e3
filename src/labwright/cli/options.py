"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.errors import UsageError
from labwright.lab import variants
from labwright.lab.definition import load_lab
from labwright.lab.model import DEFAULT
from labwright.vm.systems import DEFAULT as DEFAULT_SYSTEM
from labwright.vm.systems import SYSTEMS

if TYPE_CHECKING:
    import argparse

    from labwright.lab.model import Lab

SECRET = "LABWRIGHT_SECRET"  # noqa: S105  a name
"""The environment variable with the course's secret."""


def add_lab(parser: argparse.ArgumentParser) -> None:
    """Add ``--lab``."""
    parser.add_argument(
        "--lab", default=DEFAULT, metavar="LAB", help=f"a lab's name or folder (default: {DEFAULT})"
    )


def add_system(parser: argparse.ArgumentParser) -> None:
    """Add ``--system``."""
    parser.add_argument(
        "--system",
        choices=SYSTEMS,
        help=f"the lab machine's system (default: the lab's own, or {DEFAULT_SYSTEM.name})",
    )


def add_student(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a student's own edition of a lab."""
    parser.add_argument("--student", metavar="ID", help="use this student's own edition of the lab")
    parser.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help=f"file with the course's secret, for drawing variants (default: ${SECRET})",
    )


def add_variants(parser: argparse.ArgumentParser) -> None:
    """Add the options that grade each student of a class by their own edition of a lab."""
    parser.add_argument(
        "--variants", action="store_true", help="grade each student by their own edition of the lab"
    )
    parser.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help=f"file with the course's secret (default: ${SECRET})",
    )


def variants_secret(lab: Lab, arguments: argparse.Namespace) -> str:
    """Return the secret for drawing a class's variants; "" if all students have the same edition.

    :raises UsageError: the secret is missing, or the lab has no variants.
    """
    if not arguments.variants:
        if arguments.secret_file:
            raise UsageError("--secret-file needs --variants")
        return ""
    secret = secret_of(arguments)
    variants.values_for(lab, "anybody", secret)
    return secret


def student_settings(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Return the values of the student given by --student as settings; empty without one.

    :raises UsageError: the secret is missing, or the lab has no variants.
    """
    if not arguments.student:
        if arguments.secret_file:
            raise UsageError("--secret-file needs --student")
        return []
    return variants.settings_for(load_lab(folder), arguments.student, secret_of(arguments))


def secret_of(arguments: argparse.Namespace) -> str:
    """Return the course's secret.

    :raises UsageError: no secret is given, or its file cannot be read.
    """
    try:
        if arguments.secret_file:
            return str(arguments.secret_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read {arguments.secret_file}: {problem}") from None
    if SECRET in os.environ:
        return os.environ[SECRET].strip()
    raise UsageError(
        f"the course's secret is missing, which variants need: give --secret-file or set ${SECRET}"
    )
