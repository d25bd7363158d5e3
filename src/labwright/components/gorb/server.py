"""The daemon's HTTP server: uvicorn with h11, imported narrowly, its signals ours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from labwright.components.gorb.lean import postpone_init
from labwright.components.gorb.signals import STOPPING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

uvicorn = postpone_init("uvicorn")
from uvicorn.config import Config  # noqa: E402

# uvicorn.lifespan.off asks the package for it, which would initialise the package after all.
vars(uvicorn)["Config"] = Config
from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: E402
from uvicorn.server import Server as UvicornServer  # noqa: E402

KEEP_ALIVE_S = 75
LAST_ANSWERS_S = 2


class Server(UvicornServer):
    """A uvicorn server that leaves signals alone: its own way ends the process by them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    def stop(self) -> None:
        """Stop serving; requests that are under way are answered."""
        self.should_exit = True


def make_server(application: Any) -> Server:
    """Return a server for an ASGI application."""
    config = Config(
        application,
        http=H11Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )
    config.load()
    return Server(config)


async def serve_until_signalled(
    application: Any, listener: socket.socket, announce: Callable[[], object] = lambda: None
) -> None:
    """Serve on a listening socket until a signal asks to stop.

    ``announce`` is called when signals are heeded and requests are answered.
    """
    server = make_server(application)
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, server.stop)
    announce()
    await server.serve(sockets=[listener])
