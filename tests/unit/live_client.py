"""A page that is really served, and a program that talks to it as it likes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from pathlib import Path

from websockets.sync.client import connect

from labwright.grading.watch import StepChanged
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live.page import Page
from labwright.live.serving import Served

RECORD = Path(__file__).parent / "data" / "deployed.json"
LAB = load_lab(find_lab("gorb"))


class Client:
    """A program that talks to the page as it likes."""

    def __init__(self, served: Served) -> None:
        self.port = served.port
        self.token = served.guard.token
        self.place = served.guard.place  # it is no secret to whoever attacks here
        self.cookie = ""

    def get(self, path: str = "/", method: str = "GET", **headers: str):
        if not path.startswith("/?"):
            path = self.place + path
        return self.ask(path, method, **headers)

    def ask(self, path: str, method: str = "GET", **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        connection.putrequest(method, path, skip_host="Host" in sent)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        response.text = response.read().decode()
        connection.close()
        return response

    def enter(self) -> Client:
        response = self.get(f"/?token={self.token}")
        assert response.status == 303
        self.cookie = response.headers["Set-Cookie"].partition(";")[0]
        self.place = response.headers["Location"].rstrip("/")
        return self

    def socket(self, path: str, **options):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        origin = options.pop("origin", f"http://127.0.0.1:{self.port}")
        return connect(
            f"ws://127.0.0.1:{self.port}{self.place}{path}",
            origin=origin,
            additional_headers={**headers, **options},
        )


def serving(shell=lambda: ["bash", "--norc", "--noprofile"], known=()):
    page = Page(LAB, "local", shell)
    for result in known:
        page.handle(StepChanged(result))
    return serving_app(page)


@contextlib.contextmanager
def serving_app(page: Page):
    begun = threading.Event()
    served = Served(page.app())
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        page.begin()
        begun.set()
        await served.serve()
        if page.terminals:
            await page.terminals.close_all()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(20)
    try:
        yield served
    finally:
        loops[0].call_soon_threadsafe(served.end)
        thread.join(20)
        assert not thread.is_alive()
        served.close()
