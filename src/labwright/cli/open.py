"""``labwright open``: a lab in the browser, its document beside terminals on the machine."""

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
"""What a server listens on to be reached by every address."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "open",
        help="do a lab in the browser: document, terminals and verdict in one page",
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
        help="how much a failed step gives away",
    )
    parser.add_argument(
        "--id",
        default="",
        help="your id, as your instructor has it: it goes into the file to hand in",
    )
    parser.add_argument(
        "--challenge",
        metavar="TEXT",
        default="",
        help="the challenge that your instructor gave out",
    )
    add_student(parser)
    add_serving(parser)
    parser.set_defaults(run=run)


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that serves a page."""
    parser.add_argument(
        "--listen",
        metavar="ADDRESS[:PORT]",
        default="127.0.0.1",
        help="where the page is served (default: 127.0.0.1, any port). Beyond 127.0.0.1 it is "
        "not encrypted: anyone who can read the network can take it over",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(arguments: argparse.Namespace) -> int:
    """Show a lab until its page is closed."""
    require_live()
    from labwright.cli.lab import _target
    from labwright.live.serving import open_page

    folder = find_lab(arguments.lab)
    settings = [*student_settings(folder, arguments), *arguments.set]
    lab = edition(folder, settings)
    if arguments.id and not ID.fullmatch(arguments.id):
        raise UsageError(f"--id: not an id: {arguments.id[:60]!r}")
    if arguments.challenge and not arguments.id:
        raise UsageError("--challenge is for a file to hand in: give --id too")
    seed = Challenge.parse(arguments.challenge).seed(arguments.id) if arguments.challenge else None
    asked = plan(lab, settings=settings, hints=arguments.hints, seed=seed)
    address, port = listen_address(arguments.listen)
    asked = asked.on(_target(lab, arguments))
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
    """Return what makes the file to hand in: its name and text, as of ``labwright submit``."""

    def make(score: Score, machine: Machine) -> tuple[str, str]:
        identity = reach.identity_of(machine)
        text = submission.make(score, lab, id, values, challenge, identity)
        return f"{lab.name}-{id}{submission.SUFFIX}", text

    return make


def require_live() -> None:
    """See that what serves pages is installed.

    :raises SetupError: it is not.
    """
    for module in ("starlette", "websockets"):
        require(module, "a page in the browser")


def listen_address(text: str) -> tuple[str, int]:
    """Return the address and the port of ``ADDRESS[:PORT]``; port 0 is any.

    :raises UsageError: it is none.
    """
    address, port = text, ""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if address in EVERYWHERE:
        raise UsageError(
            f"--listen {text}: name the one address of this computer under which the page will "
            "be opened: a request by any other name is refused"
        )
    if not address or (port and not (port.isascii() and port.isdigit() and int(port) < 65536)):
        raise UsageError(f"--listen: not an address: {text!r}: write ADDRESS[:PORT]")
    return address, int(port or 0)


def say(text: str) -> None:
    """Print a line for the person at the terminal."""
    print(f"labwright: {text}", file=sys.stderr, flush=True)  # noqa: T201
