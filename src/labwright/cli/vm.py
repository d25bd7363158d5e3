"""``labwright vm``: creates, lists and removes lab machines (QEMU guests)."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from labwright.cli.options import add_lab, add_system
from labwright.host.console import Console
from labwright.host.progress import say
from labwright.lab.definition import load_lab
from labwright.lab.model import DEFAULT, DOCKER, find_lab, own_labs
from labwright.vm import carry, guest, lab_states, states, systems
from labwright.vm.target import guest_machine

if TYPE_CHECKING:
    from labwright.vm.guest import Guest

WIDEST = 10_000
EXAMPLES = """\
examples:
  labwright vm build                      make the machine's image and all states of the lab
  labwright vm up a --state deployed      a machine on which the lab is done
  labwright vm up b --lab docker-server   a machine in the initial state of another lab
  labwright vm up c --system debian-12    a machine with another system
  labwright vm ssh a                      a shell on it
  labwright vm ssh a -- docker ps
  labwright vm down a
  labwright vm export gorb.machine        write one file, for computers that only have QEMU
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``vm`` and its commands."""
    raw = argparse.RawDescriptionHelpFormatter
    vm = commands.add_parser(
        "vm", help="lab machines: QEMU guests", epilog=EXAMPLES, formatter_class=raw
    )
    actions = vm.add_subparsers(metavar="ACTION", required=True)

    build = actions.add_parser("build", help="make the image and all states now")
    add_lab(build)
    add_system(build)
    build.set_defaults(run=_build)

    up = actions.add_parser("up", help="start a machine")
    up.add_argument("name", metavar="NAME")
    add_lab(up)
    add_system(up)
    up.add_argument(
        "--state",
        help="docker, or one of [states] in lab.toml (default: the lab's initial state)",
    )
    up.set_defaults(run=_up)

    ssh = actions.add_parser("ssh", help="open a shell on a machine, or run a command there")
    ssh.add_argument("name", metavar="NAME")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    ssh.set_defaults(run=_ssh)

    ls = actions.add_parser("ls", help="list the running machines")
    ls.set_defaults(run=_ls)

    down = actions.add_parser("down", help="stop and remove a machine")
    down.add_argument("name", metavar="NAME")
    down.set_defaults(run=_down)

    export = actions.add_parser("export", help="write a lab's machine to one file")
    export.add_argument("file", type=Path, metavar="FILE")
    add_lab(export)
    add_system(export)
    export.set_defaults(run=_export)

    import_ = actions.add_parser("import", help="read a machine from such a file; nothing is built")
    import_.add_argument("file", type=Path, metavar="FILE")
    import_.set_defaults(run=_import)

    prune = actions.add_parser("prune", help="remove images and states that are out of date")
    prune.add_argument("--all", action="store_true", help="also remove states that are up to date")
    prune.add_argument(
        "--lab",
        action="append",
        default=[],
        metavar="FOLDER",
        help="also keep the states of this lab; states of labwright's own labs are always kept",
    )
    prune.set_defaults(run=_prune)


def _build(arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    lab = load_lab(find_lab(arguments.lab))
    known = lab_states.states(lab, systems.choose(lab, arguments.system))
    for name, state in known.items():
        folder = states.saved(state).folder
        say(f"{name}: {folder}")
    say(f"the lab machine is ready ({time.monotonic() - start:.1f} s)")
    return 0


def _up(arguments: argparse.Namespace) -> int:
    lab = load_lab(find_lab(arguments.lab))
    runs = {found.name: found for found in guest.running()}
    found = runs.get(arguments.name)
    if found:
        begun = f"{found.system}, started in the state {found.state} of {found.lab}"
        say(f"{found.name} runs already, {begun} ({_age(found)} ago)")
        return 0
    start = time.monotonic()
    found = lab_states.up(
        arguments.name, lab, arguments.state or lab.start, systems.choose(lab, arguments.system)
    )
    took = time.monotonic() - start
    say(f"{found.name} is up: {found.system}, state {found.state} ({took:.1f} s)")
    chosen = "" if arguments.lab == DEFAULT else f" --lab {arguments.lab}"
    say(f"labwright vm ssh {found.name}; labwright check{chosen} --target vm:{found.name}")
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    command = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    # One word is a shell's command, as with ssh; several are a program and its arguments.
    text = command[0] if len(command) == 1 else shlex.join(command)
    machine = guest_machine(guest.find(arguments.name))
    try:
        return machine.interactive(text)
    finally:
        machine.close()


def _ls(_: argparse.Namespace) -> int:
    table = Table(
        "name", "lab", "system", "state", "accelerator", "port", "pid", "memory", "up", box=None
    )
    for found in guest.running():
        texts = (found.name, found.lab, found.system, found.state, found.accelerator)
        table.add_row(*texts, str(found.port), str(found.pid), _memory(found), _age(found))
    # In a pipe, no line is wrapped or cut.
    width = None if Console().is_terminal else WIDEST
    Console(width=width).print(table if table.row_count else "no machine runs")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    ran = guest.down(arguments.name)
    say(f"{arguments.name} is down" if ran else f"{arguments.name} did not run")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    lab = load_lab(find_lab(arguments.lab))
    system = systems.choose(lab, arguments.system)
    carry.export(lab, system, lab_states.states(lab, system)[DOCKER], arguments.file)
    size = arguments.file.stat().st_size / (1 << 20)
    say(f"written: {arguments.file} ({size:.0f} MiB); labwright vm import {arguments.file}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    found = carry.import_file(arguments.file)
    say(f"imported: {found.system} of the lab {found.lab}, exported on {found.exported}")
    say(f"labwright vm up NAME --lab {found.lab} --system {found.system}")
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    folders = [*own_labs(), *map(find_lab, arguments.lab)]
    labs = [load_lab(folder) for folder in folders]
    known = [
        state
        for lab in labs
        for system in systems.SYSTEMS.values()
        for state in lab_states.states(lab, system).values()
    ]
    freed = guest.prune(known, everything=arguments.all)
    say(f"{freed / (1 << 30):.1f} GiB freed")
    return 0


def _age(found: Guest) -> str:
    minutes, seconds = divmod(int(time.time() - found.since), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s"
    )


def _memory(found: Guest) -> str:
    """Return a machine's resident memory, if the system reports it."""
    status = Path(f"/proc/{found.pid}/status")
    if not status.exists():
        return "?"
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return f"{int(line.split()[1]) / 1024:.0f} MiB"
    return "?"
