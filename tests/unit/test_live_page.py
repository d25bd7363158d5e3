"""The page is for whoever was handed its address, and for nobody else; what it holds is
bounded. Each attack is made on a page that is really served."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import stat
import threading
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.pretended import PretendedMachine
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from labwright.batch import submission
from labwright.cli.open import submitted
from labwright.errors import UsageError
from labwright.grading import judge_again as judged_again
from labwright.grading.run import plan
from labwright.grading.watch import StepChanged
from labwright.lab.definition import load_lab
from labwright.lab.model import find_lab
from labwright.live import terminals
from labwright.live.document import commands, sections
from labwright.live.page import Page
from labwright.live.serving import Served, invite, open_page
from labwright.score import Score

RECORD = Path(__file__).parent / "data" / "deployed.json"
LAB = load_lab(find_lab("gorb"))


class Client:
    """A program that talks to the page as it likes."""

    def __init__(self, served: Served) -> None:
        self.port = served.port
        self.token = served.guard.token
        self.cookie = ""

    def get(self, path: str = "/", method: str = "GET", **headers: str):
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
        return self

    def socket(self, path: str, **options):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        origin = options.pop("origin", f"http://127.0.0.1:{self.port}")
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            origin=origin,
            additional_headers={**headers, **options},
        )


@pytest.fixture
def client():
    """A page that is served, and a program that has not been let in."""
    with serving() as served:
        yield Client(served)


@contextlib.contextmanager
def serving(shell=lambda: ["bash", "--norc", "--noprofile"], known=()):
    begun = threading.Event()
    page = Page(LAB, "local", shell)
    for result in known:
        page.hear(StepChanged(result))
    served = Served(page.app())
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        page.begin()
        begun.set()
        await served.serve()
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


def test_the_address_lets_in_once_and_never_again(client):
    assert client.get("/").status == 403
    client.enter()
    assert client.get("/").status == 200
    stranger = http.client.HTTPConnection("127.0.0.1", client.port)
    stranger.request("GET", f"/?token={client.token}")
    answer = stranger.getresponse()
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert LAB.title not in answer.read().decode()


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(client):
    cookie = client.get(f"/?token={client.token}").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/report", "/hand-in", "/bye", "/lab/lab.md", "/?token=", "/x"]
)
def test_another_user_of_this_computer_gets_nothing(client, path):
    assert client.get(path).status == 403
    assert client.get(path, Cookie="labwright=guess").status == 403


@pytest.mark.parametrize("path", ["/live", "/terminal/1"])
def test_another_user_of_this_computer_gets_no_socket(client, path):
    with pytest.raises(InvalidStatus), client.socket(path):
        pass


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:{port}"]
)
def test_a_foreign_name_for_loopback_is_refused_with_the_right_cookie(client, host):
    client.enter()
    assert client.get("/", Host=host.format(port=client.port)).status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"]
)
def test_a_foreign_origin_is_refused_with_the_right_cookie(client, origin):
    client.enter()
    assert client.get("/", Origin=origin).status == 403
    for path in ("/live", "/terminal/1"):
        with pytest.raises(InvalidStatus), client.socket(path, origin=origin):
            pass


def test_a_request_that_another_site_caused_is_refused(client):
    client.enter()
    assert client.get("/hand-in", **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert client.get("/bye", "POST", **{"Sec-Fetch-Site": "same-site"}).status == 403


def test_the_page_may_load_nothing_and_run_nothing_but_its_own_files(client):
    answer = client.enter().get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.findall(
        r"<script(?! type=\"module\" src=\"/static/)|style=|\son\w+=", answer.text
    )
    assert set(re.findall(r"(?:src|href)=\"(\w+):", answer.text)) <= {"https", "data"}


@pytest.mark.parametrize(
    "path",
    ["/lab/lab.toml", "/lab/../lab.toml", "/lab/..%2f..%2f..%2fetc/passwd", "/lab//etc/passwd",
     "/static/../page.py", "/static/xterm/../../page.py", "/static/page.html"],
)  # fmt: skip
def test_no_other_file_of_this_computer_is_handed_out(client, path):
    assert client.enter().get(path).status == 404


def test_it_listens_on_loopback_alone(client):
    listening = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
    own = [row[1] for row in listening if row[1].endswith(f":{client.port:04X}") and row[3] == "0A"]
    assert own == [f"0100007F:{client.port:04X}"]


def test_the_address_is_shown_to_the_browser_in_a_file_of_this_user_alone(tmp_path, monkeypatch):
    opened, said = [], []
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setattr("webbrowser.open", opened.append)
    invite("http://127.0.0.1:1/?token=secret", tmp_path, said.append, browser=True)
    (place,) = opened
    assert "secret" not in place
    file = tmp_path / "open.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "token=secret" in file.read_text()
    assert "token=secret" in said[0]


def until(what, seconds=20):
    async def wait():
        for _ in range(int(seconds / 0.02)):
            if what():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it did not come about in time")

    return wait()


def test_a_terminal_survives_a_reload_and_shows_what_it_showed(client):
    client.enter()
    with client.socket("/live") as live:
        while not (numbers := json.loads(live.recv(timeout=10))["terminals"]):
            pass
        with client.socket(f"/terminal/{numbers[0]}") as terminal:
            terminal.send(json.dumps({"columns": 100, "rows": 30}))
            terminal.send(json.dumps({"typed": "echo $((6*7)) $(stty size)\r"}))
            seen = b""
            while b"42 30 100" not in seen:
                seen += terminal.recv(timeout=10)
        with client.socket(f"/terminal/{numbers[0]}") as again:
            assert b"42 30 100" in again.recv(timeout=10)


def test_a_terminal_that_prints_without_end_is_bounded_and_still_obeys():
    async def flood():
        ended = []
        terminal = terminals.Terminal(["bash", "--norc"], lambda: ended.append(1))
        _, viewer = terminal.show()
        await terminal.type("yes 0123456789012345678901234567890123456789\n")
        await until(lambda: not viewer.drained.is_set())
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert viewer.waiting <= terminals.WAITING + terminals.CHUNK
        assert len(terminal.show()[0]) <= terminals.KEPT
        terminal.leave(viewer)
        await terminal.type("\x03")
        await terminal.type("exit\n")
        await until(lambda: ended)
        await terminal.close()

    asyncio.run(flood())


def test_there_is_an_end_to_the_number_of_terminals():
    async def many():
        opened = terminals.Terminals(lambda: ["cat"], lambda: None)
        numbers = [await opened.open() for _ in range(terminals.MOST + 2)]
        assert numbers[terminals.MOST :] == [None, None]
        await opened.close_all()
        assert opened.numbers == []

    asyncio.run(many())


def test_closing_a_terminal_ends_what_runs_in_it_also_what_does_not_listen():
    async def stubborn():
        opened = terminals.Terminals(
            lambda: ["bash", "-c", "trap '' HUP; echo up $$; cat"], lambda: None
        )
        number = await opened.open()
        kept, viewer = opened.get(number).show()
        while b"up" not in kept:
            kept += await viewer.get()
        pid = int(re.search(rb"up (\d+)", kept)[1])
        await opened.close_all()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(stubborn())


def test_when_the_page_is_closed_all_ends(monkeypatch):
    monkeypatch.setattr("labwright.live.page.BYE_S", 0.2)
    machine = PretendedMachine()
    said: list[str] = []
    thread = threading.Thread(
        target=open_page,
        args=(plan(LAB), said.append),
        kwargs={"browser": False, "connect": lambda: machine},
        daemon=True,
    )
    thread.start()
    asyncio.run(until(lambda: said))
    url = urlsplit(said[0].split()[1])
    reader = Client.__new__(Client)
    reader.port, reader.token, reader.cookie = url.port, url.query.partition("=")[2], ""
    reader.enter()
    with reader.socket("/live") as live:
        live.recv(timeout=10)
    assert reader.get("/bye", "POST").status == 204
    thread.join(20)
    assert not thread.is_alive()
    assert machine.closed >= 2  # the watch's connection, and the terminals'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", url.port))


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1 port {port}: Address"):
            Served(lambda *_: None, port=port)


def test_a_document_cannot_bring_markup_of_its_own():
    text = (
        "# T\n\n<script>alert(1)</script>\n\n<!-- step: a -->\n1. Do <b onclick=x>this</b>\n\n"
        "   ```sh\n   echo '<img src=x onerror=alert(1)>'\n   ```\n\n"
        "[bad](javascript:alert(1)) ![p](http://evil.example/p.png)\n\n## Next\n\ntext\n"
    )
    found = sections(text, ["a"])
    html = "".join(section.html for section in found)
    assert [section.step for section in found] == ["", "a", ""]
    assert not re.search(r"<(script|b|img)\b|href=\"javascript", html)
    assert "&lt;script&gt;" in html


def test_what_is_typed_of_a_block_is_its_commands_and_not_what_they_print():
    assert commands("sh", "a\nb\n") == "a\nb"
    assert commands("console", "$ a \\\n> b\nprinted\n$ c\n") == "a \\\nb\nc"
    assert commands("json", "{}") == ""


def test_the_terminal_emulator_is_the_one_that_was_published():
    folder = resources.files("labwright.live").joinpath("static", "xterm")
    rows = re.findall(
        r"^\| `(.*?)` .*`([0-9a-f]{64})` \|$", folder.joinpath("README.md").read_text(), re.M
    )
    assert len(rows) == 3
    for name, digest in rows:
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest


def test_the_file_to_hand_in_is_the_one_that_submit_makes(tmp_path):
    make = submitted(LAB, "ann", {}, "")
    score = judged_again.read_score(RECORD)
    name, text = make(score, PretendedMachine())
    assert name == "gorb-ann.lab"
    (tmp_path / name).write_text(text)
    found, handed_in, _ = submission.read(tmp_path / name)
    assert found.student == "ann"
    assert handed_in.points == 100


def test_what_evidence_shows_is_a_picture_of_its_own_that_can_run_nothing():
    (split,) = (
        step for step in Score.from_json(RECORD.read_text()).steps if step.id == "split-round-robin"
    )
    with serving(known=[split]) as served:
        client = Client(served).enter()
        with client.socket("/live") as live:
            told = json.loads(live.recv(10))["steps"]["split-round-robin"]
        assert told["pictures"]
        for shown in told["pictures"]:
            picture = client.get(shown["at"])
            assert picture.headers["Content-Type"].startswith("image/svg+xml")
            assert "sandbox" in picture.headers["Content-Security-Policy"]
            assert shown["words"].split(".")[0] in picture.text
        assert client.get("/picture/split-round-robin/9").status == 404
        assert client.get("/picture/none/0").status == 404
        assert Client(served).get("/picture/split-round-robin/0").status == 403
