"""Serves a page on loopback until it is left or Ctrl-C, and lets go of everything then."""

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
"""Bytes of one message of a page."""
JOIN_S = 15.0


class Served:
    """An application behind its guard, on a port."""

    def __init__(self, app: ASGIApp, address: str = LOOPBACK, port: int = 0) -> None:
        """Take the port, any free one if it is 0.

        :raises UsageError: it cannot be listened on.
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
            log_level="error",  # anybody can send what is no HTTP: that is no news
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
        """The address to open; it counts once."""
        return f"http://{self._name}:{self.port}/?token={self.guard.token}"

    def end(self) -> None:
        """End :meth:`serve`; from within its event loop."""
        self._server.should_exit = True

    async def serve(self) -> None:
        """Serve until :meth:`end` or Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            await self._server.serve(sockets=[self._socket])

    def close(self) -> None:
        """Let go of the port."""
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

    :param connect: opens the machine; the target's own if it is not given.
    :param hand_in: makes the file to hand in, its name and text; the score if it is not given.
    :raises LabwrightError: the page cannot be served, or the steps not be examined at all.
    """
    connect = connect or (lambda: open_machine(run.target))
    shells = _Shells(connect)
    page = Page(run.lab, run.target, shells.program)
    followed = watch(run, page.hear, connect, on_grade=page.graded)
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
    """Open a browser where there is one, and say the address."""
    say(f"open {url}")
    say("it ends when the page is closed, or with Ctrl-C")
    if not browser or not _has_desktop():
        return
    # By a file that only this user can read: every user can read the arguments of a program,
    # and the address is as good as a password until it has been opened.
    page = folder / "open.html"
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        safe = html.escape(url)
        file.write(
            '<!doctype html><meta charset="utf-8"><title>labwright</title>'
            f'<meta http-equiv="refresh" content="0; url={safe}"><a href="{safe}">labwright</a>'
        )
    webbrowser.open(page.as_uri())


def _has_desktop() -> bool:
    """Whether a browser would open a window, and not take over this terminal."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


class _Shells:
    """Programs that are shells on the machine, over a connection of their own."""

    def __init__(self, connect: Callable[[], Machine]) -> None:
        self._connect = connect
        self._machine: Machine | None = None
        self._lock = threading.Lock()

    def program(self) -> list[str]:
        """Return one more; a lost connection is made again."""
        with self._lock:
            try:
                return self._open().login_shell()
            except HostUnreachable:
                self.close()
                return self._open().login_shell()

    def machine(self) -> Machine:
        """Return the machine."""
        with self._lock:
            return self._open()

    def _open(self) -> Machine:
        if self._machine is None:
            self._machine = self._connect()
        return self._machine

    def close(self) -> None:
        """Let go of the connection."""
        if self._machine:
            self._machine.close()
            self._machine = None
