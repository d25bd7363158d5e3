"""The page as a student uses it, on a machine that does as the test says."""

from __future__ import annotations

import contextlib
import http.server
import threading

import pytest
from tests.browser.conftest import PHONE, WIDE
from tests.pretended import PretendedMachine

from labwright.errors import MachineError
from labwright.lab.edition import edition
from labwright.lab.model import find_lab

OUTCOME = "[data-step='{}'][data-outcome='{}']"


def step(page, id: str, outcome: str):
    """Wait until a step has an outcome, and return its section."""
    section = page.locator(OUTCOME.format(id, outcome))
    section.wait_for()
    return section


def typed(page, text: str) -> None:
    page.locator(".panel:not([hidden]) .xterm").click()
    page.keyboard.type(text + "\n")


def shown(page, text: str) -> None:
    """Wait until a terminal shows a text."""
    page.locator(".panel:not([hidden]) .xterm-rows", has_text=text).wait_for()


def test_the_states_of_the_steps_follow_the_machine(open_lab):
    opened = open_lab()
    page = opened.page
    step(page, "server1-running", "passed")
    step(page, "ip-vs-available", "failed")
    assert page.locator("#points").inner_text() == "10"
    assert "The kernel has ip_vs" in page.locator("#next").inner_text()
    opened.machine.ip_vs = True
    step(page, "ip-vs-available", "passed")
    page.get_by_text("passed: The kernel has ip_vs. 15 of 100 points.").wait_for()
    opened.machine.stopped.add("server2")
    broken = step(page, "server2-running", "failed")
    assert "its state is exited" in broken.inner_text()


def test_a_hint_is_given_in_stages_and_only_when_asked_for(open_lab):
    opened = open_lab()
    failed = step(opened.page, "ip-vs-available", "failed")
    assert "Expected" in failed.inner_text()
    assert "Load it with" not in failed.inner_text()
    failed.get_by_role("button", name="Show a hint").click()
    assert "Load it with sudo modprobe ip_vs (kernel 6.1.0-9-amd64)." in failed.inner_text()
    failed.get_by_role("button", name="Show a hint").wait_for(state="detached")


def test_the_lab_is_finished_with_a_report_and_a_file_to_hand_in(open_lab):
    opened = open_lab(PretendedMachine().do_all())
    page = opened.page
    step(page, "client-split", "passed")
    assert page.locator("#points").inner_text() == "100"
    page.get_by_role("button", name="Grade again").wait_for()
    assert page.locator("#next").is_hidden()
    with page.expect_popup() as report:
        page.get_by_role("link", name="Report").click()
    report.value.get_by_text("100 of 100 points").first.wait_for()
    assert report.value.evaluate("self.origin") == "null"  # it cannot speak for the page
    with page.expect_download() as handed_in:
        page.get_by_role("link", name="File to hand in").click()
    assert '"labwright/score/v1"' in handed_in.value.path().read_text()


def test_a_command_is_copied_and_is_run_in_the_terminal_with_one_click(open_lab):
    opened = open_lab()
    page = opened.page
    first = step(page, "server1-running", "passed")
    first.get_by_role("button", name="Copy:").click()
    first.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("docker run --detach")
    typed(page, 'docker() { echo "made<$*>"; }')
    first.get_by_role("button", name="Run in the terminal:").click()
    shown(page, "made<run --detach --name server1 server>")


def test_all_of_it_can_be_done_by_keyboard_alone(open_lab):
    opened = open_lab()
    page = opened.page
    step(page, "server1-running", "passed")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the document"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(document.activeElement.ariaLabel || document.activeElement.textContent)"
        )
        reached.add(name.split(":")[0])
        if name.startswith("Run in the terminal"):
            break
    assert {"Copy", "Run in the terminal"} <= reached
    page.keyboard.press("F6")
    page.keyboard.type("echo typed-$((40+2))\n")
    shown(page, "typed-42")
    page.keyboard.press("F6")
    assert page.evaluate("document.activeElement.id") == "document"


def test_terminals_survive_a_reload_and_are_the_same_in_a_second_tab(open_lab):
    opened = open_lab()
    page = opened.page
    typed(page, "echo once-$((40+2))")
    shown(page, "once-42")
    page.get_by_role("button", name="New terminal").click()
    page.get_by_role("tab", name="Terminal 2").wait_for()
    shown(page, "bash")
    typed(page, "echo second-$((40+3))")
    shown(page, "second-43")
    page.reload()
    page.get_by_role("tab", name="Terminal 1").click()
    shown(page, "once-42")
    other = opened.new_page()
    other.get_by_role("tab", name="Terminal 2").click()
    shown(other, "second-43")
    typed(other, "echo both-$((40+4))")
    page.get_by_role("tab", name="Terminal 2").click()
    shown(page, "both-44")


def test_a_lost_connection_is_told_and_made_again(open_lab):
    opened = open_lab()
    sockets = []

    def through(socket) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page = opened.page
    page.route_web_socket("**/live", through)
    page.reload()
    step(page, "server1-running", "passed")
    sockets[-1].close(code=3001, reason="the cable is out")
    page.get_by_text("The connection to labwright is lost. Trying again.").wait_for()
    page.get_by_text("Following the machine.").wait_for()
    opened.machine.ip_vs = True
    step(page, "ip-vs-available", "passed")


def test_a_machine_that_goes_and_comes_back_is_told(open_lab):
    opened = open_lab()
    step(opened.page, "server1-running", "passed")
    opened.machine.gone = "pretended cannot be reached: no route"
    opened.page.get_by_text("The machine is gone: pretended cannot be reached").wait_for()
    opened.machine.gone = ""
    opened.page.get_by_text("Following the machine.").wait_for()
    step(opened.page, "server1-running", "passed")


MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\x1b]0;owned\x07\u202e"


def test_nothing_that_the_machine_says_becomes_markup(open_lab, monkeypatch):
    def say(path):
        raise MachineError(f"the table says {MARKUP}")

    machine = PretendedMachine()
    machine.service = {"host": MARKUP, "port": 4444, "protocol": "tcp", "method": MARKUP}
    machine.image = machine.gorb = machine.ip_vs = True
    opened = open_lab(machine)
    page = opened.page
    seen = step(page, "service-created", "failed").inner_text()
    assert "<img src=x onerror=alert(1)>" in seen
    assert "\\x1b]0;owned\\x07\\u202e" in seen
    assert page.locator("img[src=x]").count() == 0
    typed(
        page, "printf '<img src=x onerror=alert(3)>\\033]0;owned\\007\\033]52;c;b3duZWQ=\\007\\n'"
    )
    shown(page, "<img src=x onerror=alert(3)>")
    assert page.locator("img[src=x]").count() == 0
    assert "owned" not in page.title()
    assert page.evaluate("navigator.clipboard.readText()") != "owned"
    assert opened.complaints == []


def test_the_page_asks_nobody_but_labwright(open_lab):
    opened = open_lab()
    step(opened.page, "server1-running", "passed")
    hosts = {url.split("/")[2] for url in opened.requests if not url.startswith("data:")}
    assert hosts == {opened.origin.partition("//")[2]}
    assert opened.complaints == []


def test_the_document_can_be_read_before_anything_else_has_come(open_lab):
    """Neither a script nor a connection is needed for it, nor the machine."""
    opened = open_lab()
    cookies = opened.context.cookies()
    plain = opened.context.browser.new_context(viewport=WIDE, java_script_enabled=False)
    plain.add_cookies(cookies)
    page = plain.new_page()
    page.goto(opened.place, wait_until="commit")
    page.get_by_text("sudo modprobe ip_vs").wait_for()
    plain.close()


ATTACK = """
async (place) => {
  const got = [];
  for (const path of ["/", "/hand-in", "/report"]) {
    try {
      const answer = await fetch(`http://${place}${path}`, { credentials: "include" });
      got.push(await answer.text());
    } catch (problem) { got.push("refused"); }
  }
  await fetch(`http://${place}/bye`, { method: "POST", mode: "no-cors", credentials: "include" })
    .catch(() => {});
  for (const path of ["/live", "/terminal/1"]) {
    got.push(await new Promise((done) => {
      const socket = new WebSocket(`ws://${place}${path}`);
      socket.onopen = () => done("open");
      socket.onerror = () => done("refused");
    }));
  }
  const frame = document.createElement("iframe");
  frame.src = `http://${place}/`;
  await new Promise((done) => { frame.onload = done; document.body.append(frame); });
  try { got.push(frame.contentDocument?.body?.innerHTML || "refused"); }
  catch (problem) { got.push("refused"); }
  return got;
}
"""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_site_on_another_port_of_this_computer_gets_nothing(open_lab, name):
    """The cookie goes with its requests, since ports are one site: their origin gives it away."""
    opened = open_lab()
    step(opened.page, "server1-running", "passed")
    with other_site() as port:
        page = opened.context.new_page()
        page.goto(f"http://{name}:{port}/")
        got = page.evaluate(ATTACK, opened.place.partition("//")[2].rstrip("/"))
        page.close()
    assert set(got) == {"refused"}
    opened.machine.ip_vs = True
    step(opened.page, "ip-vs-available", "passed")  # its `bye` ended nothing


def test_a_server_on_another_port_of_this_computer_is_not_sent_the_cookie(open_lab):
    """Another user can serve one, and lead the browser there."""
    opened = open_lab()
    step(opened.page, "server1-running", "passed")
    cookies: list[str] = []
    with other_site(cookies) as port:
        page = opened.context.new_page()
        for path in ("", "static/page.js", "hand-in"):
            page.goto(f"http://127.0.0.1:{port}/{path}")
            page.reload()
        page.close()
    assert len(cookies) >= 6
    assert not any("labwright" in cookie for cookie in cookies)


@contextlib.contextmanager
def other_site(cookies=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if cookies is not None:
                cookies.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>evil</title>")

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_axe_finds_nothing(open_lab, scheme, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    machine = PretendedMachine()
    machine.stopped.add("server2")
    opened = open_lab(machine)
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    step(page, "server2-running", "failed").get_by_role("button", name="Show a hint").click()
    found = axe.run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    if size is PHONE:
        page.get_by_role("button", name="Terminal", exact=True).click()
        found = axe.run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1280", "390"])
def test_nothing_is_wider_than_the_window(open_lab, size):
    page = open_lab().page
    page.set_viewport_size(size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_on_a_phone_the_terminal_is_a_button_away(open_lab):
    opened = open_lab()
    page = opened.page
    page.set_viewport_size(PHONE)
    assert page.locator("#terminals").is_hidden()
    page.get_by_role("button", name="Terminal", exact=True).click()
    page.keyboard.type("echo phone-$((40+2))\n")
    shown(page, "phone-42")
    page.get_by_role("button", name="Document").click()
    assert page.locator("main").is_visible()


def test_a_student_has_the_page_of_their_own_edition(open_lab):
    settings = ["service=web", "scheduler=wrr", "scheduler_name=weighted round-robin"]
    machine = PretendedMachine().do_all()
    machine.service_id = "web"
    machine.create_service("wrr")
    opened = open_lab(machine, edition(find_lab("gorb"), settings))
    step(opened.page, "server2-registered", "passed")
    seen = step(opened.page, "service-created", "passed").inner_text()
    assert "Service web is weighted round-robin" in seen
    assert "http://$IP_ADDR:4672/service/web" in seen
    assert "wrr" in seen
    assert "{{s" not in opened.page.locator("main").inner_text()


def test_the_page_has_its_picture_taken_with_a_mistake_in_it(open_lab, picture):
    machine = PretendedMachine().do_all()
    machine.backends["1"] = "172.17.0.9"
    page = open_lab(machine).page
    wrong = step(page, "server2-registered", "failed")
    typed(page, "PS1='ann@lab:~$ '; clear")
    typed(page, "# register server2 as backend 1")
    shown(page, "register server2")
    page.get_by_role("link", name="Next:").click()
    wrong.get_by_role("button", name="Show a hint").click()
    page.wait_for_timeout(1000)  # the page scrolls smoothly
    picture(page, "live.png")
    page.set_viewport_size(PHONE)
    wrong.locator(".verdict").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    picture(page, "live-phone.png")
