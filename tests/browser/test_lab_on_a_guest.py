"""The whole gorb lab, done by typing into the page's terminals, on a real machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.browser.conftest import PHONE, WIDE
from tests.browser.test_page import shown

from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm.lab_states import ephemeral

LAB = load_lab(find_lab("gorb"))
SOON_MS = 60_000
"""An emulated machine takes its time."""


pytestmark = pytest.mark.untried


@pytest.fixture
def opened():
    """The lab machine as a student finds it, and ``labwright open`` on it; yield the address."""
    with ephemeral(LAB, LAB.start) as guest:
        command = [sys.executable, "-m", "labwright", "open", "--no-browser"]
        process = subprocess.Popen(
            [*command, "--target", f"vm:{guest.name}"], stderr=subprocess.PIPE, text=True
        )
        try:
            said = process.stderr.readline()
            assert "token=" in said, said
            yield said.split()[-1]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def passed(page, id: str, outcome: str = "passed"):
    section = page.locator(f"[data-step='{id}'][data-outcome='{outcome}']")
    section.wait_for(timeout=SOON_MS)
    return section


def type_line(page, text: str) -> None:
    page.locator(".panel:not([hidden]) .xterm").click()
    page.keyboard.type(text + "\n")


def run(page, id: str, nth: int = 0) -> None:
    """Click on a command of the document."""
    page.locator(f"[data-step='{id}']").get_by_role("button", name="Run in").nth(nth).click()


def put(path: str, body: str) -> str:
    return (
        'curl --silent --request PUT --header "Content-Type: application/json" '
        f"--data '{body}' http://localhost:4672/service/{path}"
    )


def backend(address: str) -> str:
    return f'{{"host": "{address}", "port": 4444, "method": "nat", "weight": 100}}'


def test_the_lab_is_done_in_the_page_and_handed_in(chromium, opened, picture):
    context = chromium.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(opened)
    passed(page, "server1-running")
    passed(page, "server2-running")
    shown(page, "$")
    picture(page, "live-1.png")

    type_line(page, "sudo modprobe ip_vs")
    passed(page, "ip-vs-available")
    run(page, "gorb-image-present")
    passed(page, "gorb-image-present")
    run(page, "gorb-running")
    passed(page, "gorb-running")
    picture(page, "live-2.png")

    # Gorb keeps its terminal: the rest is typed in a second one.
    page.get_by_role("button", name="New terminal").click()
    page.get_by_role("tab", name="Terminal 2", selected=True).wait_for()
    shown(page, "$")
    type_line(
        page, "IP_ADDR=$(ip -4 -o address show enp0s3 | awk '{split($4, a, \"/\"); print a[1]}')"
    )
    run(page, "service-created")
    passed(page, "service-created")
    type_line(page, put("0/0", backend("172.17.0.2")))
    passed(page, "server1-registered")

    # A mistake: the address of the other server. It is said, and mended.
    type_line(page, put("0/1", backend("172.17.0.9")))
    wrong = page.locator("[data-step='server2-registered']", has_text="172.17.0.9")
    wrong.wait_for(timeout=SOON_MS)
    assert wrong.get_attribute("data-outcome") == "failed"
    wrong.get_by_role("button", name="Show a hint").click()
    wrong.scroll_into_view_if_needed()
    picture(page, "live-mistake.png")
    page.set_viewport_size(PHONE)
    wrong.scroll_into_view_if_needed()
    picture(page, "live-mistake-phone.png")
    page.set_viewport_size(WIDE)
    page.reload()
    page.get_by_role("tab", name="Terminal 2").click()
    shown(page, "172.17.0.9")
    type_line(page, "curl --silent --request DELETE http://localhost:4672/service/0/1")
    type_line(page, put("0/1", backend("172.17.0.3")))
    passed(page, "server2-registered")

    # Traffic is sent by itself, now that all is right that it needs.
    passed(page, "client-split")
    assert page.locator("#points").inner_text() == "100"
    picture(page, "live-3.png")
    page.get_by_role("link", name="Report").wait_for()
    with page.expect_popup() as report:
        page.get_by_role("link", name="Report").click()
    report.value.get_by_text("100 of 100 points").first.wait_for()
    with page.expect_download() as handed_in:
        page.get_by_role("link", name="File to hand in").click()
    assert '"labwright/score/v1"' in handed_in.value.path().read_text()

    # What is undone is told, and the points are taken back.
    type_line(page, "docker stop --time 0 server2")
    passed(page, "server2-running", "failed")
    passed(page, "requests-succeed", "blocked")
    other = context.new_page()
    other.goto(opened.partition("?")[0])
    passed(other, "server2-running", "failed")
    context.close()
