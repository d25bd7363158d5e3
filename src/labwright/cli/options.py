"""Options that several commands have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.lab.model import DEFAULT
from labwright.vm.systems import DEFAULT as DEFAULT_SYSTEM
from labwright.vm.systems import SYSTEMS

if TYPE_CHECKING:
    import argparse


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
        default=DEFAULT_SYSTEM.name,
        help=f"what the lab machine runs (default: {DEFAULT_SYSTEM.name})",
    )
