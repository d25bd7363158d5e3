"""Serves a page on loopback until it is closed or Ctrl-C is pressed, then cleans up."""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import socket
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from labwright.errors import HostUnreachable, LabwrightError, UsageError
from labwright.host.temporary import Scratch
from labwright.live.following import watch
from labwright.live.guard import Guard
from labwright.live.page import Page
from labwright.vm.target import open_machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from labwright.grading.run import Run
    from labwright.machines.machine import Machine
    from labwright.score import Score

LOOPBACK = "127.0.0.1"
MESSAGE_LIMIT = 1 << 20
"""Maximum bytes of one message from a page."""
JOIN_S = 15.0


class Served:
    """An application on a port, protected by a :class:`Guard`."""

    def __init__(self, app: ASGIApp, address: str = LOOPBACK, port: int = 0) -> None:
        """Listen on a port; 0 means any free port.

        :raises UsageError: the port cannot be used.
        """
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self._socket = socket.create_server((address, port), family=family)
        except OSError as problem:
            where = f"{address} port {port}" if port else address
            raise UsageError(f"cannot listen on {where}: {problem.strerror}") from None
        self.port = self._socket.getsockname()[1]
        names = {f"[{address}]" if ":" in address else address, "localhost"}
        self._name = min(names - {"localhost"})
        self.guard = Guard(app, frozenset(f"{name}:{self.port}" for name in names))
        config = uvicorn.Config(
            self.guard,
            log_config=None,
            log_level="error",  # warnings about malformed HTTP are of no use here
            lifespan="off",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MESSAGE_LIMIT,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The address to open in a browser; it works once."""
        return f"http://{self._name}:{self.port}/?token={self.guard.token}"

    def end(self) -> None:
        """End :meth:`serve`; call it in the event loop."""
        self._server.should_exit = True

    async def serve(self) -> None:
        """Serve until :meth:`end` or Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            await self._server.serve(sockets=[self._socket])

    def close(self) -> None:
        """Close the port."""
        self._socket.close()


def open_page(
    run: Run,
    say: Callable[[str], None],
    *,
    address: str = LOOPBACK,
    port: int = 0,
    browser: bool = True,
    connect: Callable[[], Machine] | None = None,
    hand_in: Callable[[Score, Machine], tuple[str, str]] | None = None,
) -> None:
    """Show a lab on a machine until the page is closed or Ctrl-C.

    :param connect: opens the machine; the default opens the target.
    :param hand_in: makes the file to hand in; returns its name and text. Default: the score.
    :raises LabwrightError: the page cannot be served, or the steps cannot be checked at all.
    """
    connect = connect or (lambda: open_machine(run.target))
    shells = _Shells(connect)
    page = Page(run.lab, run.target, shells.program)
    followed = watch(run, page.handle, connect, on_grade=page.graded)
    page.watch = followed
    served = Served(page.app(), address, port)
    page.on_left = served.end
    if hand_in:
        page.file_of = lambda score: hand_in(score, shells.machine())

    def follow() -> None:
        try:
            followed.follow()
        except LabwrightError as problem:
            page.ended(str(problem))

    thread = threading.Thread(target=follow, name="watch", daemon=True)

    async def serve() -> None:
        page.begin()
        thread.start()
        try:
            await served.serve()
        finally:
            if page.terminals:
                await page.terminals.close_all()

    try:
        with Scratch() as folder:
            invite(served.url, folder, say, browser=browser)
            asyncio.run(serve())
    except KeyboardInterrupt:
        pass
    finally:
        followed.stop()
        if thread.ident:
            thread.join(JOIN_S)
        shells.close()
        served.close()


def invite(url: str, folder: Path, say: Callable[[str], None], *, browser: bool) -> None:
    """Open a browser if there is one, and print the address."""
    say(f"open {url}")
    say("it ends when the page is closed, or with Ctrl-C")
    if not browser or not _has_desktop():
        return
    # The browser gets the address in a file that only this user can read. Every user can read a
    # program's arguments, and the address is a password until it has been used.
    page = folder / "open.html"
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        safe = html.escape(url)
        file.write(
            '<!doctype html><meta charset="utf-8"><title>labwright</title>'
            f'<meta http-equiv="refresh" content="0; url={safe}"><a href="{safe}">labwright</a>'
        )
    webbrowser.open(page.as_uri())


def _has_desktop() -> bool:
    """Whether a browser would open a window instead of using this terminal."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


class _Shells:
    """Starts shells on the machine, over a separate connection."""

    def __init__(self, connect: Callable[[], Machine]) -> None:
        self._connect = connect
        self._machine: Machine | None = None
        self._lock = threading.Lock()

    def program(self) -> list[str]:
        """Return the arguments of a new shell; a lost connection is reopened."""
        with self._lock:
            try:
                return self._open().login_shell()
            except HostUnreachable:
                self.close()
                return self._open().login_shell()

    def machine(self) -> Machine:
        """Return the connected machine."""
        with self._lock:
            return self._open()

    def _open(self) -> Machine:
        if self._machine is None:
            self._machine = self._connect()
        return self._machine

    def close(self) -> None:
        """Close the connection."""
        if self._machine:
            self._machine.close()
            self._machine = None
