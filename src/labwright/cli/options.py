"""Options that several commands have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.lab.model import DEFAULT

if TYPE_CHECKING:
    import argparse


def add_lab(parser: argparse.ArgumentParser) -> None:
    """Add ``--lab``."""
    parser.add_argument(
        "--lab", default=DEFAULT, metavar="LAB", help=f"a lab's name or folder (default: {DEFAULT})"
    )
