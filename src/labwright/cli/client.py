"""``labwright client``: the lab's load generator."""

from __future__ import annotations

import argparse
from typing import Any

from labwright.components.workload import client


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``client``."""
    parser = commands.add_parser(
        "client",
        help="send a varying load and show its results",
        epilog=client.EPILOG.replace("example: ", "example: labwright "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    client.add_arguments(parser)
    parser.set_defaults(run=lambda options: client.start(*client.checked(parser, options)))
