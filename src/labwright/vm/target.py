"""From what a user names to a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labwright.errors import UsageError
from labwright.machines.destination import Destination
from labwright.machines.local import LocalMachine
from labwright.machines.ssh import SshMachine

if TYPE_CHECKING:
    from labwright.machines.machine import Machine
    from labwright.vm.guest import Guest


def open_machine(target: str) -> Machine:
    """Return the machine of ``local``, ``ssh://[user@]host[:port]`` or ``vm:NAME``.

    Nothing is connected yet.

    :raises UsageError: it is none of these, or no such guest runs.
    """
    if target == "local":
        return LocalMachine()
    if target.startswith("ssh://"):
        return SshMachine(target, Destination.parse(target))
    if target.startswith("vm:"):
        from labwright.vm.guest import find

        return guest_machine(find(target.removeprefix("vm:")))
    raise UsageError(f"not a target: {target!r}: write local, ssh://[user@]host[:port] or vm:NAME")


def guest_machine(guest: Guest) -> SshMachine:
    """Return one of our guests as the SSH target that it is."""
    return SshMachine(f"vm:{guest.name}", guest.destination())
