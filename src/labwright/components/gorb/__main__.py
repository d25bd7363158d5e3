"""The daemon: ``python3 -m labwright.components.gorb -f -i enp0s3``."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import labwright
from labwright.components.gorb import flags
from labwright.components.gorb.ipvs import IpvsError
from labwright.components.gorb.problems import IpvsFailed, StartError
from labwright.components.gorb.signals import heed_while_starting

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from labwright.components.gorb.catalogue import Catalogue
    from labwright.components.gorb.changes import Changes
    from labwright.components.gorb.ipvs import Ipvs
    from labwright.components.gorb.registry import Registry
    from labwright.components.gorb.synchrony import Synchrony

log = logging.getLogger("gorb")


class _Line(logging.Formatter):
    """One line of the log, as the original writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as ``time=... level=... msg="..."``."""
        text = record.getMessage().replace("\\", "\\\\").replace('"', '\\"')
        line = " ".join(text.splitlines())
        if record.exc_info:
            line += " " + self.formatException(record.exc_info)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f'time="{when}" level={record.levelname.lower()} msg="{line}"'


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon until a signal ends it; return the process's exit status."""
    try:
        options = flags.parse(sys.argv[1:] if arguments is None else arguments)
        _log_to_stderr(logging.DEBUG if options.v else logging.INFO)
        run(options)
    except flags.HelpWanted:
        sys.stderr.write(flags.USAGE)
    except flags.FlagError as problem:
        sys.stderr.write(f"{problem}\n{flags.USAGE}")
        return 2
    except (StartError, IpvsError, IpvsFailed) as problem:
        sys.stderr.write(f"gorb: {problem}\n")
        return 1
    return 0


def run(options: flags.Flags) -> None:
    """Serve until a signal; on the way out remove what was registered.

    The order matters: whatever may prevent the start is found before IPVS is flushed, so
    that a second daemon started by mistake does not empty the table of the first.
    """
    log.info("starting GORB Daemon v%s (labwright)", labwright.__version__)
    if os.geteuid() != 0:
        raise StartError("changing IPVS takes root: run gorb with sudo, or in Docker")
    from labwright.components.gorb.addresses import first_address, listen

    address = first_address(options.i)
    with listen(options.l) as listener:
        from labwright.components.gorb.ipvs_kernel import KernelIpvs

        log.info("initializing IPVS context")
        daemon = _assemble(options, address, KernelIpvs())
        if options.f:
            daemon.ipvs.flush()
        import asyncio

        asyncio.run(_serve(options, daemon, listener))


class _Daemon(NamedTuple):
    address: str | None
    """The default address of services."""
    ipvs: Ipvs
    registry: Registry
    changes: Changes
    synchrony: Synchrony | None
    catalogue: Catalogue | None


def _assemble(options: flags.Flags, address: str | None, ipvs: Ipvs) -> _Daemon:
    """Put together what the flags ask for; what they do not ask for is not even imported."""
    from labwright.components.gorb.changes import Changes
    from labwright.components.gorb.pulse import Pulses
    from labwright.components.gorb.registry import Registry

    vips = store = catalogue = synchrony = None
    if options.vipi:
        from labwright.components.gorb.vip import InterfaceVips

        vips = InterfaceVips(options.vipi)
    if options.store:
        from labwright.components.gorb.store import open_store

        store = open_store(options.store, options.store_service_path, options.store_backend_path)
    if options.c:
        from labwright.components.gorb.catalogue import Catalogue

        catalogue = Catalogue(options.c)
    registry = Registry(ipvs, Pulses().watch, vips)
    changes = Changes(registry, store, catalogue)
    if store:
        from labwright.components.gorb.synchrony import Synchrony

        synchrony = Synchrony(registry, changes, store, address)
    return _Daemon(address, ipvs, registry, changes, synchrony, catalogue)


async def _serve(options: flags.Flags, daemon: _Daemon, listener: socket.socket) -> None:
    from labwright.components.gorb.api import Api
    from labwright.components.gorb.server import serve_until_signalled

    api = Api(daemon.registry, daemon.address, daemon.changes)
    port = listener.getsockname()[1]
    try:
        async with _beside(options, daemon, port):
            await serve_until_signalled(
                api, listener, lambda: log.info("setting up HTTP server on %s", options.l)
            )
    finally:
        log.info("shutting down IPVS context")
        daemon.registry.close()
        daemon.ipvs.close()


@contextlib.asynccontextmanager
async def _beside(options: flags.Flags, daemon: _Daemon, port: int) -> AsyncIterator[None]:
    """Do what is to be done before, beside and after the serving."""
    import asyncio

    if options.adopt:
        from labwright.components.gorb.synchrony import take_over

        take_over(daemon.registry.strangers(), daemon.registry)
        await daemon.changes.announce({})
    keeping = None
    if daemon.synchrony:
        await daemon.synchrony.synchronise()
        keeping = asyncio.create_task(daemon.synchrony.keep(options.store_sync_time))
    if daemon.catalogue and daemon.address:
        await asyncio.to_thread(daemon.catalogue.expose, "gorb", daemon.address, port)
    try:
        yield
    finally:
        if keeping:
            keeping.cancel()
        if daemon.catalogue:
            for name in ["gorb", *(service.id for service in daemon.registry.services)]:
                await asyncio.to_thread(daemon.catalogue.remove, name)


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, stream=sys.stderr)
    for one in logging.getLogger().handlers:
        one.setFormatter(_Line())
    # Its own news of starting and stopping says nothing that ours does not.
    logging.getLogger("uvicorn").setLevel(level if level < logging.INFO else logging.WARNING)


if __name__ == "__main__":
    heed_while_starting()
    sys.exit(main())
