"""The daemon: ``python3 -m labwright.gorb -f -i enp0s3``."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import labwright
from labwright.gorb import flags
from labwright.gorb.problems import StartError
from labwright.gorb.signals import heed_while_starting

if TYPE_CHECKING:
    import socket

    from labwright.gorb.ipvs import Ipvs

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
    except StartError as problem:
        sys.stderr.write(f"gorb: {problem}\n")
        return 1
    return 0


def run(options: flags.Flags) -> None:
    """Serve until a signal; on the way out remove what was registered.

    The order matters: the port is taken before IPVS is flushed, so that a second daemon
    started by mistake does not empty the table of the first.
    """
    log.info("starting GORB Daemon v%s (labwright)", labwright.__version__)
    if os.geteuid() != 0:
        raise StartError("changing IPVS takes root: run gorb with sudo, or in Docker")
    from labwright.gorb.addresses import first_address, listen

    address = first_address(options.i)
    with listen(options.l) as listener:
        from labwright.gorb.ipvs_kernel import KernelIpvs

        log.info("initializing IPVS context")
        ipvs = KernelIpvs()
        if options.f:
            ipvs.flush()
        _serve(options, address, listener, ipvs)


def _serve(options: flags.Flags, address: str | None, listener: socket.socket, ipvs: Ipvs) -> None:
    import asyncio

    from labwright.gorb.api import Api
    from labwright.gorb.pulse import Pulses
    from labwright.gorb.registry import Registry
    from labwright.gorb.server import serve_until_signalled

    registry = Registry(ipvs, Pulses().watch)

    async def serve() -> None:
        try:
            await serve_until_signalled(
                Api(registry, address),
                listener,
                lambda: log.info("setting up HTTP server on %s", options.l),
            )
        finally:
            log.info("shutting down IPVS context")
            registry.close()
            ipvs.close()

    asyncio.run(serve())


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, stream=sys.stderr)
    for one in logging.getLogger().handlers:
        one.setFormatter(_Line())
    # Its own news of starting and stopping says nothing that ours does not.
    logging.getLogger("uvicorn").setLevel(level if level < logging.INFO else logging.WARNING)


if __name__ == "__main__":
    heed_while_starting()
    sys.exit(main())
