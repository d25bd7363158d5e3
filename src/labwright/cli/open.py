"""``labwright open``: shows a lab in the browser: its document and terminals on the machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from labwright.batch import reach, submission
from labwright.batch.challenge import Challenge
from labwright.batch.student import ID
from labwright.cli.options import add_student, student_settings
from labwright.errors import UsageError
from labwright.grading import step_check
from labwright.grading.run import plan
from labwright.host.extras import require
from labwright.lab.edition import edition
from labwright.lab.model import DEFAULT, find_lab

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from labwright.lab.model import Lab
    from labwright.machines.machine import Machine
    from labwright.score import Score


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  it is refused
"""Addresses that mean all addresses of the computer."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "open",
        help="do a lab in the browser: document, terminals and results on one page",
        epilog="The page is served on this computer only, for the user who started it.",
    )
    parser.add_argument(
        "lab",
        nargs="?",
        default=DEFAULT,
        metavar="LAB",
        help=f"a lab's name or folder (default: {DEFAULT})",
    )
    parser.add_argument(
        "--target",
        metavar="T",
        help="local, ssh://[user@]host[:port] or vm:NAME "
        "(default: this machine if it can run the lab, else a guest)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the lab"
    )
    parser.add_argument(
        "--hints",
        choices=step_check.HINTS,
        default="full",
        help="how much of a hint is shown",
    )
    parser.add_argument(
        "--id",
        default="",
        help="your student id from your instructor, for the file to hand in",
    )
    parser.add_argument(
        "--challenge",
        metavar="TEXT",
        default="",
        help="the challenge from your instructor",
    )
    add_student(parser)
    add_serving(parser)
    parser.set_defaults(run=run)


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Add the options for serving a page."""
    parser.add_argument(
        "--listen",
        metavar="ADDRESS[:PORT]",
        default="127.0.0.1",
        help="where the page is served (default: 127.0.0.1, any port). Beyond 127.0.0.1 it is "
        "not encrypted: anyone who can read the network can take it over",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(arguments: argparse.Namespace) -> int:
    """Show a lab until its page is closed; see ``labwright open --help``."""
    require_live()
    from labwright.cli.lab_commands import chosen_target
    from labwright.live.serving import open_page

    folder = find_lab(arguments.lab)
    settings = [*student_settings(folder, arguments), *arguments.set]
    lab = edition(folder, settings)
    if arguments.id and not ID.fullmatch(arguments.id):
        raise UsageError(f"--id: not an id: {arguments.id[:60]!r}")
    if arguments.challenge and not arguments.id:
        raise UsageError("--challenge is for the file to hand in: also give --id")
    seed = Challenge.parse(arguments.challenge).seed(arguments.id) if arguments.challenge else None
    asked = plan(lab, settings=settings, hints=arguments.hints, seed=seed)
    address, port = listen_address(arguments.listen)
    asked = asked.on(chosen_target(lab, arguments))
    values = dict(setting.partition("=")[::2] for setting in settings)
    open_page(
        asked,
        say,
        address=address,
        port=port,
        browser=not arguments.no_browser,
        hand_in=submitted(lab, arguments.id, values, arguments.challenge) if arguments.id else None,
    )
    return 0


def submitted(
    lab: Lab, id: str, values: dict[str, str], challenge: str
) -> Callable[[Score, Machine], tuple[str, str]]:
    """Return a function that makes the file to hand in, as ``labwright submit`` does."""

    def make(score: Score, machine: Machine) -> tuple[str, str]:
        identity = reach.identity_of(machine)
        text = submission.make(score, lab, id, values, challenge, identity)
        return f"{lab.name}-{id}{submission.SUFFIX}", text

    return make


def require_live() -> None:
    """Check that the packages for serving a page are installed.

    :raises SetupError: one is missing.
    """
    for module in ("starlette", "websockets"):
        require(module, "a page in the browser")


def listen_address(text: str) -> tuple[str, int]:
    """Parse ``ADDRESS[:PORT]``; port 0 means any free port.

    :raises UsageError: it is malformed.
    """
    address, port = text, ""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if address in EVERYWHERE:
        raise UsageError(
            f"--listen {text}: give the address of this computer that browsers will use; "
            "requests to any other address are refused"
        )
    if not address or (port and not (port.isascii() and port.isdigit() and int(port) < 65536)):
        raise UsageError(f"--listen: not an address: {text!r}: write ADDRESS[:PORT]")
    return address, int(port or 0)


def say(text: str) -> None:
    """Print a line for the person at the terminal."""
    print(f"labwright: {text}", file=sys.stderr, flush=True)  # noqa: T201
