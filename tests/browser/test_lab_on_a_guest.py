"""The whole gorb lab, done by typing into the page's terminals, on a real machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.browser.conftest import PHONE, WIDE
from tests.browser.test_page import shown

from labwright.batch import submission
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.vm.lab_states import ephemeral

LAB = load_lab(find_lab("gorb"))
SOON_MS = 120_000
"""An emulated machine takes its time."""
ALL = "100"


@pytest.fixture
def opened():
    """The lab machine as a student finds it, and ``labwright open`` on it; yield the address."""
    with ephemeral(LAB, LAB.start) as guest:
        command = [sys.executable, "-m", "labwright", "open", "--no-browser", "--id", "ann"]
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


class Student:
    """Reads the page and types into its terminals."""

    def __init__(self, page, picture) -> None:
        self.page = page
        self._picture, self._pictures = picture, 0
        self.sockets: list = []
        page.route_web_socket("**/live", self._through)

    def _through(self, socket) -> None:
        socket.connect_to_server()
        self.sockets.append(socket)

    def sees(self, id: str, outcome: str = "passed"):
        """Wait until a step has an outcome, and return its section."""
        section = self.page.locator(f"[data-step='{id}'][data-outcome='{outcome}']")
        section.wait_for(timeout=SOON_MS)
        return section

    def types(self, text: str) -> None:
        self.page.locator(".panel:not([hidden]) .xterm").click()
        self.page.keyboard.type(text + "\n")

    def runs(self, id: str) -> None:
        """Click on the command of a step."""
        step = self.page.locator(f"[data-step='{id}']")
        step.get_by_role("button", name="Run in").first.click()

    def is_pictured(self, scheme: str = "light") -> None:
        """Take the next picture of the series, with what is next in view."""
        self._pictures += 1
        self.page.emulate_media(color_scheme=scheme)
        if self.page.locator("#next").is_visible():
            self.page.locator("#next").click()
        self.page.wait_for_timeout(1000)  # the page scrolls smoothly
        self._picture(self.page, f"lab-in-page-{self._pictures}.png")


def put(path: str, body: str) -> str:
    return (
        'curl --silent --request PUT --header "Content-Type: application/json" '
        f"--data '{body}' http://localhost:4672/service/{path}"
    )


def backend(address: str) -> str:
    return f'{{"host": "{address}", "port": 4444, "method": "nat", "weight": 100}}'


def load_balancer_is_deployed(student: Student) -> None:
    student.sees("server1-running")
    student.sees("server2-running")
    student.sees("ip-vs-available", "failed")
    student.sees("service-created", "blocked")
    shown(student.page, "$")
    student.is_pictured()
    student.types("sudo modprobe ip_vs")
    student.sees("ip-vs-available")
    student.runs("gorb-image-present")
    student.sees("gorb-image-present")
    student.runs("gorb-running")
    student.sees("gorb-running")


def servers_are_registered_one_with_a_mistake(student: Student) -> None:
    page = student.page
    # Gorb keeps its terminal: the rest is typed in a second one.
    page.get_by_role("button", name="New terminal").click()
    page.get_by_role("tab", name="Terminal 2", selected=True).wait_for()
    shown(page, "$")
    student.types(
        "IP_ADDR=$(ip -4 -o address show enp0s3 | awk '{split($4, a, \"/\"); print a[1]}')"
    )
    student.runs("service-created")
    student.sees("service-created")
    student.is_pictured()
    student.types(put("0/0", backend("172.17.0.2")))
    student.sees("server1-registered")
    student.types(put("0/1", backend("172.17.0.9")))
    wrong = page.locator("[data-step='server2-registered']", has_text="172.17.0.9")
    wrong.wait_for(timeout=SOON_MS)
    assert wrong.get_attribute("data-outcome") == "failed"
    wrong.get_by_role("button", name="Show a hint").click()
    assert "docker inspect server2" in wrong.inner_text()
    student.is_pictured()
    page.set_viewport_size(PHONE)
    student.is_pictured("dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)


def page_is_lost_and_found(student: Student) -> None:
    page = student.page
    student.sockets[-1].close(code=3001, reason="the cable is out")
    page.get_by_text("The connection to labwright is lost").wait_for()
    page.get_by_text("Following the machine.").wait_for()
    page.reload()
    page.get_by_role("tab", name="Terminal 2").click()
    shown(page, "172.17.0.9")


def mistake_is_mended(student: Student) -> None:
    student.types("curl --silent --request DELETE http://localhost:4672/service/0/1")
    student.types(put("0/1", backend("172.17.0.3")))
    student.sees("server2-registered")


def lab_is_handed_in(student: Student, folder) -> None:
    page = student.page
    page.get_by_role("link", name="Report").wait_for()
    with page.expect_popup() as report:
        page.get_by_role("link", name="Report").click()
    report.value.get_by_text("100 of 100 points").first.wait_for()
    report.value.close()
    with page.expect_download() as handed_in:
        page.get_by_role("link", name="File to hand in").click()
    assert handed_in.value.suggested_filename == "gorb-ann.lab"
    handed_in.value.save_as(folder / "gorb-ann.lab")
    said, score, _ = submission.read(folder / "gorb-ann.lab")
    assert said.student == "ann"
    assert score.points == score.max_points


def test_the_lab_is_done_in_the_page_and_handed_in(chromium, opened, picture, tmp_path):
    context = chromium.new_context(viewport=WIDE)
    student = Student(context.new_page(), picture)
    page = student.page
    page.goto(opened)
    load_balancer_is_deployed(student)
    servers_are_registered_one_with_a_mistake(student)
    page_is_lost_and_found(student)
    mistake_is_mended(student)
    # Traffic is sent by itself, now that all is right that it needs.
    page.get_by_text("Sending traffic to the service").wait_for(timeout=SOON_MS)
    student.is_pictured()
    student.sees("client-split")
    assert page.locator("#points").inner_text() == ALL
    lab_is_handed_in(student, tmp_path)
    student.is_pictured()

    # What is undone is told, in every tab, and the points are taken back.
    other = Student(context.new_page(), picture)
    other.page.goto(page.url)
    other.sees("client-split")
    student.types("docker stop --time 0 server2")
    student.sees("server2-running", "failed")
    student.sees("requests-succeed", "blocked")
    other.sees("server2-running", "failed")
    assert other.page.locator("#points").inner_text() != ALL
    context.close()
