"""``labwright images``: loads a lab's Docker images into any machine's Docker."""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from typing import TYPE_CHECKING

from labwright.cli.options import add_lab
from labwright.errors import UsageError
from labwright.host.progress import say
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.machines.image_context import Component
from labwright.machines.image_load import load
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from typing import Any

EPILOG = """\
Existing images are not changed. Missing ones are built on the machine: on their ordinary base
if the machine can reach a registry, otherwise on its own Python, without a download.

examples:
  labwright images load                                 into this computer's Docker
  labwright images load --lab gorb --target ssh://ann@10.1.2.3
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``images`` and its commands."""
    images = commands.add_parser("images", help="load a lab's images into a machine's Docker")
    actions = images.add_subparsers(metavar="ACTION", required=True)
    loader = actions.add_parser(
        "load",
        help="load a lab's images into a machine's Docker",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_lab(loader)
    loader.add_argument(
        "--target", default="local", metavar="TARGET", help="local (default), ssh://... or vm:NAME"
    )
    loader.set_defaults(run=_load)


def _load(arguments: argparse.Namespace) -> int:
    lab = load_lab(find_lab(arguments.lab))
    if not lab.images:
        raise UsageError(f"the lab {lab.name} has no images, so there is nothing to load")
    components = [
        Component(image.name, image.folder, image.package, image.dependencies, image.published)
        for image in lab.images
    ]
    say(f"loading the images of the lab {lab.name} into Docker on {arguments.target}; the first")
    say("time takes a minute, or as long as pulling the base takes")
    with closing(open_machine(arguments.target)) as machine:
        start = time.monotonic()
        for image, done in load(components, machine):
            say(f"{image} {done} ({time.monotonic() - start:.1f} s)")
            start = time.monotonic()
    return 0
