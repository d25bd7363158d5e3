"""The class board in a browser."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.browser.conftest import PHONE, WIDE
from tests.unit.test_board import LAB, STATE, tell

from labwright.batch.student import Student
from labwright.live.board import Board
from labwright.live.serving import Served
from labwright.outcome import Outcome


@pytest.fixture
def shown_board(chromium):
    """A board of four, in a browser; what is told of them is the test's business."""
    people = [("a", "Ann Archer"), ("b", "Ben <b>Bold</b>"), ("c", "Cas"), ("d", "Dee")]
    students = [Student(id=id, target=f"ssh://{id}", name=name) for id, name in people]
    board = Board(LAB, students, [])
    served = Served(board.app())
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        board.begin()
        await served.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    context = chromium.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(served.url)
    yield board, page
    context.close()
    loops[0].call_soon_threadsafe(served.end)
    thread.join(20)
    served.close()


def test_who_is_stuck_is_shown_names_are_hidden_by_a_key_and_a_click_shows_the_page(shown_board):
    board, page = shown_board
    tell(board, "a", Outcome.PASSED, *STATE)
    tell(board, "b", Outcome.PASSED, STATE[0])
    tell(board, "b", Outcome.FAILED, STATE[1], actual="it is <img src=x onerror=alert(1)>")
    page.locator("tbody tr").first.get_by_text("Ben <b>Bold</b>").wait_for()
    assert "<img src=x" in page.locator("#common").inner_text()
    assert page.locator("img").count() == 0
    board.rows["c"].handle("gone", "ssh://cas@10.1.2.3 cannot be reached")
    page.get_by_text("ssh://cas@10.1.2.3 cannot be reached").wait_for()
    page.keyboard.press("n")
    page.get_by_text("Student 2").wait_for()
    page.get_by_text("its machine cannot be reached").wait_for()
    for name in ("Ben", "Cas", "cas@", "Ann"):
        assert name not in page.locator("body").inner_text()
    page.get_by_role("link", name="Student 2").click()
    page.locator(f"[data-step='{STATE[1]}'][data-outcome='failed']").wait_for()
    assert page.get_by_role("button", name="Finish").count() == 0
    assert page.get_by_role("button", name="Run in").count() == 0
    assert page.locator("#terminals").count() == 0
    assert "ssh://b" not in page.content()
    page.go_back()
    page.get_by_role("link", name="Ben").click()
    page.get_by_text("ssh://b").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_axe_finds_nothing_on_the_board(shown_board, scheme, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    board, page = shown_board
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    tell(board, "b", Outcome.FAILED, STATE[0], actual="it is absent")
    board.rows["d"].handle("gone", "no route")
    page.get_by_text("it is absent").first.wait_for()
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
