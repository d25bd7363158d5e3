"""``labwright board``: a page that shows which students of a class need help."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from labwright.cli.open import add_serving, listen_address, require_live, say
from labwright.cli.options import add_lab, add_variants, variants_secret
from labwright.grading import step_check
from labwright.grading.run import RunOptions
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab

if TYPE_CHECKING:
    import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "board",
        help="watch a class at work: who is stuck, at which step, since when",
        epilog="The machines are checked without traffic; nothing is graded.",
    )
    parser.add_argument("roster", type=Path, metavar="class.csv", help="as for `labwright grade`")
    add_lab(parser)
    add_variants(parser)
    add_serving(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the board until Ctrl-C; see ``labwright board --help``."""
    require_live()
    from labwright.batch import own_values, roster
    from labwright.batch.task import Task
    from labwright.host.temporary import Scratch
    from labwright.live.board import Board
    from labwright.live.serving import Served, invite

    lab = load_lab(find_lab(arguments.lab))
    students = roster.read(arguments.roster, lab).students
    if secret := variants_secret(lab, arguments):
        students = own_values.with_own_values(students, lab, secret)
    tasks = []
    for student in students:
        values = lab.values_with(student.settings)
        for step in lab.steps:
            step_check.bind(lab, step, values)
        tasks.append(
            Task(
                id=student.id,
                target=student.target,
                lab=str(lab.folder),
                jump=student.jump,
                pins=(f"{student.id} {student.host_key}",) if student.host_key else (),
                options=RunOptions(settings=student.settings),
            )
        )
    board = Board(lab, students, tasks)
    address, port = listen_address(arguments.listen)
    served = Served(board.app(), address, port)

    async def serve() -> None:
        board.begin()
        await served.serve()

    try:
        with Scratch() as folder:
            invite(served.url, folder, say, browser=not arguments.no_browser)
            asyncio.run(serve())
    except KeyboardInterrupt:
        pass
    finally:
        board.end()
        served.close()
    return 0
