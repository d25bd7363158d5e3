"""The page in a real browser: Debian's Chromium, driven by Playwright.

Pictures for the documentation are written where LABWRIGHT_PICTURES says, else nowhere.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from pathlib import Path

import pytest
from tests.pretended import PretendedMachine

from labwright.grading.run import plan
from labwright.host import programs
from labwright.lab.definition import load_lab
from labwright.lab.model import Lab, find_lab

LAB = load_lab(find_lab("gorb"))
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def chromium():
    """Chromium, which is installed where that needs no question."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="tox -e browser has Playwright")
    programs.require(["chromium"])
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=programs.find("chromium"), args=arguments
        )
        yield browser
        browser.close()


class Opened:
    """A lab that is open on a pretended machine, and a browser to look at it."""

    def __init__(self, browser, machine: PretendedMachine, lab: Lab) -> None:
        self.machine, self._lab = machine, lab
        self._browser = browser
        self._said: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.url = self._said.get(timeout=30).split()[1]
        self.origin = self.url.partition("/?")[0]
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport=WIDE)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=self.origin)
        self.page = self.new_page(self.url)
        self.place = self.page.url

    def _run(self) -> None:
        from labwright.live.serving import open_page

        open_page(plan(self._lab), self._said.put, browser=False, connect=lambda: self.machine)

    def new_page(self, url: str = ""):
        page = self.context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.goto(url or self.place)
        page.get_by_role("tab", name="Terminal 1").wait_for()
        return page

    def close(self) -> None:
        self.context.close()
        self._thread.join(30)
        assert not self._thread.is_alive(), "closing the page must end all"


@pytest.fixture
def open_lab(chromium, monkeypatch):
    """Return a function that opens a lab, gorb if none is given, on a pretended machine."""
    monkeypatch.setattr("labwright.live.page.BYE_S", 3.0)
    monkeypatch.setattr("labwright.live.page.LOST_S", 6.0)
    with contextlib.ExitStack() as stack:

        def make(machine: PretendedMachine | None = None, lab: Lab = LAB) -> Opened:
            opened = Opened(chromium, machine or PretendedMachine(), lab)
            stack.callback(opened.close)
            return opened

        yield make
    # The steps were examined by a pytest in this process, which took this away from ours.
    os.environ.setdefault("PYTEST_CURRENT_TEST", "")


@pytest.fixture
def picture(tmp_path):
    """Return a function that takes a picture of a page for the documentation."""
    folder = Path(os.environ.get("LABWRIGHT_PICTURES", tmp_path))

    def take(page, name: str) -> None:
        page.screenshot(path=folder / name)
        if "LABWRIGHT_PICTURES" in os.environ:
            from PIL import Image

            # A page has few colours: a third of the size, without a visible difference.
            shown = Image.open(folder / name).convert("RGB")
            few = shown.quantize(64, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(folder / name, optimize=True)

    return take
